"""What an added column or index works out: what its tree proves to be harmless, and the neighbours that are not."""

from __future__ import annotations

from typing import TYPE_CHECKING

import psycopg
import pytest

from scripts.verifiers.facts.hurdles import UNTRIED
from scripts.verifiers.facts.tables import TABLES

if TYPE_CHECKING:
    from db.verifiers.conftest import Bench

GATE = "table-definitions"
QUEUE, ATTEMPTS = "public.payment_outbox_pending", "public.payment_outbox_attempts"
# A document, a text that a document's member is, and a time without a zone.
_NOTE = "(payload ->> 'note')"
_AT = "(created_at AT TIME ZONE 'UTC')"
# Keys of an index on the ledger of attempts that refuse nothing.
KEYS = (
    f"md5({_NOTE})",
    "md5(error_message)",
    "left(error_message, 50)",
    f"left({_NOTE}, 50)",
    f"lower(left({_NOTE}, 50))",
    f"right({_NOTE}, 500)",
    f"left(lower({_NOTE}), 500)",
    f"substr({_NOTE}, 3, 20)",
    f"substring({_NOTE} FROM 3 FOR 20)",
    "outbox_id::text",
    "attempt_no::text",
    "sequence_id::text",
    "(completed_at IS NULL)::text",
    "participant_id || '/' || attempt_no",
    f"date_trunc('day', {_AT})",
    f"date_trunc('HOUR', {_AT})",
    "created_at AT TIME ZONE 'gmt'",
    "replace(participant_id, '-', '')",
    "replace(rail_type, 'ab', 'ba')",
    "replace(rail_type, '', 'anything')",
    "nullif(rail_code, '')",
    "length(payload::text)",
    "CASE rail_type WHEN 'x' THEN 'y' ELSE rail_type END",
    "CASE WHEN payload IS NULL THEN 'none' ELSE rail_type END",
    "coalesce(rail_code, error_code, 'none')",
    f"{_AT}::date",
    "(created_at AT TIME ZONE 'Africa/Lusaka')::date",
    "(participant_id LIKE 'ngo-%')::text",
    "(rail_type NOT LIKE '%x')::text",
    "char_length(error_message)",
    "greatest(created_at, completed_at)",
    "least(created_at, completed_at, claimed_at)",
    "split_part(participant_id, '-', 1)",
    "split_part(participant_id, '-', -1)",
    "reverse(participant_id)",
    "initcap(left(participant_id, 20))",
    "latency_ms / 1000",
    "sequence_id / 1000 % 7",
    "sequence_id * 1",
    "attempt_no % 2",
    "(ARRAY[rail_type, rail_code] = ARRAY[rail_code, rail_type])::text",
    "(ARRAY[[attempt_no, 1], [2, 3]] @> ARRAY[attempt_no])::text",
    "(state = 'DISPATCHED' OR created_at > claimed_at OR '[1,5)'::int4range @> attempt_no)::text",
    "(payload ? 'note' OR payload @> '{}' OR payload ->> 0 = payload #>> '{a,b}' OR rail_type ^@ 'x')::text",
)
# Those that can fail, or hold what may be long, or are not proved to do neither.
LONG = (
    f"left({_NOTE}, 100000)",
    f"left({_NOTE}, 501)",
    f"left({_NOTE}, -1)",
    f"left({_NOTE}, attempt_no)",
    f"upper(left({_NOTE}, 200))",
    f"substr({_NOTE}, 3)",
    f"substr({_NOTE}, 3, 600)",
    f"replace({_NOTE}, 'a', '')",
    "replace(error_message, '-', '')",
    "payload::text",
    "coalesce(rail_code, error_message)",
    f"CASE WHEN attempt_no > 1 THEN {_NOTE} END",
    "rail_type || error_message",
)
FAILING = {
    f"date_trunc('dayx', {_AT})": "date_trunc(text,timestamp without time zone)",
    f"date_trunc(rail_type, {_AT})": "date_trunc(text,timestamp without time zone)",
    "created_at AT TIME ZONE rail_type": "timezone(text,timestamp with time zone)",
    "created_at AT TIME ZONE 'Nowhere/Known'": "timezone(text,timestamp with time zone)",
    f"{_AT} + interval '1 day'": "+(timestamp without time zone,interval)",
    "substr(rail_type, 1, attempt_no)": "substr(text,integer,integer)",
    "substr(rail_type, 1, -1)": "substr(text,integer,integer)",
    "replace(rail_type, 'a', 'aa')": "replace(text,text,text)",
    "replace(rail_type, 'a', participant_id)": "replace(text,text,text)",
    "replace(rail_type, participant_id, 'a')": "replace(text,text,text)",
    f"{_NOTE}::integer": "text AS integer",
    f"{_NOTE}::uuid": "text AS uuid",
    "to_tsvector('simple', error_message)": "to_tsvector(regconfig,text)",
    "tstzrange(created_at, completed_at)": "tstzrange(timestamp with time zone,timestamp with time zone)",
    "split_part(rail_type, '-', 0)": "split_part(text,text,integer)",
    "split_part(rail_type, '-', attempt_no)": "split_part(text,text,integer)",
    "rail_type LIKE 'x\\'": "~~(text,text)",
    "rail_type LIKE participant_id": "~~(text,text)",
    "attempt_no / 0": "/(integer,integer)",
    "attempt_no / -1": "/(integer,integer)",
    "sequence_id % attempt_no": "%(bigint,bigint)",
    "attempt_no * 2": "*(integer,integer)",
    "translate(rail_type, 'a', 'b')": "translate(text,text,text)",
    "CASE WHEN rail_type = 'x' THEN 1 / attempt_no END": "/(integer,integer)",
}
DEFAULTS = (
    ("text", "current_timestamp::text"),
    ("text", "gen_random_uuid()::text"),
    ("text", "now()"),
    ("timestamptz", "now() + interval '30 days'"),
    ("timestamptz", "interval '1 year 2 days' + now() - interval '-3 hours'"),
    ("timestamptz", "date_trunc('month', now(), 'UTC') + interval '1 month'"),
    ("timestamptz", "date_trunc('week', clock_timestamp())"),
    ("timestamptz(3)", "now()"),
    ("timestamp", "now() AT TIME ZONE 'utc'"),
    ("timestamp", "(now() AT TIME ZONE 'Etc/UTC') + interval '999 years'"),
    ("timestamp", "localtimestamp"),
    ("timestamp", "now() AT TIME ZONE 'africa/lusaka'"),
    ("timestamptz", "date_trunc('day', now(), 'Africa/Lusaka')"),
    ("timestamp", "now()"),
    ("date", "current_date"),
    ("date", "now()"),
    ("timestamp", "current_date + interval '7 days'"),
    ("timestamptz", "coalesce(now() + interval '1 day', now())"),
    ("text", "'DISPATCHED'::public.outbox_attempt_state"),
    ("public.words", "'none'"),
    ("text", "md5(random()::text)"),
    ("text", "encode(sha256('x'), 'hex')"),
    ("bigint", "txid_current()"),
    ("xid8", "pg_current_xact_id()"),
    ("inet", "inet_client_addr()"),
    ("jsonb", "jsonb_build_object()"),
    ("bigint NOT NULL", "extract(epoch FROM now())::bigint"),
    ("int", "extract(year FROM now())::int"),
    ("smallint", "extract(month FROM current_date)"),
    ("tstzrange NOT NULL", "tstzrange(now(), NULL)"),
    ("tsrange", "tsrange(NULL, localtimestamp)"),
    ("timestamptz", "greatest(now(), now() + interval '1 day')"),
    ("numeric(18,2)", "0"),
    ("numeric(18,2)", "0.00"),
    ("numeric(5)", "-12"),
    ("char(3)", "'ZMW'"),
    ("varchar(20)", "'API'"),
    ("smallint", "0"),
    ("real", "0"),
    ("double precision", "0"),
    ("double precision", "0.5"),
    ("bit(1)", "'0'"),
    ("money", "0"),
    ("time", "current_time"),
    ("time(0)", "localtime"),
    ("timestamptz(3)", "'2026-11-30 16:53+00'"),
    ("smallint", "CASE WHEN current_user = 'x' THEN 1::smallint ELSE 2::smallint END"),
)
FAILING_DEFAULTS = {
    ("timestamptz", "now() + interval '300000 years'"): "+(timestamp with time zone,interval)",
    ("timestamptz", "now() - interval '100000000 days'"): "-(timestamp with time zone,interval)",
    ("timestamptz", "now() + interval '2000000000 hours'"): "+(timestamp with time zone,interval)",
    ("timestamptz", "now() + age(now(), now())"): (
        "+(timestamp with time zone,interval), age(timestamp with time zone,timestamp with time zone)"
    ),
    ("timestamptz", "date_trunc('dayx', now())"): "date_trunc(text,timestamp with time zone)",
    ("timestamptz", "date_trunc('day', now(), 'Nowhere/Known')"): "date_trunc(text,timestamp with time zone,text)",
    ("timestamp", "now() AT TIME ZONE current_setting('x.zone')"): (
        "current_setting(text), timezone(text,timestamp with time zone)"
    ),
    ("timestamp", "now() AT TIME ZONE 'Nowhere/Known'"): "timezone(text,timestamp with time zone)",
    ("text", "'none'::public.ruled"): "COERCETODOMAIN",
    ("int", "extract(epoch FROM now())::int"): "int4(numeric)",
    (
        "int",
        "extract(year FROM 'infinity'::timestamptz)::int",
    ): '"extract"(text,timestamp with time zone), int4(numeric)',
}
# Asked of a list with a NULL in it, the answer is NULL where no other member decides.
UNFILLED = (
    "date_trunc('minute', now()) = ANY (ARRAY['2026-11-30 16:53+00'::timestamptz, NULL])",
    "current_date = ANY ('{2026-11-30,NULL}'::date[])",
    "current_user::text <> ALL (ARRAY['x', nullif('x', 'y')])",
    "current_user::text <> ALL (CASE WHEN current_date IS NULL THEN ARRAY['x'] ELSE '{x,NULL}' END)",
)
_DOMAINS = "CREATE DOMAIN public.words AS text; CREATE DOMAIN public.ruled AS text CHECK (VALUE <> '')"


