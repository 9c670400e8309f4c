// Made from shared/anka_ci/steps/push.py by `anka-ci render`; do not edit.
// Push a VM of this host to the registry as a new tag.

def call(Object args = [:]) {
    return ankaCi.step('push', [
        template: ['template', 'text'],
        tag: ['tag', 'text'],
        description: ['description', 'text'],
        onto: ['onto', 'text'],
        ifExists: ['if-exists', 'text'],
        ifHeld: ['if-held', 'text'],
        shallow: ['shallow', 'value'],
        local: ['local', 'value'],
        context: ['context', 'text'],
        controllerUrl: ['controller-url', 'text'],
        registryUrl: ['registry-url', 'text'],
        anka: ['anka', 'text'],
        tokenCredentialsId: ['ANKA_CI_TOKEN', 'secret'],
        certificate: ['certificate', 'text'],
        certificateFileCredentialsId: ['ANKA_CI_CERTIFICATE_FILE', 'file'],
        certificateCredentialsId: ['ANKA_CI_CERTIFICATE ANKA_CI_PASSPHRASE', 'certificate'],
        keyCredentialsId: ['ANKA_CI_KEY', 'secret'],
        keyFileCredentialsId: ['ANKA_CI_KEY_FILE', 'file'],
        passphraseCredentialsId: ['ANKA_CI_PASSPHRASE', 'secret'],
        apiKeyId: ['api-key-id', 'text'],
        apiKeyCredentialsId: ['ANKA_CI_API_KEY', 'secret'],
        apiKeyFileCredentialsId: ['ANKA_CI_API_KEY_FILE', 'file'],
        apiKeyPairCredentialsId: ['ANKA_CI_API_KEY_ID ANKA_CI_API_KEY', 'pair'],
        clientId: ['client-id', 'text'],
        clientSecretCredentialsId: ['ANKA_CI_CLIENT_SECRET', 'secret'],
        clientPairCredentialsId: ['ANKA_CI_CLIENT_ID ANKA_CI_CLIENT_SECRET', 'pair'],
        registryUserCredentialsId: ['ANKA_CI_REGISTRY_USER', 'user'],
        ca: ['ca', 'text'],
        caFileCredentialsId: ['ANKA_CI_CA', 'file'],
        timeout: ['timeout', 'value'],
        confirm: ['confirm', 'text'],
        inputsFile: ['inputs-file', 'text'],
    ], args)
}
