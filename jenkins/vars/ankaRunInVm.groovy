// Made from shared/anka_ci/steps/run_in_vm.py by `anka-ci render`; do not edit.
// Run a command or a script in a VM of this host, and stop the VM again.

def call(Map args = [:]) {
    return ankaCi.step('run-in-vm', [
        vm: ['vm', 'text'],
        command: ['command', 'text'],
        script: ['script', 'text'],
        scriptFile: ['script-file', 'text'],
        shell: ['shell', 'text'],
        env: ['env', 'value'],
        secretEnvCredentialsId: ['ANKA_CI_SECRET_ENV', 'secret'],
        folder: ['folder', 'text'],
        waitNetwork: ['wait-network', 'value'],
        scriptTimeout: ['script-timeout', 'value'],
        afterwards: ['afterwards', 'text'],
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
