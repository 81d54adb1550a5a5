"""The parity runner: proves a payments database's schema against a real PostgreSQL 18.

Values flow right: settings → server → catalog → migrations → verifiers → evidence → report. Imports point left.
"""
