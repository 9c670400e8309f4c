// Made from shared/anka_ci/steps/nodes.py by `anka-ci render`; do not edit.
// List the build nodes: state, architecture, free disk, groups, and the tags on each.

def call(Map args = [:]) {
    return ankaCi.step('nodes', [
        nodes: ['nodes', 'text'],
        group: ['group', 'text'],
        template: ['template', 'text'],
        tag: ['tag', 'text'],
        atLeast: ['at-least', 'value'],
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
