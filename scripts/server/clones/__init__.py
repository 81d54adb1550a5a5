"""Databases copied from a migrated template, on a server of our own."""