# Operators and lists that may fail for the values of one row and not of another: the columns, what is worked out of
# them, what is told, and what the server says when it happens.
IN_ONE_ROW = {
    "points": ("point[] DEFAULT '{\"(0,0)\"}'", "x = x", "=(anyarray,anyarray)", "could not identify"),
    "pairs": ("public.pair DEFAULT '(a,\"(0,0)\")'", "x <> x", "<>(record,record)", "could not identify"),
    "many pairs": ("public.pair[] DEFAULT ARRAY['(a,\"(0,0)\")'::public.pair]",
                   "x = x", "=(anyarray,anyarray)", "could not identify"),
    "lists": ("text[] DEFAULT '{x}'", "ARRAY[x, '{{x,y}}'] IS NULL", "ARRAYEXPR", "matching"),
    "written lists": ("text[] DEFAULT '{x}'", "ARRAY[ARRAY[x], ARRAY[x, x]] IS NULL", "ARRAYEXPR", "matching"),
    "collations": (
        "text COLLATE \"C\" DEFAULT 'x', ADD COLUMN y text COLLATE \"POSIX\" DEFAULT 'y'",
        "length(lower(x || y)) > 0", "texts of several collations",
        "could not determine which collation",
    ),
    "joined lists": (
        "text[] DEFAULT '{{{x}}}'", "x || ARRAY['x'] IS NULL", "||(anycompatiblearray,anycompatiblearray)",
        "cannot concatenate incompatible arrays",
    ),
}  # fmt: skip


