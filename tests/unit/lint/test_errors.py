"""What a lint says when it cannot look: what, where, expected and found, and the next step."""

from __future__ import annotations

import pytest

from scripts.errors.base import ExitCode
from scripts.errors.lint import AllowlistError, LandedError, LintError, RegistryError, SquawkError

TEXTS = (
    (
        RegistryError.unreadable("sqlstates.yml", "no JSON"),
        (
            "error[sqlstate registry]: sqlstates.yml: cannot be read\n"
            "  expected  JSON: an object with `codes`, each entry an object\n"
            "  found     no JSON\n"
            "  help: write it as JSON (which is YAML, too); restore it from git if it was like that before"
        ),
    ),
    (
        AllowlistError.unreadable("lint_allowlist.yml", "no JSON"),
        (
            "error[lint allowlist]: lint_allowlist.yml: cannot be read\n"
            '  expected  JSON: {"exemptions": [{rule, file, statement, reason, reviewer}]}\n'
            "  found     no JSON\n"
            "  help: correct it: an exemption that cannot be read would otherwise hide a finding, or show one twice"
        ),
    ),
    (
        AllowlistError.malformed("lint_allowlist.yml", 2, ["no reason", "no reviewer"]),
        (
            "error[lint allowlist]: lint_allowlist.yml: exemption 2 is not complete\n"
            "  expected  rule, file, statement, reason and reviewer, each with text\n"
            "  found     no reason\n"
            "  found     no reviewer\n"
            "  help: `invoke lint` keeps the digest of a statement beside its finding, as `statement` in the evidence"
        ),
    ),
    (
        LandedError.no_base("origin/main", shallow=False),
        (
            "error[landed]: no commit to compare the migrations with: origin/main is not in this clone\n"
            "  expected  origin/main, with history back to where this change left it\n"
            "  found     no such ref\n"
            "  help: fetch it (actions/checkout: fetch-depth: 0), or set BASE_REF to the commit this change starts from"
        ),
    ),
    (
        LandedError.no_merge_base("origin/main", shallow=True),
        (
            "error[landed]: HEAD and origin/main have no common ancestor in this clone\n"
            "  expected  one history\n"
            "  found     a shallow clone\n"
            "  help: fetch the whole history (git fetch --unshallow), or set BASE_REF to the right commit"
        ),
    ),
    (
        LandedError.git("git gave no answer", "nothing within 20 s"),
        (
            "error[landed]: git gave no answer\n"
            "  found  nothing within 20 s\n"
            "  help: run `git status` in the folder of migrations to see why"
        ),
    ),
    (
        LandedError.not_tracked("no repository"),
        (
            "error[landed]: the folder of migrations is not part of a git repository\n"
            "  expected  a clone whose commits hold the migrations\n"
            "  found     no repository\n"
            "  help: clone the repository instead of copying its files, and commit before the lints run"
        ),
    ),
    (
        LandedError.no_git(),
        (
            "error[landed]: git is not installed\n"
            "  expected  a program git, to tell which migrations have landed\n"
            "  found     none on the PATH\n"
            "  help: install git, and put its folder on the PATH"
        ),
    ),
    (
        SquawkError.missing("squawk"),
        (
            "error[squawk]: squawk is not installed in this environment\n"
            "  expected  the program squawk beside the Python that runs this\n"
            "  found     none\n"
            "  help: install the locked requirements: pip install --require-hashes -r requirements.txt"
        ),
    ),
    (
        SquawkError.unusable("nothing within 60 s"),
        "error[squawk]: squawk gave no answer\n  found  nothing within 60 s\n  help: run `squawk --version` to see why",
    ),
    (
        SquawkError.unexpected(2, "exit code 0 or 1", "no JSON"),
        (
            "error[squawk]: squawk answered in a way that is neither clean nor a list of findings\n"
            "  expected  exit code 0 or 1\n"
            "  found     exit code 2, no JSON\n"
            "  help: pin the squawk-cli version of requirements.txt; another version needs its rules reviewed"
        ),
    ),
)


@pytest.mark.parametrize(("error", "text"), TEXTS, ids=lambda value: getattr(value, "what", ""))
def test_text(error: LintError, text: str) -> None:
    """The whole text, and exit 1: a lint that could not look has not passed."""
    assert str(error) == text
    assert error.exit_code is ExitCode.FAILED
