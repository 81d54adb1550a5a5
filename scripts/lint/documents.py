"""docs/lints.md, made from the rules themselves.

Owns: the document's form; `pytest tests/unit/lint --update-golden` writes it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from scripts.lint.gates import LINT_GATES
from scripts.lint.landed import RULES as LANDED
from scripts.lint.registry import RULES
from scripts.lint.squawk import SQUAWK_RULES

if TYPE_CHECKING:
    from collections.abc import Iterator

    from scripts.lint.model import Rule

_HEAD = """\
# Lints

Made from the rules by `pytest tests/unit/lint --update-golden`; every example here is run by a test.

`invoke lint` reads every file of the folder of migrations with PostgreSQL's own grammar, function bodies, DO blocks
and constant EXECUTE strings included. No server is needed. A finding names file, line and column; any finding is red,
a warning, too.

- **Existing** means: not created earlier in the same file. What no file creates at all exists as well, and IF NOT
  EXISTS proves nothing.
- **Run by the migration** is what stands at the top of a file, in a DO block, or in CREATE SCHEMA. The body of a
  function runs later: rules about locks and drops leave it alone, and `runtime-ddl` forbids DDL there.
- **Dynamic SQL** is read where its shape is known: constants, and `format()` with `%I` and `%L` alone. Anything else is
  `opaque-sql`.

## How a finding is accepted

`lint_allowlist.yml` beside the folder (JSON, which is YAML, too) holds the exemptions:
`{"exemptions": [{"rule": …, "file": …, "statement": …, "reason": …, "reviewer": …}]}`. `statement` is the digest that
the evidence shows beside the finding. It covers the whole parsed statement, so another statement that begins alike is
not covered, and an edit ends the exemption; layout and comments do not. An exemption that covers nothing is a finding.
None ends by date.

## A new rule

One file in `scripts/lint/rules/` with a frozen `RULE` and its two examples, one line in `scripts/lint/registry.py`.
The tests find the rest.
"""


def render_lints() -> str:
    """The whole document."""
    return "\n".join([_HEAD, *_gates(), *_rules(), *_landed(), *_squawk()]) + "\n"


def _gates() -> Iterator[str]:
    yield "## Gates\n"
    yield "| gate | check | promise | rules |\n|---|---|---|---|"
    for gate in LINT_GATES:
        names = [f"[{rule.id}](#{rule.id})" for rule in RULES if rule.gate == gate.id]
        names = names or [{"landed": "the four of landed migrations", "squawk": "squawk's"}.get(gate.kind, "—")]
        yield f"| `{gate.id}` | `{gate.check_id}` | {gate.promise} | {', '.join(names)} |"
    yield ""


def _rules() -> Iterator[str]:
    yield "## Rules\n"
    for rule in RULES:
        yield from _rule(rule)


def _rule(rule: Rule) -> Iterator[str]:
    yield f"### {rule.id}\n"
    yield f"{rule.title}. ({rule.severity}, `{rule.gate}`)\n"
    yield f"{rule.why} **Instead:** {rule.help}.\n"
    yield "```sql"
    if rule.before:
        yield f"-- an earlier file\n{rule.before}\n"
    yield f"-- found\n{rule.red}\n\n-- not found\n{rule.green}\n```\n"


def _landed() -> Iterator[str]:
    yield "## Landed migrations\n"
    yield (
        "What has landed is what the merge base of HEAD and `BASE_REF` (default `origin/main`) holds. When HEAD\n"
        "itself is part of `BASE_REF`, and in a clone without such a ref, it is HEAD: the files on disk are then\n"
        "compared with what is committed, and the evidence says so. On CI a clone that has a remote but not\n"
        "`BASE_REF` is an error. A pipeline that runs after a push sets `BASE_REF` to the commit before it.\n\n"
        "The project's own folder without git, a repository or a commit that holds it is an error everywhere. A\n"
        "folder of somebody else's outside of every repository passes off CI: nothing of it has landed.\n"
    )
    for name, title in LANDED.items():
        yield f"- `{name}`: {title}."
    yield ""


def _squawk() -> Iterator[str]:
    yield "## squawk\n"
    yield (
        "The second opinion, independent of ours down to the parser. It is asked every rule it asks by default, but\n"
        "for those left out below, and some that it does not. Comments are blanked before it reads a file:\n"
        "`-- squawk-ignore` silences nothing.\n"
    )
    yield "| rule | asked | why |\n|---|---|---|"
    for rule in sorted(SQUAWK_RULES, key=lambda r: (r.asked, r.default, r.name)):
        asked = "yes" if rule.asked else "no"
        yield f"| `{rule.name}` | {asked}{'' if rule.default else ' (off by default)'} | {rule.why} |"