def observed(bench: Bench, change: str) -> dict[str, str]:
    """What fails under the change, by check."""
    with bench.owner.transaction(force_rollback=True):
        bench.owner.execute(change.encode())
        result = bench.settle(GATE)[GATE]
    assert not result.error
    return {check.id: str(check.observed) for check in result.failures}


def test_what_is_proved_harmless_is_not_told(bench: Bench) -> None:
    """Each as an index of its own, as a predicate, as statistics and as a default, all at once."""
    changes = [f"CREATE INDEX further_{at} ON {ATTEMPTS} (({key}))" for at, key in enumerate(KEYS)]
    changes += [f"CREATE INDEX where_{at} ON {ATTEMPTS} (state) WHERE ({key}) IS NULL" for at, key in enumerate(KEYS)]
    changes += [f"CREATE STATISTICS public.said_{at} ON ({key}) FROM {ATTEMPTS}" for at, key in enumerate(KEYS)]
    changes += [
        f"ALTER TABLE public.tenants ADD COLUMN further_{at} {kind} DEFAULT ({value})"
        for at, (kind, value) in enumerate(DEFAULTS)
    ]
    assert observed(bench, "; ".join((_DOMAINS, *changes))) == {}


def test_the_words_of_a_name_are_not_told(bench: Bench) -> None:
    """By the rules that came with the server; those of a long text may be too many."""
    words = f"ALTER TABLE {ATTEMPTS} ADD COLUMN further tsvector GENERATED ALWAYS AS (to_tsvector('simple', %s)) STORED"
    assert observed(bench, words % "participant_id") == {}
    assert observed(bench, words % "error_message").keys() == {"payment_outbox_attempts_no_column_in_the_way"}


