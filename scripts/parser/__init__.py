"""Parsed SQL: the one place that talks to libpg_query. Nothing about SQL is decided on its text."""
