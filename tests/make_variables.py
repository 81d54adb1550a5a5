"""libpq's variables, at values under which a connection that heeds them fails, or is another one than was asked for."""

from __future__ import annotations

# Each alone keeps a connection from a server of our own, or changes the session.
ASTRAY = (
    ("PGPORT", "5433"),
    ("PGHOST", "192.0.2.1"),
    ("PGHOSTADDR", "192.0.2.1"),
    ("PGSERVICE", "nowhere"),
    ("PGDATABASE", "nowhere"),
    ("PGUSER", "nobody_at_all"),
    ("PGPASSWORD", "of another server"),
    ("PGPASSFILE", "/nowhere/pgpass"),
    ("PGSSLMODE", "require"),
    ("PGSSLROOTCERT", "/nowhere/root.crt"),
    ("PGSSLCERTMODE", "require"),
    ("PGSSLNEGOTIATION", "direct"),
    ("PGREQUIRESSL", "1"),
    ("PGREQUIREPEER", "nobody_at_all"),
    ("PGREQUIREAUTH", "none"),
    ("PGCHANNELBINDING", "require"),
    ("PGGSSENCMODE", "require"),
    ("PGMINPROTOCOLVERSION", "3.2"),
    ("PGTARGETSESSIONATTRS", "standby"),
    ("PGLOADBALANCEHOSTS", "x"),
    ("PGCONNECT_TIMEOUT", "x"),
    ("PGAPPNAME", "another"),
    ("PGTZ", "Foo"),
    ("PGDATESTYLE", "German"),
    ("PGGEQO", "off"),
    ("PGCLIENTENCODING", "LATIN1"),
    ("PGOPTIONS", "-c nonsense=1"),
    ("PGOPTIONS", "-c default_tablespace=foo"),
    ("PGOPTIONS", "-c log_statement=all"),
    ("PGOPTIONS", "-c session_replication_role=replica"),
    ("PGOPTIONS", "-c DateStyle=German"),
)
IDS = [f"{name}={value}".replace("/", "|") for name, value in ASTRAY]
TOGETHER = dict(ASTRAY)