def test_it_refuses_nothing(bench: Bench) -> None:
    """A row with the longest values is taken beside all of those indexes, and has all of those defaults."""
    long = "(SELECT string_agg(md5(i::text), '') FROM generate_series(1, 2000) AS i)"
    document = f"jsonb_build_object('note', {long})"
    enqueue = f"SELECT outbox_id FROM public.enqueue_payment_outbox('i', 'p', 'k', 'r', {document})"
    claim = "SELECT outbox_id, lease_token FROM public.claim_outbox_batch(1, 'w', 60)"
    with bench.owner.transaction(force_rollback=True):
        for at, key in enumerate(KEYS):
            bench.owner.execute(f"CREATE INDEX further_{at} ON {ATTEMPTS} (({key}))".encode())
        bench.owner.execute(_DOMAINS.encode())
        for at, (kind, value) in enumerate(DEFAULTS):
            bench.owner.execute(f"ALTER TABLE {ATTEMPTS} ADD COLUMN d_{at} {kind} DEFAULT ({value})".encode())
        bench.owner.execute(enqueue.encode())
        (item,) = bench.owner.execute(claim.encode()).fetchall()
        bench.owner.execute(
            f"SELECT public.complete_outbox_attempt(%s, %s, 'w', 'RETRYABLE', p_error_message => {long})".encode(), item
        )
        assert bench.owner.execute(f"SELECT count(*) FROM {ATTEMPTS} WHERE d_0 <> ''".encode()).fetchone() == (1,)


@pytest.mark.parametrize("key", LONG)
def test_what_may_be_long_is_told(bench: Bench, key: str) -> None:
    """An index of it could refuse a row; to work it out refuses none."""
    told = observed(bench, f"CREATE INDEX further ON {ATTEMPTS} (({key}))")
    assert told.keys() == {"payment_outbox_attempts_no_index_in_the_way"}
    assert told["payment_outbox_attempts_no_index_in_the_way"].startswith("further: holds no long value of ")
    assert observed(bench, f"CREATE INDEX further ON {ATTEMPTS} (state) WHERE ({key}) IS NULL") == {}


def test_pieces_that_are_too_long_together_are_told(bench: Bench) -> None:
    """Each fits, and both do not."""
    keys = f"left({_NOTE}, 300)", "right(error_message, 300)"
    for key in keys:
        assert observed(bench, f"CREATE INDEX further ON {ATTEMPTS} ({key})") == {}
    told = observed(bench, f"CREATE INDEX further ON {ATTEMPTS} ({', '.join(keys)})")
    assert told.keys() == {"payment_outbox_attempts_no_index_in_the_way"}


@pytest.mark.parametrize("key", FAILING)
def test_what_can_fail_is_told(bench: Bench, key: str) -> None:
    """By the name of what could, in an index, a predicate and statistics alike."""
    for change, check in (
        (f"CREATE INDEX further ON {ATTEMPTS} (({key}))", "index"),
        (f"CREATE INDEX further ON {ATTEMPTS} (state) WHERE ({key}) IS NULL", "index"),
        (f"CREATE STATISTICS public.further ON ({key}) FROM {ATTEMPTS}", "statistics"),
    ):
        told = observed(bench, change)
        assert told.keys() == {f"payment_outbox_attempts_no_{check}_in_the_way"}
        assert next(iter(told.values())).endswith(f" ({FAILING[key]})")


