"""One canonical reading of a database's catalog; its fingerprint; the comparison with the golden one."""
