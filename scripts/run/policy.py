"""The verb `policy.seed`: give an existing database the policy version it starts with.

Owns: what it says, and when there is nothing to do.
Never: decides what may be seeded (scripts/verifiers/policy).
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from scripts.errors.base import ExitCode
from scripts.errors.policy import NoPolicySourceError
from scripts.errors.settings import UsageError
from scripts.run.history import connected

if TYPE_CHECKING:
    from scripts.run.voice import Voice
    from scripts.settings import Settings
    from scripts.verifiers.policy.source import Policy

_TOLD = {
    "inserted": "policy {version} seeded: it is the active version",
    "unchanged": "policy {version} is the active version already; nothing was changed",
}
# Seeding is optional, its switch says when it is not: so this is no failure, and does not read as a seed either.
_NO_SOURCE = (
    "no policy is named, so none was seeded: SEED_POLICY_FILE names one, REQUIRE_POLICY_SEED=1 makes this an error"
)


def seed(settings: Settings, voice: Voice) -> int:
    """Seed the policy that the settings name; one that is there already is left as it is."""
    from scripts.verifiers.policy.seed import seed_policy
    from scripts.verifiers.policy.source import read_policy

    if settings.skip_policy_seed:
        return _nothing(voice, "skipped", "SKIP_POLICY_SEED=1: no policy was seeded, and none was looked for")
    policy = read_policy(settings)
    if policy is None:
        if settings.require_policy_seed:
            raise NoPolicySourceError.required()
        return _nothing(voice, "no source", _NO_SOURCE)
    if settings.fresh_db:
        raise UsageError.needs_database("policy.seed")
    with connected(settings, voice) as conn:
        outcome = seed_policy(conn, policy)
    voice.line(_TOLD[outcome].format(version=policy.version))
    voice.value(json.dumps(_document(outcome, policy), indent=2))
    return int(ExitCode.PASSED)


def _nothing(voice: Voice, outcome: str, sentence: str) -> int:
    voice.line(sentence)
    voice.value(json.dumps(_document(outcome, None), indent=2))
    return int(ExitCode.PASSED)


def _document(outcome: str, policy: Policy | None) -> dict[str, str | None]:
    return {
        "outcome": outcome,
        "version": policy.version if policy else None,
        "checksum": policy.checksum if policy else None,
        "source": policy.origin if policy else None,
    }
