"""The second connection, which looks on: what a statement waits for, and who is in the way.

Never: takes a lock or ends a wait itself (whoever runs the statement does); the runner's own lock is the session's.
"""
