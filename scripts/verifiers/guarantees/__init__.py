"""One module a guarantee: which facts hold it, which behaviour proves it."""
