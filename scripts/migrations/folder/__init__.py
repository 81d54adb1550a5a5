"""The files: names, bytes, sums, and what their text must be before anything runs.

Never: asks a database; knows what has run (plan.py, ledger).
"""
