// Made from shared/anka_ci/steps/start_instance.py by `anka-ci render`; do not edit.
// Start an instance of a template on a build node, and wait until it can be used.

def call(Map args = [:]) {
    return ankaCi.step('start-instance', [
        template: ['template', 'text'],
        tag: ['tag', 'text'],
        node: ['node', 'text'],
        group: ['group', 'text'],
        name: ['name', 'text'],
        owner: ['owner', 'text'],
        lease: ['lease', 'value'],
        script: ['script', 'text'],
        scriptFile: ['script-file', 'text'],
        scriptWhen: ['script-when', 'text'],
        scriptMonitor: ['script-monitor', 'value'],
        scriptTimeout: ['script-timeout', 'value'],
        vcpu: ['vcpu', 'value'],
        memory: ['memory', 'value'],
        onFailure: ['on-failure', 'text'],
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
