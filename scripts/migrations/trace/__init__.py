"""What every statement of a migration did: time, locks, rewrites, scans, builds, rows and notices."""