@pytest.mark.parametrize("default", FAILING_DEFAULTS)
def test_a_default_that_can_fail_is_told(bench: Bench, default: tuple[str, str]) -> None:
    """Added first and filled afterwards: the server works out a default at once where the column comes with it."""
    kind, value = default
    told = observed(
        bench,
        f"{_DOMAINS}; ALTER TABLE public.tenants ADD COLUMN further {kind}; "
        f"ALTER TABLE public.tenants ALTER COLUMN further SET DEFAULT {value}",
    )
    assert told.keys() == {"tenants_no_column_in_the_way"}
    assert told["tenants_no_column_in_the_way"].endswith(f" ({FAILING_DEFAULTS[default]})")


@pytest.mark.parametrize("table", sorted(TABLES.keys() - UNTRIED))
def test_a_constant_that_cannot_be_cast_stops_a_probe(bench: Bench, table: str) -> None:
    """Also where nobody takes that branch; where no probe writes a row the cast itself is told."""
    worked_out = (
        f"ALTER TABLE public.{table} ADD COLUMN further smallint; ALTER TABLE public.{table} ALTER COLUMN further "
    )
    worked_out += "SET DEFAULT CASE WHEN current_user = 'bank-77' THEN 100000::smallint END"
    with bench.owner.transaction(force_rollback=True):
        bench.owner.execute(worked_out.encode())
        results = bench.settle()
    assert {name for name, result in results.items() if not result.passed} - {GATE, "migration-history"}
    assert results[GATE].passed


@pytest.mark.parametrize("table", sorted(UNTRIED))
def test_a_cast_in_a_table_of_which_no_probe_writes_a_row_is_told(bench: Bench, table: str) -> None:
    """There nothing else would tell that it fails."""
    told = observed(bench, f"ALTER TABLE public.{table} ADD COLUMN further smallint DEFAULT 0")
    assert told == {f"{table}_no_column_in_the_way": "further: works out 0 (int2(integer))"}


@pytest.mark.parametrize(
    "change",
    [
        f"ALTER TABLE {QUEUE} ADD COLUMN further money DEFAULT 2000000000",
        f"CREATE STATISTICS public.further ON ((attempt_count = 100000::smallint)) FROM {QUEUE}",
    ],
)
def test_what_nobody_need_work_out_is_told(bench: Bench, change: str) -> None:
    """A cast of a constant is harmless as a default alone; money has too many places somewhere."""
    (check,) = observed(bench, change)
    assert check.startswith("payment_outbox_pending_no_")


@pytest.mark.parametrize("name", IN_ONE_ROW)
def test_what_fails_in_one_row_alone_is_told(bench: Bench, name: str) -> None:
    """The probes' rows pass, and the one whose participant it is does not."""
    column, value, told, said = IN_ONE_ROW[name]
    change = (
        f"CREATE TYPE public.pair AS (a text, b point); ALTER TABLE {QUEUE} ADD COLUMN x {column}; "
        f"CREATE INDEX further ON {QUEUE} (outbox_id) WHERE participant_id = 'bank-77' AND ({value})"
    )
    found = observed(bench, change)
    assert found["payment_outbox_pending_no_index_in_the_way"].endswith(f"({told})")
    with bench.owner.transaction(force_rollback=True):
        bench.owner.execute(change.encode())
        enqueue = b"SELECT public.enqueue_payment_outbox(%s, %s, 'k', 'r', '{}')"
        bench.owner.execute(enqueue, ("one", "bank-78"))
        with pytest.raises(psycopg.Error, match=said):
            bench.owner.execute(enqueue, ("another", "bank-77"))


@pytest.mark.parametrize("value", UNFILLED)
def test_a_column_that_must_be_filled_and_asks_a_list_that_may_hold_null(bench: Bench, value: str) -> None:
    """Nothing fills it on the day on which nothing in the list is met."""
    told = observed(
        bench,
        "ALTER TABLE public.tenants ADD COLUMN further boolean; ALTER TABLE public.tenants "
        f"ALTER COLUMN further SET NOT NULL, ALTER COLUMN further SET DEFAULT ({value})",
    )
    assert told == {"tenants_no_column_in_the_way": "further: NOT NULL, and nothing fills it"}


@pytest.mark.parametrize(
    "value", ["now() + interval '300000 years'", "date_trunc('dayx', now())", "now() AT TIME ZONE 'Nowhere/Known'"]
)
def test_it_would_have_failed(bench: Bench, value: str) -> None:
    """Not by what is written, but by what happens."""
    with pytest.raises(psycopg.DataError), bench.owner.transaction():
        bench.owner.execute(f"SELECT {value}".encode())
