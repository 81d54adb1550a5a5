"""Servers that outlive the command that made them: what is known of them, and their end."""
