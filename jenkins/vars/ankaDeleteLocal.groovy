// Made from shared/anka_ci/steps/delete_local.py by `anka-ci render`; do not edit.
// Delete a VM of this host, or one of its local tags; the registry keeps what it has.

def call(Map args = [:]) {
    return ankaCi.step('delete-local', [
        vm: ['vm', 'text'],
        tag: ['tag', 'text'],
        ifMissing: ['if-missing', 'text'],
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
