"""The embedded registry: it answers the doors' questions for real, without a Mac.

Imports the nouns of floor 0 only; it is never a client.
"""
