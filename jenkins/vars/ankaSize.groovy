// Made from shared/anka_ci/steps/size.py by `anka-ci render`; do not edit.
// Tell what a pull would download onto this host, and whether it fits.

def call(Map args = [:]) {
    return ankaCi.step('size', [
        template: ['template', 'text'],
        tag: ['tag', 'text'],
        version: ['version', 'value'],
        context: ['context', 'text'],
        controllerUrl: ['controller-url', 'text'],
        registryUrl: ['registry-url', 'text'],
        anka: ['anka', 'text'],
        tokenCredentialsId: ['ANKA_CI_TOKEN', 'secret'],
        ca: ['ca', 'text'],
        timeout: ['timeout', 'value'],
        confirm: ['confirm', 'text'],
    ], args)
}
