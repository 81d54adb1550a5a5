"""AC1, D-02, D-40, D-41: a new tenant among old ones, a version's age, and the generator that ids come from."""

from __future__ import annotations

from typing import TYPE_CHECKING, LiteralString

from scripts.verifiers.probes import world
from scripts.verifiers.probes.new_rows import NO_PAYER
from scripts.verifiers.probes.playing import Control, Probe
from scripts.verifiers.probes.violations import hollowed, rewritten, said

if TYPE_CHECKING:
    from scripts.verifiers.probes.stage import Stage

_SETTLE = "settle_tenant_payer"
_TENANT: LiteralString = (
    "INSERT INTO public.tenants (tenant_id, tenant_key, tenant_name, tenant_type) "
    "VALUES (coalesce(%(id)s, pg_catalog.gen_random_uuid()), %(key)s, 'probe', 'NGO')"
)
_MATCH = "WHERE t.tenant_id = NEW.tenant_id OR t.tenant_key"


def among_others(stage: Stage) -> None:
    """That others are there makes no tenant old; only what proposes itself under a taken name may lack its payer."""
    taken, where = world.tenant(stage), "public.tenants"
    fresh = {"id": None, "key": world.name("tenant")}
    stage.refused("tenant_among_others_without_payer", NO_PAYER, _TENANT, fresh, where=where)
    upsert: LiteralString = _TENANT + " ON CONFLICT (tenant_id) DO UPDATE SET tenant_name = 'proposed'"
    stage.accepted("proposal_under_a_taken_id", upsert, fresh | {"id": taken}, where=where)


def age(stage: Stage) -> None:
    """When a policy version was made is part of what it is."""
    version = {"version": world.name("policy")}
    stage.run(
        "INSERT INTO public.policy_versions (version, status, checksum) VALUES (%(version)s, 'RETIRED', 'checksum')",
        version,
    )
    stage.refused(
        "policy_created_at_rewritten",
        "P7301",
        "UPDATE public.policy_versions SET created_at = '2001-01-01' WHERE version = %(version)s",
        version,
        where="public.policy_versions",
    )


def generator(stage: Stage) -> None:
    """Ids are PostgreSQL's own, ordered by time, and the strategy says so."""
    found = stage.row(
        "SELECT public.uuid_strategy(), pg_catalog.uuid_extract_version(public.uuid_v7_or_random())::integer"
    )
    stage.findings.check(
        "ids_are_what_the_strategy_says",
        expected=["uuidv7", 7],
        observed=[*(found or ())],
        where="public.uuid_v7_or_random",
    )


AMONG_PROBES = (
    Probe(
        "among_others_setup",
        among_others,
        (
            Control(
                "others make it old",
                # Without the lock that goes with the search: the others are not ours.
                rewritten((_SETTLE, "OR FOUND;", "OR EXISTS (SELECT FROM public.tenants AS t);")),
                ("tenant_among_others_without_payer",),
            ),
            Control(
                "a taken id does not count",
                rewritten((_SETTLE, _MATCH, "WHERE t.tenant_key")),
                ("proposal_under_a_taken_id",),
            ),
        ),
    ),
)
AGE_PROBES = (
    Probe(
        "age_setup",
        age,
        (
            Control(
                "anything may be rewritten", hollowed("deny_policy_version_rewrite"), ("policy_created_at_rewritten",)
            ),
        ),
    ),
)
GENERATOR_PROBES = (
    Probe(
        "generator_setup",
        generator,
        (
            Control(
                "ids are random",
                said(
                    "CREATE OR REPLACE FUNCTION public.uuid_v7_or_random() RETURNS uuid LANGUAGE sql VOLATILE "
                    "PARALLEL SAFE RETURN pg_catalog.gen_random_uuid()"
                ),
                ("ids_are_what_the_strategy_says",),
            ),
        ),
    ),
)
