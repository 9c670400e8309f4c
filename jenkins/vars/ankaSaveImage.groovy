// Made from shared/anka_ci/steps/save_image.py by `anka-ci render`; do not edit.
// Save a running instance as a new tag of a template, or as a new template.

def call(Map args = [:]) {
    return ankaCi.step('save-image', [
        instance: ['instance', 'text'],
        tag: ['tag', 'text'],
        template: ['template', 'text'],
        newTemplate: ['new-template', 'text'],
        description: ['description', 'text'],
        jobStatus: ['job-status', 'text'],
        suspend: ['suspend', 'value'],
        script: ['script', 'text'],
        scriptFile: ['script-file', 'text'],
        onScriptFailure: ['on-script-failure', 'text'],
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
