"""Results in, text out. Needs no server."""
