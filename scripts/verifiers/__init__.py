"""The registry of invariants, and what settles each: catalog facts and behavioural probes in rolled-back transactions."""
