"""One file a rule, each a frozen `RULE`. A new rule: a file here, a line in ../registry.py, its examples inside it."""
