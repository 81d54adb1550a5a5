"""What was added to a table of ours and could refuse a row or run something, is told by table-definitions."""

from __future__ import annotations

from typing import TYPE_CHECKING

import psycopg
import pytest

from scripts.verifiers.registry import INVARIANTS

if TYPE_CHECKING:
    from db.verifiers.conftest import Bench

GATE = "table-definitions"
QUEUE, ATTEMPTS = "public.payment_outbox_pending", "public.payment_outbox_attempts"
# A function that says IMMUTABLE and calls one that writes: whatever is indexed by it is copied elsewhere.
_STEALS = (
    "CREATE SCHEMA hop; CREATE TABLE hop.copy (what text); "
    "CREATE FUNCTION hop.v(jsonb) RETURNS int LANGUAGE plpgsql AS "
    "'BEGIN INSERT INTO hop.copy VALUES ($1::text); RETURN 1; END'; "
    "CREATE FUNCTION hop.i(jsonb) RETURNS int LANGUAGE plpgsql IMMUTABLE AS 'BEGIN RETURN hop.v($1); END'; "
)
# What is added, and the check that tells.
IN_THE_WAY = {
    "an index of what may not be a number": (
        f"CREATE INDEX further ON {QUEUE} (((payload ->> 'amount')::int))",
        "payment_outbox_pending_no_index_in_the_way",
    ),
    "an index over whole documents": (
        f"CREATE INDEX further ON {QUEUE} (payload)", "payment_outbox_pending_no_index_in_the_way",
    ),
    "an index that includes whole documents": (
        f"CREATE INDEX further ON {QUEUE} (created_at) INCLUDE (payload)", "payment_outbox_pending_no_index_in_the_way",
    ),
    "an index over a member of a document": (
        f"CREATE INDEX further ON {QUEUE} ((payload ->> 'note'))", "payment_outbox_pending_no_index_in_the_way",
    ),
    "an index over what went wrong, in any words": (
        f"CREATE INDEX further ON {ATTEMPTS} (error_message)", "payment_outbox_attempts_no_index_in_the_way",
    ),
    "an index over what went wrong in small letters": (
        f"CREATE INDEX further ON {ATTEMPTS} (lower(error_message))", "payment_outbox_attempts_no_index_in_the_way",
    ),
    "an index that is a trigger": (
        f"{_STEALS} CREATE INDEX further ON {QUEUE} (hop.i(payload))", "payment_outbox_pending_no_index_in_the_way",
    ),
    "an index whose predicate is one": (
        f"{_STEALS} CREATE INDEX further ON {QUEUE} (created_at) WHERE hop.i(payload) > 0",
        "payment_outbox_pending_no_index_in_the_way",
    ),
    "a stored column of what may not be a number": (
        f"ALTER TABLE {QUEUE} ADD COLUMN amount int GENERATED ALWAYS AS ((payload ->> 'amount')::int) STORED",
        "payment_outbox_pending_no_column_in_the_way",
    ),
    "a virtual column of what may not be a number": (
        f"ALTER TABLE {QUEUE} ADD COLUMN amount int GENERATED ALWAYS AS ((payload ->> 'amount')::int)",
        "payment_outbox_pending_no_column_in_the_way",
    ),
    "a stored column that is too short": (
        "ALTER TABLE public.tenants ADD COLUMN short varchar(3) GENERATED ALWAYS AS (tenant_name) STORED",
        "tenants_no_column_in_the_way",
    ),
    "a stored column that is too small": (
        f"ALTER TABLE {ATTEMPTS} ADD COLUMN small smallint GENERATED ALWAYS AS (sequence_id) STORED",
        "payment_outbox_attempts_no_column_in_the_way",
    ),
    "a stored column by a length that is none": (
        "ALTER TABLE public.tenants ADD COLUMN short text GENERATED ALWAYS AS (substr(tenant_name, 1, -1)) STORED",
        "tenants_no_column_in_the_way",
    ),
    "a default that is a trigger": (
        ("CREATE SCHEMA hop; CREATE FUNCTION hop.v() RETURNS int LANGUAGE sql AS 'SELECT 1'; "
        f"ALTER TABLE {ATTEMPTS} ADD COLUMN z int DEFAULT hop.v()"), "payment_outbox_attempts_no_column_in_the_way",
    ),
    "a default that fails": (
        "ALTER TABLE public.tenants ADD COLUMN z int; ALTER TABLE public.tenants ALTER COLUMN z SET DEFAULT 1 / 0",
        "tenants_no_column_in_the_way",
    ),
    "a sequence that a writer may not ask": (
        ("CREATE SEQUENCE public.further; ALTER TABLE public.billable_clients ADD COLUMN n bigint "
        "DEFAULT nextval('public.further')"), "billable_clients_no_column_in_the_way",
    ),
    "a sequence that ends": (
        "ALTER TABLE public.tenants ADD COLUMN n bigint GENERATED ALWAYS AS IDENTITY (MAXVALUE 4000)",
        "tenants_no_column_in_the_way",
    ),
    "a domain with a rule": (
        ("CREATE DOMAIN public.ruled AS text CHECK (VALUE IS NOT NULL); CREATE DOMAIN public.further AS public.ruled; "
        f"ALTER TABLE {QUEUE} ADD COLUMN z public.further"), "payment_outbox_pending_no_column_in_the_way",
    ),
    "a column that must be filled": (
        f"ALTER TABLE {QUEUE} ADD COLUMN z int NOT NULL", "payment_outbox_pending_no_column_in_the_way",
    ),
    "a column that keeps long values in the row": (
        "ALTER TABLE public.tenants ADD COLUMN words text, ALTER COLUMN words SET STORAGE PLAIN",
        "tenants_no_column_in_the_way",
    ),
    "documents that stay in the row": (
        f"ALTER TABLE {QUEUE} ALTER COLUMN payload SET STORAGE PLAIN", "payment_outbox_pending.payload",
    ),
    "an index whose name begins as a reviewed one does": (
        f"CREATE INDEX idx_payment_outbox_pending_correlation_idx ON {QUEUE} (payload)",
        "payment_outbox_pending_no_index_in_the_way",
    ),
    "a policy of rows": ("CREATE POLICY further ON public.tenants USING (false)", "tenants_table"),
    "no identity for a replica": ("ALTER TABLE public.participants REPLICA IDENTITY NOTHING", "participants_table"),
}  # fmt: skip
FREE = {
    "hashes of documents": f"CREATE INDEX further ON {QUEUE} USING hash (payload)",
    "pieces of documents": f"CREATE INDEX further ON {QUEUE} USING gin (payload); "
    f"CREATE INDEX further_paths ON {QUEUE} USING gin (payload jsonb_path_ops)",
    "times by their ranges": f"CREATE INDEX further ON {QUEUE} USING brin (created_at, rail_type text_bloom_ops)",
    "names, two together": f"CREATE INDEX further ON {QUEUE} (participant_id, rail_type) WHERE tenant_id IS NOT NULL",
    "names in small letters": f"CREATE INDEX further ON {QUEUE} (lower(participant_id)); "
    "CREATE INDEX further_pieces ON public.tenants ((left(tenant_name, 8))) WHERE length(tenant_name) > 3",
    "some states": f"CREATE INDEX further ON {ATTEMPTS} (created_at) "
    "WHERE state IN ('DISPATCHED', 'FAILED') AND rail_type <> 'x'",
    "a member of a document": f"ALTER TABLE {QUEUE} ADD COLUMN amount text GENERATED ALWAYS AS (payload ->> 'amount'), "
    "ADD COLUMN currency text GENERATED ALWAYS AS (coalesce(payload ->> 'currency', 'ZMW')) STORED",
    "the time and an id": f"ALTER TABLE {ATTEMPTS} ADD COLUMN seen timestamptz DEFAULT now(), "
    "ADD COLUMN mark uuid NOT NULL DEFAULT gen_random_uuid(), ADD COLUMN who text DEFAULT current_user",
    "values stored in every other way": f"ALTER TABLE {QUEUE} ALTER COLUMN payload SET STORAGE MAIN, "
    "ALTER COLUMN rail_type SET STORAGE EXTERNAL, ALTER COLUMN sequence_id SET STORAGE PLAIN, "
    "ADD COLUMN words text, ALTER COLUMN words SET STORAGE MAIN, ADD COLUMN number int",
    "a domain without a rule": "CREATE DOMAIN public.words AS text; "
    "ALTER TABLE public.tenants ADD COLUMN w public.words",
}


