// Made from shared/anka_ci/steps/distribute.py by `anka-ci render`; do not edit.
// Distribute a template tag to build nodes.

def call(Map args = [:]) {
    return ankaCi.step('distribute', [
        template: ['template', 'text'],
        tag: ['tag', 'text'],
        version: ['version', 'value'],
        all: ['all', 'value'],
        group: ['group', 'text'],
        nodes: ['nodes', 'text'],
        wait: ['wait', 'value'],
        onInterrupt: ['on-interrupt', 'text'],
        again: ['again', 'value'],
        permissionGroup: ['permission-group', 'text'],
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
