"""GitHub Actions: the adapter that will render and report anka-ci steps; empty so far."""
