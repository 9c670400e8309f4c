// Made from shared/anka_ci/steps/pull.py by `anka-ci render`; do not edit.
// Pull a template tag onto this host.

def call(Map args = [:]) {
    return ankaCi.step('pull', [
        template: ['template', 'text'],
        tag: ['tag', 'text'],
        version: ['version', 'value'],
        shrink: ['shrink', 'value'],
        makeRoom: ['make-room', 'value'],
        fetchOnly: ['fetch-only', 'value'],
        local: ['local', 'value'],
        ifUnreachable: ['if-unreachable', 'text'],
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
