"""Who may do what: the matrix of grants, and the words for a grantee's privileges on one object.

Owns: the matrix; whoever is not in it may do nothing.
Promises: grants count down to columns, MAINTAIN and grant options.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from scripts.verifiers.facts.roles import ROLES

if TYPE_CHECKING:
    from scripts.verifiers.facts.reading import DefaultGrant, Grant, Held

PUBLIC = "PUBLIC"
NONE = "none"
ALONE = "their owner's alone"
_KINDS = {"r": "tables", "S": "sequences", "f": "functions", "T": "types", "n": "schemas", "L": "large objects"}
_BY_ITSELF = frozenset({(PUBLIC, "", "T", "USAGE"), (PUBLIC, "", "f", "EXECUTE")})
_OUTBOX_READERS = "symphony_auditor: SELECT; symphony_control: SELECT; symphony_readonly: SELECT"
_REVOCATIONS = (
    "symphony_auditor: SELECT; symphony_control: INSERT, SELECT; symphony_executor: SELECT; symphony_ingest: SELECT; "
    "symphony_readonly: SELECT"
)
_BOZ = "boz_auditor: SELECT"
# Table → everybody's privileges but the owner's. A table that is not here is its owner's alone.
TABLE_GRANTS = {
    "payment_outbox_pending": f"{_BOZ}; {_OUTBOX_READERS}",
    "payment_outbox_attempts": f"{_BOZ}; {_OUTBOX_READERS}",
    "participant_outbox_sequences": "symphony_control: SELECT",
    "policy_versions": "symphony_auditor: SELECT; symphony_control: SELECT; symphony_executor: SELECT; "
    "symphony_ingest: SELECT; symphony_readonly: SELECT; test_user: SELECT",
    "ingress_attestations": "symphony_auditor: SELECT; symphony_ingest: INSERT, SELECT; symphony_readonly: SELECT",
    "tenant_members": "symphony_ingest: SELECT (member_id), SELECT (tenant_id)",
    "tenant_clients": "symphony_ingest: SELECT (client_id), SELECT (tenant_id)",
    "revoked_client_certs": _REVOCATIONS,
    "revoked_tokens": _REVOCATIONS,
    **dict.fromkeys(
        (
            "participants",
            "billable_clients",
            "billing_usage_events",
            "external_proofs",
            "evidence_packs",
            "evidence_pack_items",
        ),
        _BOZ,
    ),
}
BOZ_TABLES = tuple(table for table, grants in TABLE_GRANTS.items() if grants.startswith(_BOZ))
_WORKERS = ("symphony_control", "symphony_executor", "test_user")
# Function → who but the owner may execute it. A function that is not here is its owner's alone.
EXECUTORS: dict[str, tuple[str, ...]] = {
    "uuid_v7_or_random": (
        "symphony_auditor",
        "symphony_control",
        "symphony_executor",
        "symphony_ingest",
        "symphony_readonly",
        "test_user",
    ),
    "enqueue_payment_outbox": ("symphony_control", "symphony_ingest", "test_user"),
    "claim_outbox_batch": _WORKERS,
    "complete_outbox_attempt": _WORKERS,
    "repair_expired_leases": _WORKERS,
}
SCHEMA_USERS = (PUBLIC, *ROLES)


def privileges_of(held: Held, grantee: str) -> str:
    """The grantee's privileges on a relation and its columns as one sorted line; `none` without any."""
    words = [_word(grant) for grant in held.grants if grant.grantee == grantee]
    words += [
        f"{_word(grant)} ({column})"
        for column, grants in held.column_grants.items()
        for grant in grants
        if grant.grantee == grantee
    ]
    return ", ".join(sorted(words)) or NONE


def public_privileges(held: Held) -> str:
    """What everybody may do with a relation."""
    return privileges_of(held, PUBLIC)


def grantees(grants: tuple[Grant, ...], owner: str) -> str:
    """Who but the owner holds a privilege of an object that knows only one kind; `none` without any."""
    words = [grant.grantee + (" WITH GRANT OPTION" if grant.grantable else "") for grant in grants]
    return ", ".join(sorted(word for word in words if word != owner)) or NONE


def matrix_of(held: Held) -> str:
    """Everybody's privileges on a relation but the owner's, one sorted line."""
    columns = [grant for grants in held.column_grants.values() for grant in grants]
    names = sorted({grant.grantee for grant in (*held.grants, *columns)} - {held.owner})
    return "; ".join(f"{name}: {privileges_of(held, name)}" for name in names) or NONE


def open_to(defaults: tuple[DefaultGrant, ...], owner: str, kind: str) -> str:
    """Who else gets at what the owner makes later.

    Args:
        defaults: the database's default privileges.
        owner: whose objects.
        kind: `f` for functions, which PostgreSQL gives to everybody unless told otherwise; `r` for tables.
    """
    mine = [one for one in defaults if (one.owner, one.kind) == (owner, kind)]
    # Only a rule for every schema can take away what PostgreSQL gives; one for a schema can only add.
    others = {str(one.grantee) for one in mine if one.grantee is not None} - {owner}
    if kind == "f" and not any(one.schema == "" for one in mine):
        others.add(PUBLIC)
    return ", ".join(sorted(others)) or ALONE


def others_to_come(defaults: tuple[DefaultGrant, ...], owners: frozenset[str]) -> str:
    """Who else gets at what is made later: whatever of the owners' but tables and functions, and whatever of anybody's.

    What another creator gives to a role that is no role of ours is nobody's matter here.

    Args:
        defaults: the database's default privileges.
        owners: who makes the schema's objects; `open_to` tells of their tables and functions.
    """
    others = {
        f"{one.owner} gives {one.grantee} {one.privilege} on {_KINDS[one.kind]}"
        for one in defaults
        if one.grantee not in (None, one.owner)
        and (one.owner in owners or one.grantee in (PUBLIC, *ROLES))
        and not (one.owner in owners and one.kind in "rf")
        # What PostgreSQL gives by itself is written down as soon as anything else is.
        and (one.grantee, one.schema, one.kind, one.privilege) not in _BY_ITSELF
    }
    return "; ".join(sorted(others)) or ALONE


def _word(grant: Grant) -> str:
    return grant.privilege + (" WITH GRANT OPTION" if grant.grantable else "")
