"""The shared core of anka-ci: CI steps for the Anka Registry and Controller.

Nothing is imported here, so that a command loads only the step it runs.
"""

__version__ = "0.1.0"