def red(bench: Bench, change: str) -> dict[str, object]:
    """What is red under the change: by invariant, the checks or the error."""
    with bench.owner.transaction(force_rollback=True):
        bench.owner.execute(change.encode())
        results = bench.settle()
    assert len(results) == len(INVARIANTS)
    return {name: r.error or {check.id for check in r.failures} for name, r in results.items() if not r.passed}


@pytest.mark.parametrize("name", IN_THE_WAY)
def test_what_is_in_the_way_of_a_row_is_told(bench: Bench, name: str) -> None:
    """By the invariant that owns the tables, in the check of that table."""
    change, check = IN_THE_WAY[name]
    with bench.owner.transaction(force_rollback=True):
        bench.owner.execute(change.encode())
        result = bench.settle(GATE)[GATE]
    assert {one.id for one in result.failures} == {check}, result.error


def test_an_index_that_sorts_by_somebodys_function_is_told(bench: Bench) -> None:
    """A superuser's operator class over a type of the server's runs whatever its function says, at every row."""
    with bench.admin.transaction(force_rollback=True):
        bench.admin.execute(
            "CREATE SCHEMA hop; CREATE FUNCTION hop.cmp(uuid, uuid) RETURNS int LANGUAGE sql IMMUTABLE AS "
            "'SELECT pg_catalog.uuid_cmp($1, $2)'; CREATE OPERATOR CLASS hop.sorted FOR TYPE uuid USING btree AS "
            "OPERATOR 1 <, OPERATOR 2 <=, OPERATOR 3 =, OPERATOR 4 >=, OPERATOR 5 >, FUNCTION 1 hop.cmp(uuid, uuid); "
            "CREATE INDEX further ON public.tenants (tenant_id hop.sorted)"
        )
        result = bench.settle(GATE, conn=bench.admin)[GATE]
    assert [(check.id, check.observed) for check in result.failures] == [
        ("tenants_no_index_in_the_way", "further: runs the functions of sorted")
    ]


