"""The policy that a database starts with: which one it is, and how its row gets there."""
