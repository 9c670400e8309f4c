// Made from shared/anka_ci/steps/clone.py by `anka-ci render`; do not edit.
// Clone a VM of this host, so that a job can use the clone and throw it away.

def call(Map args = [:]) {
    return ankaCi.step('clone', [
        vm: ['vm', 'text'],
        name: ['name', 'text'],
        tag: ['tag', 'text'],
        copy: ['copy', 'value'],
        ifExists: ['if-exists', 'text'],
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
