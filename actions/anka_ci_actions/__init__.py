"""GitHub Actions: the adapter that renders steps as actions, runs them on a runner, and reports what became of them.

Decides nothing about Anka; what a step does is in ``anka_ci``.
"""
