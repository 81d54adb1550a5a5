"""A file without a transaction: statement by statement, each of which an earlier run may have begun or done.

Never: runs an ordinary file (transactional.py); what is about an index lies in a room of its own, below.
"""
