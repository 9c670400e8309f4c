// Made from shared/anka_ci/steps/push.py by `anka-ci render`; do not edit.
// Push a VM of this host to the registry as a new tag.

def call(Map args = [:]) {
    return ankaCi.step('push', [
        template: ['template', 'text'],
        tag: ['tag', 'text'],
        description: ['description', 'text'],
        onto: ['onto', 'text'],
        ifExists: ['if-exists', 'text'],
        shallow: ['shallow', 'value'],
        local: ['local', 'value'],
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
