// Made from shared/anka_ci/__init__.py by `anka-ci render`; do not edit.
// The version of this library, which is that of the anka-ci it runs on the agents.

String call() {
    return '0.1.0'
}