def test_what_is_in_nobodys_way_is_not_told(bench: Bench) -> None:
    """All of it at once leaves every invariant green."""
    changes = [change.replace("further", f"further_{at}") for at, change in enumerate(FREE.values())]
    assert red(bench, "; ".join(changes)) == {}


@pytest.mark.parametrize(
    "name",
    [
        "a default that is a trigger",
        "a sequence that ends",
        "an index over what went wrong, in any words",
        "a virtual column of what may not be a number",
    ],
)
def test_it_is_told_once(bench: Bench, name: str) -> None:
    """Where no probe's own row is refused, no other invariant is red: nobody's twin is in want of the column."""
    assert red(bench, IN_THE_WAY[name][0]).keys() == {GATE}


_LONG = (
    "(SELECT jsonb_build_object('amount', '12.50', 'note', string_agg(md5(i::text), '')) "
    "FROM generate_series(1, 400) AS i)"
)


@pytest.mark.parametrize(
    ("name", "refused"),
    [
        ("an index of what may not be a number", "22P02"),
        ("an index over whole documents", "54000"),
        ("an index that includes whole documents", "54000"),
        ("an index over a member of a document", "54000"),
        ("documents that stay in the row", "54000"),
        ("a stored column of what may not be a number", "22P02"),
        ("a domain with a rule", "23514"),
        ("a column that must be filled", "23502"),
    ],
)
def test_it_would_have_refused_an_enqueue(bench: Bench, name: str, refused: str) -> None:
    """Not by what is written, but by what happens: the same call that is taken without it."""
    enqueue = f"SELECT public.enqueue_payment_outbox('i', 'p', 'k', 'r', {_LONG})"
    with bench.owner.transaction(force_rollback=True):
        bench.owner.execute(enqueue.encode())
    with bench.owner.transaction(force_rollback=True):
        bench.owner.execute(IN_THE_WAY[name][0].encode())
        with pytest.raises(psycopg.Error) as caught:
            bench.owner.execute(enqueue.encode())
        assert caught.value.sqlstate == refused


