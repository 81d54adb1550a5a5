"""Mutants: a schema broken on purpose, one change at a time, to see whether the owner of the guarantee notices."""
