"""Catalog facts: what each object must be, what it is, and the comparison of the two."""
