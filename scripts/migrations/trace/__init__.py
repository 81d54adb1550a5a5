"""What every statement of a migration did: time, locks, rewrites, scans, builds, rows and notices.

Never: runs a file of its own, or decides whether one may run; it looks at what others send.
"""
