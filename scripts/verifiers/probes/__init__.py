"""Behaviour: what the schema does to rows made on the spot, in transactions that are always rolled back."""
