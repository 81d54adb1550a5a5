"""Indexes that are built concurrently: what is there, whose it is, whether it is the one that a statement builds.

Never: keeps the journal, or orders the statements of a file (the room around it).
"""
