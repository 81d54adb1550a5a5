"""The ledger's tables: what they are, what is added to them, whether they are as they were left, how they are mended.

Never: decides what is pending (plan.py) or runs a file.
"""
