// Made from shared/anka_ci/steps/groups.py by `anka-ci render`; do not edit.
// List the node groups of the controller, and how many nodes each has.

def call(Map args = [:]) {
    return ankaCi.step('groups', [
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
