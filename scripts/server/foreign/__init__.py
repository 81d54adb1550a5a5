"""A server that somebody else runs, and the throw-away databases on it."""
