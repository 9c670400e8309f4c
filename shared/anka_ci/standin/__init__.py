"""The stand-in ``anka``: the command line of Anka 3.8 on a library of its own, without a Mac and without VMs.

Templates really move to and from a registry; a guest is a folder, and nothing is virtualised. It is never installed as
``anka`` on anyone's PATH, and it never touches a real Anka's library.
"""
