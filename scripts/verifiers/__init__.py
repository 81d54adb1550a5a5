"""The registry of invariants and what settles each: catalog facts, and probes in rolled-back transactions."""
