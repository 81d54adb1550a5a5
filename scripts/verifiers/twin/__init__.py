"""The twin: a copy of tables and functions in a schema of its own, where two sessions can see each other's rows."""
