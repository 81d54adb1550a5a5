"""Ways around the rules that no table's grants show, written down one by one: logins, settings, triggers, holdings.

`{db}` stands for the database of the test, quoted; `{owner}` for its owner.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from db.verifiers.hand_outbox import sql

from scripts.verifiers.facts.roles import BOZ_ROLE

if TYPE_CHECKING:
    from collections.abc import Iterator

    from db.verifiers.mutants import Mutant

_POSTURE, _BOZ, _TABLES = "role-login-posture", "boz-observability-role", "table-privileges"
WORKER = "CREATE ROLE mutant_worker LOGIN; GRANT symphony_ingest TO mutant_worker"
TEAM = "CREATE ROLE mutant_team; GRANT symphony_ingest TO mutant_team; CREATE ROLE mutant_worker LOGIN; "

# What a login of a worker has beyond its one role.
LOGINS = {
    **{
        f"it {power}": f"{WORKER}; GRANT {power} TO mutant_worker"
        for power in (
            *("pg_write_all_data", "pg_read_all_data", "pg_execute_server_program", "pg_write_server_files"),
            *("pg_read_server_files", "pg_maintain", "pg_monitor", "pg_signal_backend", "pg_checkpoint"),
            *("symphony_executor", "test_user", BOZ_ROLE),
        )
    },
    **{
        f"it is {attribute}": f"{WORKER}; ALTER ROLE mutant_worker {attribute}"
        for attribute in ("CREATEROLE", "CREATEDB", "BYPASSRLS", "REPLICATION", "SUPERUSER")
    },
    **{
        f"a second role with {option}": f"{WORKER}; GRANT symphony_control TO mutant_worker WITH {option}"
        for option in (
            *(
                "INHERIT FALSE, SET TRUE",
                "INHERIT TRUE, SET FALSE",
                "INHERIT FALSE, SET FALSE, ADMIN TRUE",
                "ADMIN TRUE",
            ),
        )
    },
    "it hands its role on": f"{WORKER}; GRANT symphony_ingest TO mutant_worker WITH ADMIN TRUE",
    "it only administers its role": (
        "CREATE ROLE mutant_worker LOGIN; GRANT symphony_ingest TO mutant_worker "
        "WITH INHERIT FALSE, SET FALSE, ADMIN TRUE"
    ),
    "the owner": f"{WORKER}; GRANT {{owner}} TO mutant_worker",
    "the owner by SET alone": f"{WORKER}; GRANT {{owner}} TO mutant_worker WITH INHERIT FALSE, SET TRUE",
    "the owner by ADMIN alone": (
        f"{WORKER}; GRANT {{owner}} TO mutant_worker WITH INHERIT FALSE, SET FALSE, ADMIN TRUE"
    ),
    "the owner of the database": f"{WORKER}; ALTER DATABASE {{db}} OWNER TO mutant_worker",
    "two roles through a team": f"{TEAM}GRANT symphony_control TO mutant_team; GRANT mutant_team TO mutant_worker",
    "one itself and one through a team": f"{TEAM}GRANT mutant_team, test_user TO mutant_worker",
    "a team that reads all": f"{TEAM}GRANT pg_read_all_data TO mutant_team; GRANT mutant_team TO mutant_worker",
    "a team that makes roles": f"{TEAM}ALTER ROLE mutant_team CREATEROLE; GRANT mutant_team TO mutant_worker",
    "a team that passes by every policy, over two steps": (
        f"{TEAM}CREATE ROLE mutant_chiefs BYPASSRLS; GRANT mutant_chiefs TO mutant_team; "
        "GRANT mutant_team TO mutant_worker WITH INHERIT FALSE"
    ),
    "a team of the owner": f"{TEAM}GRANT {{owner}} TO mutant_team; GRANT mutant_team TO mutant_worker",
    "a login between": (
        f"{WORKER}; CREATE ROLE mutant_other LOGIN; GRANT mutant_worker, symphony_executor TO mutant_other"
    ),
}
# Stored setting → values that stop a worker or change what it is promised.
SETTINGS: dict[str, tuple[str, ...]] = {
    "default_transaction_read_only": ("on", "true", "1", "y"),
    "default_transaction_isolation": ("repeatable read", "serializable"),
    "exit_on_error": ("on",),
    "standard_conforming_strings": ("off", "f"),
    "backslash_quote": ("off", "on"),
    "client_encoding": ("LATIN1", "SQL_ASCII", "WIN1252"),
    "synchronous_commit": ("off", "false", "0"),
    "zero_damaged_pages": ("on",),
    "ignore_checksum_failure": ("on",),
    "lo_compat_privileges": ("on",),
    "session_preload_libraries": (
        *("nonesuch", "auto_explain, nonesuch", "/nonesuch/auto_explain", "auto_explain, pg_stat_statements"),
    ),
    # In quotes all of it is one name; or none, and no session begins.
    "local_preload_libraries": ("nonesuch", "auto_explain,pg_stat_statements", "$libdir/auto_explain", ""),
    "dynamic_library_path": ("/nonesuch", "/nonesuch:$libdir"),
    "statement_timeout": ("1", "1ms", "99", "0.05s"),
    "transaction_timeout": ("5ms",),
    "lock_timeout": ("10ms",),
    "idle_in_transaction_session_timeout": ("1ms",),
    "idle_session_timeout": ("50",),
    "search_path": (
        *("pg_temp, public", "mutant, public", "pg_catalog"),
        # One name each, which is nobody's schema.
        *("""'"$user", public'""", "'public, pg_temp'", '"Public"', "''"),
    ),
    "session_replication_role": ("replica",),
    "row_security": ("off",),
}
EVENTS = ("login", "ddl_command_start", "ddl_command_end", "sql_drop", "table_rewrite")
FIRES = (
    "CREATE FUNCTION public.mutant_event() RETURNS event_trigger LANGUAGE plpgsql SECURITY DEFINER AS "
    "'BEGIN PERFORM set_config(''session_replication_role'', ''replica'', false); END'; "
)
# What a role may hold neither by itself nor as an owner; {role} is its name.
HOLDINGS = {
    "a wrapper": "CREATE FOREIGN DATA WRAPPER mutant; GRANT USAGE ON FOREIGN DATA WRAPPER mutant TO {role}",
    "a server": (
        "CREATE FOREIGN DATA WRAPPER mutant; CREATE SERVER mutant FOREIGN DATA WRAPPER mutant; "
        "GRANT USAGE ON FOREIGN SERVER mutant TO {role}"
    ),
    "a user mapping": (
        "CREATE FOREIGN DATA WRAPPER mutant; CREATE SERVER mutant FOREIGN DATA WRAPPER mutant; "
        "CREATE USER MAPPING FOR {role} SERVER mutant"
    ),
    "a language": "GRANT USAGE ON LANGUAGE plpgsql TO {role}",
    "a large object": "DO $$ BEGIN PERFORM lo_create(4711); END $$; GRANT SELECT ON LARGE OBJECT 4711 TO {role}",
    "a large object of its own": "DO $$ BEGIN PERFORM lo_create(4711); END $$; ALTER LARGE OBJECT 4711 OWNER TO {role}",
    "a type of its own": "CREATE TYPE public.mutant AS (a int); ALTER TYPE public.mutant OWNER TO {role}",
    "a schema of its own": "CREATE SCHEMA mutant AUTHORIZATION {role}",
    "a tablespace": "GRANT CREATE ON TABLESPACE pg_default TO {role}",
    "making schemas": "GRANT CREATE ON DATABASE {db} TO {role}",
    "reading files": "GRANT EXECUTE ON FUNCTION pg_catalog.pg_read_file(text) TO {role}",
    "importing files": "GRANT EXECUTE ON FUNCTION pg_catalog.lo_import(text) TO {role}",
    "ending others": "GRANT EXECUTE ON FUNCTION pg_catalog.pg_terminate_backend(int, bigint) TO {role}",
    "reading passwords": "GRANT SELECT ON pg_catalog.pg_authid TO {role}",
    "a collation of its own": 'CREATE COLLATION public.mutant FROM "C"; ALTER COLLATION public.mutant OWNER TO {role}',
    "a publication of its own": "CREATE PUBLICATION mutant; ALTER PUBLICATION mutant OWNER TO {role}",
}
# What only the regulator may not hold: workers make temporary tables, and use types.
OF_THE_SEAT = {
    "temporary tables": "GRANT TEMPORARY ON DATABASE {db} TO boz_auditor",
    "a type": "CREATE TYPE public.mutant AS (a int); GRANT USAGE ON TYPE public.mutant TO boz_auditor",
    "everybody's wrapper": "CREATE FOREIGN DATA WRAPPER mutant; GRANT USAGE ON FOREIGN DATA WRAPPER mutant TO PUBLIC",
    "everybody's server": (
        "CREATE FOREIGN DATA WRAPPER mutant; CREATE SERVER mutant FOREIGN DATA WRAPPER mutant; "
        "GRANT USAGE ON FOREIGN SERVER mutant TO PUBLIC"
    ),
    "everybody's tablespace": "GRANT CREATE ON TABLESPACE pg_default TO PUBLIC",
    "everybody's large object": (
        "DO $$ BEGIN PERFORM lo_create(4711); END $$; GRANT SELECT ON LARGE OBJECT 4711 TO PUBLIC"
    ),
}
# What a login of the regulator's may not hold, itself or by what it can become; {whose} is either.
OF_ITS_LOGINS = {
    **{name: change for name, change in HOLDINGS.items() if "of its own" not in name},
    **OF_THE_SEAT,
    "a table elsewhere": "CREATE SCHEMA mutant; CREATE TABLE mutant.t (); GRANT ALL ON mutant.t TO {role}",
    "a column of a table elsewhere": (
        "CREATE SCHEMA mutant; CREATE TABLE mutant.t (a int); GRANT INSERT (a) ON mutant.t TO {role}"
    ),
    "a table of its own": "CREATE SCHEMA mutant; CREATE TABLE mutant.t (); ALTER TABLE mutant.t OWNER TO {role}",
    "a function elsewhere": (
        "CREATE SCHEMA mutant; CREATE FUNCTION mutant.f() RETURNS int LANGUAGE sql AS 'SELECT 1'; "
        "GRANT EXECUTE ON FUNCTION mutant.f() TO {role}"
    ),
    "a schema elsewhere": "CREATE SCHEMA mutant; GRANT USAGE ON SCHEMA mutant TO {role}",
    "a large object of its own": HOLDINGS["a large object of its own"],
}
# What no worker's login may hold either.
OF_A_WORKERS_LOGIN = (
    *("a wrapper", "a server", "a language", "a large object", "a tablespace", "making schemas", "reading files"),
    *("importing files", "ending others", "reading passwords"),
)
# A login's own, and what a login has by a team between it and the role, or beside it.
_SEATS = {
    "mutant_seat": "CREATE ROLE mutant_seat LOGIN; GRANT boz_auditor TO mutant_seat; ",
    "mutant_between": (
        "CREATE ROLE mutant_between; CREATE ROLE mutant_seat LOGIN; GRANT boz_auditor TO mutant_between; "
        "GRANT mutant_between TO mutant_seat; "
    ),
    "mutant_beside": (
        "CREATE ROLE mutant_beside; CREATE ROLE mutant_seat LOGIN; GRANT boz_auditor, mutant_beside TO mutant_seat "
        "WITH INHERIT FALSE; "
    ),
}
# Default privileges that hand on what is made later.
TO_COME = (
    *(
        f"FOR ROLE {{owner}} GRANT {privilege} ON {kind} TO {grantee}"
        for privilege, kind in (("USAGE", "SEQUENCES"), ("USAGE", "SCHEMAS"), ("SELECT", "LARGE OBJECTS"))
        for grantee in ("PUBLIC", "symphony_ingest", BOZ_ROLE, "pg_monitor")
    ),
    "FOR ROLE {owner} IN SCHEMA public GRANT SELECT ON SEQUENCES TO symphony_readonly",
    "FOR ROLE {owner} GRANT USAGE ON TYPES TO symphony_control",
    "FOR ROLE {owner} IN SCHEMA public GRANT USAGE ON TYPES TO PUBLIC",
    *(
        f"FOR ROLE {creator} {within}GRANT {privilege} ON {kind} TO {grantee}"
        for creator in ("postgres", "symphony_control")
        for privilege, kind in (("SELECT", "TABLES"), ("EXECUTE", "FUNCTIONS"), ("USAGE", "SEQUENCES"))
        for within, grantee in (("", "symphony_ingest"), ("IN SCHEMA public ", "PUBLIC"), ("", BOZ_ROLE))
    ),
)


def sessions() -> Iterator[Mutant]:
    """All of them."""
    for name, change in LOGINS.items():
        yield sql(_POSTURE, f"a worker's login: {name}", ["logins_act_as_one_role"], here(change), admin=True)
    seat = "CREATE ROLE mutant_seat LOGIN; GRANT boz_auditor, pg_read_all_data TO mutant_seat"
    yield sql(_BOZ, "the regulator's login reads all", ["boz_logins"], seat, admin=True)
    yield from _starts()
    yield from _events()
    yield from _holds()
    yield from _logins_hold()
    for change in TO_COME:
        yield sql(_TABLES, change, ["others_to_come"], here(f"ALTER DEFAULT PRIVILEGES {change}"), admin=True)


def _starts() -> Iterator[Mutant]:
    for name, values in SETTINGS.items():
        for value in values:
            text = value if name == "search_path" else f"'{value}'"
            for where in ("DATABASE {db}", "ROLE ALL IN DATABASE {db}", "ROLE mutant_worker"):
                change = here(f"{WORKER}; ALTER {where} SET {name} = {text}")
                yield sql(_POSTURE, f"{name}={value} for {where}", ["sessions_start_with"], change, admin=True)


def _events() -> Iterator[Mutant]:
    for event in EVENTS:
        for state in ("", "; ALTER EVENT TRIGGER mutant ENABLE ALWAYS", "; ALTER EVENT TRIGGER mutant ENABLE REPLICA"):
            make = f"{FIRES}CREATE EVENT TRIGGER mutant ON {event} EXECUTE FUNCTION public.mutant_event(){state}"
            yield sql(_POSTURE, f"an event trigger on {event}{state}", ["sessions_start_with"], make, admin=True)
    hidden = (
        f"{FIRES}CREATE EVENT TRIGGER mutant ON login EXECUTE FUNCTION public.mutant_event(); "
        "ALTER EXTENSION plpgsql ADD EVENT TRIGGER mutant; ALTER EXTENSION plpgsql ADD FUNCTION public.mutant_event()"
    )
    yield sql(_POSTURE, "an event trigger in an extension's clothes", ["sessions_start_with"], hidden, admin=True)
    # In C, and of an extension that came with the server: what it has since, somebody put there by hand.
    library = (
        "SET LOCAL check_function_bodies = off; CREATE FUNCTION public.mutant_event() RETURNS event_trigger LANGUAGE c "
        "AS '$libdir/plpgsql', 'plpgsql_call_handler'; ALTER EXTENSION plpgsql ADD FUNCTION public.mutant_event(); "
        "CREATE EVENT TRIGGER mutant ON login EXECUTE FUNCTION public.mutant_event(); "
        "ALTER EXTENSION plpgsql ADD EVENT TRIGGER mutant"
    )
    yield sql(_POSTURE, "an event trigger in the server's clothes", ["sessions_start_with"], library, admin=True)


def _holds() -> Iterator[Mutant]:
    for role, gate, check in (
        ("symphony_readonly", _POSTURE, "roles_hold_nothing_else"),
        ("test_user", _POSTURE, "roles_hold_nothing_else"),
        (BOZ_ROLE, _BOZ, "boz_holds_nothing_else"),
    ):
        for name, change in HOLDINGS.items():
            yield sql(gate, f"{role} holds {name}", [check], here(change.replace("{role}", role)), admin=True)
    for name, change in OF_THE_SEAT.items():
        yield sql(_BOZ, f"the regulator holds {name}", ["boz_holds_nothing_else"], here(change), admin=True)


def _logins_hold() -> Iterator[Mutant]:
    for role, made in _SEATS.items():
        for name, change in OF_ITS_LOGINS.items():
            planted = here(made + change.replace("{role}", role).replace("boz_auditor", role))
            yield sql(_BOZ, f"{role} holds {name}", ["boz_holds_nothing_else"], planted, admin=True)
        for name in OF_A_WORKERS_LOGIN:
            planted = here(made.replace("boz_auditor", "test_user") + HOLDINGS[name].replace("{role}", role))
            yield sql(_POSTURE, f"a worker's {role} holds {name}", ["roles_hold_nothing_else"], planted, admin=True)


def here(change: str) -> str:
    """The change in the database that it is run in."""
    if "{db}" not in change and "{owner}" not in change:
        return change
    owner = "(SELECT d.datdba::regrole FROM pg_database AS d WHERE d.datname = current_database())"
    text = change.replace("'", "''").replace("%", "%%").replace("{db}", "%1$I").replace("{owner}", "%2$s")
    return f"DO $do$ BEGIN EXECUTE format('{text}', current_database(), {owner}); END $do$"
