"""Jenkins: renders the steps as variables of a shared library, and reports their results to it."""