def test_a_virtual_column_stops_the_worker(bench: Bench) -> None:
    """It is worked out when the row is read: the enqueue passes, and no claim of the whole batch does."""
    with bench.owner.transaction(force_rollback=True):
        bench.owner.execute(IN_THE_WAY["a virtual column of what may not be a number"][0].encode())
        bench.owner.execute(f"SELECT public.enqueue_payment_outbox('i', 'p', 'k', 'r', {_LONG})".encode())
        for reads in (
            "SELECT * FROM public.payment_outbox_pending",
            "SELECT outbox_id FROM public.claim_outbox_batch(1, 'w', 60)",
        ):
            with pytest.raises(psycopg.errors.InvalidTextRepresentation), bench.owner.transaction():
                bench.owner.execute(reads.encode())


def test_a_long_document_passes_what_is_in_nobodys_way(bench: Bench) -> None:
    """What was measured to be harmless takes the longest payload, and so does a claim and a completion of it."""
    with bench.owner.transaction(force_rollback=True):
        for at, change in enumerate(FREE.values()):
            bench.owner.execute(change.replace("further", f"further_{at}").encode())
        bench.owner.execute(f"SELECT public.enqueue_payment_outbox('i', 'p', 'k', 'r', {_LONG})".encode())
        claimed = bench.owner.execute(
            "SELECT outbox_id, lease_token FROM public.claim_outbox_batch(1, 'w', 60)"
        ).fetchall()
        (item,) = claimed
        bench.owner.execute("SELECT public.complete_outbox_attempt(%s, %s, 'w', 'DISPATCHED')", item)


def test_an_index_that_is_a_trigger_takes_the_payload_along(bench: Bench) -> None:
    """What the reviewer of it sees: a copy of every payload, made by an index."""
    with bench.owner.transaction(force_rollback=True):
        bench.owner.execute(IN_THE_WAY["an index that is a trigger"][0].encode())
        bench.owner.execute("SELECT public.enqueue_payment_outbox('i', 'p', 'k', 'r', '{\"a\": 1}')")
        assert bench.owner.execute("SELECT count(*) FROM hop.copy").fetchone() == (1,)


@pytest.mark.parametrize(
    ("published", "told"),
    [
        ("public.participants WHERE (legal_name <> 'x')", True),
        ("public.participants WHERE (participant_id <> 'x')", False),
        ("public.participants (legal_name)", True),
        ("public.participants (participant_id, legal_name)", False),
        ("public.participants", False),
    ],
)
def test_a_publication_that_lets_no_row_be_changed(bench: Bench, published: str, told: bool) -> None:  # noqa: FBT001
    """The server refuses an UPDATE (42P10) where a filter asks for more than the key, or a list has less of it."""
    change = "UPDATE public.participants SET legal_name = 'y'"
    with bench.admin.transaction(force_rollback=True):
        bench.admin.execute(f"CREATE PUBLICATION further FOR TABLE {published}".encode())
        result = bench.settle(GATE, conn=bench.admin)[GATE]
        seen = [check.observed for check in result.failures]
        if told:
            with pytest.raises(psycopg.errors.InvalidColumnReference), bench.admin.transaction():
                bench.admin.execute(change.encode())
        else:
            bench.admin.execute(change.encode())
    assert seen == (["no UPDATE under publication further"] if told else [])


def test_what_a_key_of_two_columns_asks_for_is_read(bench: Bench) -> None:
    """MATCH FULL refuses a reference of which one column is empty; of a single column it says nothing."""
    with bench.owner.transaction(force_rollback=True):
        bench.owner.execute(
            "CREATE TABLE public.pairs (a int, b int, PRIMARY KEY (a, b)); "
            "CREATE TABLE public.refers (a int, b int, c uuid REFERENCES public.tenants MATCH FULL, "
            "FOREIGN KEY (a, b) REFERENCES public.pairs MATCH FULL)"
        )
        keys = bench.on(bench.owner).facts.tables["refers"].constraints
    assert ["MATCH FULL" in key.text for key in keys] == [True, False]
