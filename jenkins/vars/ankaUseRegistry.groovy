// Made from shared/anka_ci/steps/use_registry.py by `anka-ci render`; do not edit.
// Make a registry the default of this user's `anka` command, or add, list or forget the registries that it knows.

def call(Map args = [:]) {
    return ankaCi.step('use-registry', [
        action: ['action', 'text'],
        name: ['name', 'text'],
        url: ['url', 'text'],
        force: ['force', 'value'],
        then: ['then', 'text'],
        temporary: ['temporary', 'value'],
        context: ['context', 'text'],
        controllerUrl: ['controller-url', 'text'],
        registryUrl: ['registry-url', 'text'],
        anka: ['anka', 'text'],
        tokenCredentialsId: ['ANKA_CI_TOKEN', 'secret'],
        certificate: ['certificate', 'text'],
        keyCredentialsId: ['ANKA_CI_KEY', 'secret'],
        passphraseCredentialsId: ['ANKA_CI_PASSPHRASE', 'secret'],
        apiKeyId: ['api-key-id', 'text'],
        apiKeyCredentialsId: ['ANKA_CI_API_KEY', 'secret'],
        clientId: ['client-id', 'text'],
        clientSecretCredentialsId: ['ANKA_CI_CLIENT_SECRET', 'secret'],
        ca: ['ca', 'text'],
        timeout: ['timeout', 'value'],
        confirm: ['confirm', 'text'],
    ], args)
}
