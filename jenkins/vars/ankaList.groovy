// Made from shared/anka_ci/steps/list.py by `anka-ci render`; do not edit.
// List the templates of the registry.

def call(Map args = [:]) {
    return ankaCi.step('list', [
        template: ['template', 'text'],
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
