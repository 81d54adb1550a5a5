"""The database with every fact made false, so that each check of a fact is seen to fail."""
