"""The connection that runs the files: who it is, its baseline before each file, the runner lock that it holds.

Never: knows the ledger, or how a file is run.
"""
