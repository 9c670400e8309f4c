"""Rules: how a fleet or a registry is judged, and how long it is waited for.

Nothing here opens a door by itself, prints, or knows a step.
"""
