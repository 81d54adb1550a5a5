"""CI runs what `invoke pre-ci` runs, on every origin and Python, and cannot be green by accident."""

from __future__ import annotations

import ast
import copy
import json
import os
import re
import subprocess  # noqa: TID251 - the workflow's checkers and its own steps are programs
import sys
from io import StringIO
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from ruamel.yaml import YAML

from scripts.gates import ORIGINS, PYTHONS

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

ROOT = Path(__file__).resolve().parents[2]
WORKFLOW = ROOT / ".github" / "workflows" / "verify.yml"
TEXT = WORKFLOW.read_text(encoding="utf-8")
BIN = Path(sys.executable).parent
# The commit behind each version in use. A pin that changes, changes here too: two places a reviewer sees.
PINS = {
    "actions/checkout": ("3d3c42e5aac5ba805825da76410c181273ba90b1", "v7.0.1"),
    "actions/setup-python": ("5fda3b95a4ea91299a34e894583c3862153e4b97", "v7.0.0"),
    "actions/upload-artifact": ("043fb46d1a93c77aae656e7c1c64a875d1fc6a0a", "v7.0.1"),
    "actions/download-artifact": ("3e5f45b2cfb9172054b4087a40e8e0b5a5461e7c", "v8.0.1"),
}
# What the verdict is told.
_LOOKED_AT = ("NEEDS", "MATRIX_JOBS", "MUTANT_SHARDS", "COMMIT", "RUN_PREFIX")
USES = re.compile(r"^\s*(?:- )?uses: (\S+)@(\S+) # (\S+)$")
VERDICT = "verdict"
# What plain nox leaves out, since not every machine can: an engine, PgBouncer, root; a quarter of an hour of kills.
NOT_PLAIN = {"tests-docker", "tests-pooler", "tests-root", "tests-users", "kills", "kills-docker"}


def load(text: str) -> Any:
    """Parse YAML."""
    return YAML(typ="safe").load(text)


def steps_of(workflow: Any) -> Iterator[tuple[str, Any]]:
    """(job, step) of every step."""
    for name, job in workflow["jobs"].items():
        for step in job["steps"]:
            yield name, step


def nox_sessions() -> set[str]:
    """The sessions that plain `nox` runs, read from noxfile.py without running it."""
    for node in ast.walk(ast.parse((ROOT / "noxfile.py").read_text(encoding="utf-8"))):
        if isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == "nox.options.sessions":
            return set(ast.literal_eval(node.value))
    msg = "noxfile.py names no default sessions"
    raise AssertionError(msg)


# Marks of a test that needs root, as they are written.
_ROOTS = re.compile(r"mark\.root\b|\bAS_ROOT\b|@only_as_root\b")
_USERS = re.compile(r"\bAS_OTHERS\b|\bAS_NOBODY\b|mark\.users\b")


def sessions_as_root() -> set[str]:
    """The sessions that choose tests which need root, by the marks in the tests."""
    found = set()
    for path in (ROOT / "tests").rglob("test_*.py"):
        text = path.read_text(encoding="utf-8") if path != Path(__file__) else ""
        in_docker = "pytest.mark.docker" in text
        if _ROOTS.search(text):
            found.add("tests-docker" if in_docker else "tests-root")
        if _USERS.search(text) and not in_docker:
            found.add("tests-users")
    return found


def test_no_test_is_left_out_for_want_of_root_but_by_its_mark() -> None:
    """A condition of its own would keep it out of every job; so would a fixture that needs root, without the mark."""
    for path in (ROOT / "tests").rglob("*.py"):
        text = path.read_text(encoding="utf-8")
        if path.name.startswith("test_") and path != Path(__file__):
            assert not re.search(r"skipif\([^)]*(?:geteuid|getuid|getpass|unshare)", text), path
            assert not re.search(r"fix_elsewhere|\belsewhere: Elsewhere", text) or _ROOTS.search(text), path
    assert sessions_as_root() == {"tests-docker", "tests-root", "tests-users"}


def problems_of(text: str) -> list[str]:
    """Everything about a workflow that could let it be green without a proof, or do more than it should."""
    workflow = load(text)
    return [
        *_pins(text),
        *_rights(workflow),
        *_verdict(workflow),
        *_jobs(workflow),
        *_gates(workflow),
        *_mutants(workflow),
    ]


def _pins(text: str) -> Iterator[str]:
    for line in text.splitlines():
        if "uses:" in line:
            found = USES.match(line)
            if found is None or not re.fullmatch(r"[0-9a-f]{40}", found[2]):
                yield f"not pinned by commit with its version beside it: {line.strip()}"
            elif PINS.get(found[1]) != (found[2], found[3]):
                yield f"not a known pin: {line.strip()}"


def _rights(workflow: Any) -> Iterator[str]:
    if workflow.get("permissions") != {}:
        yield "the workflow as a whole has permissions"
    if set(workflow["on"]) != {"push", "pull_request", "workflow_dispatch"}:
        yield "another event starts it"
    for name, job in workflow["jobs"].items():
        if job.get("permissions") != {"contents": "read"}:
            yield f"{name}: permissions are not exactly contents: read"
    for name, step in steps_of(workflow):
        if (
            step.get("uses", "").startswith("actions/checkout@")
            and step.get("with", {}).get("persist-credentials") is not False
        ):
            yield f"{name}: the checkout leaves its credentials behind"
        if "${{" in step.get("run", ""):
            yield f"{name}: a script is built from an expression"


def _verdict(workflow: Any) -> Iterator[str]:
    jobs = workflow["jobs"]
    verdict = jobs.get(VERDICT)
    if verdict is None:
        yield "there is no verdict"
        return
    if set(verdict.get("needs", [])) != set(jobs) - {VERDICT}:
        yield "the verdict does not wait for every job"
    if verdict.get("if") != "always()":
        yield "the verdict is skipped when a job is red"
    script = " ".join(step.get("run", "") for step in verdict["steps"])
    parts = (
        "scripts.evidence.fan_in verdict",
        *(f'"${name}"' for name in _LOOKED_AT),
        "--runs runs",
        "--mutants mutants",
    )
    for part in parts:
        if part not in script:
            yield f"the verdict does not look at {part}"
    if verdict.get("env", {}).get("NEEDS") != "${{ toJSON(needs) }}":
        yield "the verdict does not see the results of the jobs"
    fetched = {
        (step["with"].get("pattern"), step["with"].get("path"))
        for step in verdict["steps"]
        if step.get("uses", "").startswith("actions/download-artifact@")
    }
    if ("evidence-*", "runs") not in fetched:
        yield "the verdict fetches no evidence"
    if ("mutants-*", "mutants") not in fetched:
        yield "the verdict fetches no evidence of the mutants"


def _jobs(workflow: Any) -> Iterator[str]:
    jobs = workflow["jobs"]
    for name, job in jobs.items():
        if not 0 < job.get("timeout-minutes", 0) <= 60:
            yield f"{name}: no time limit"
        if "latest" in job["runs-on"]:
            yield f"{name}: the machine's image is not pinned"
        if job.get("strategy", {"fail-fast": False}).get("fail-fast") is not False:
            yield f"{name}: one red job hides the others"
        if "continue-on-error" in job or (name != VERDICT and "if" in job):
            yield f"{name}: it may fail or be left out unseen"
    for name, step in steps_of(workflow):
        if "continue-on-error" in step or "|| true" in step.get("run", ""):
            yield f"{name}: a step may fail unseen"


def _gates(workflow: Any) -> Iterator[str]:
    jobs = workflow["jobs"]
    if workflow.get("env", {}).get("MATRIX_JOBS") != str(len(ORIGINS) * len(PYTHONS)):
        yield "MATRIX_JOBS is not the number of origins and Python versions"
    if "group" not in workflow.get("concurrency", {}):
        yield "runs of one branch pile up"
    verify = jobs.get("verify", {})
    if verify.get("strategy", {}).get("matrix") != "${{ fromJSON(needs.plan.outputs.matrix) }}":
        yield "the matrix is not made from the list of gates"
    uploads = [step for step in verify.get("steps", []) if step.get("uses", "").startswith("actions/upload-artifact@")]
    if not uploads or uploads[0].get("if") != "always()" or uploads[0]["with"].get("if-no-files-found") != "error":
        yield "the evidence of a red job is not kept"
    scripts = " ".join(step.get("run", "") for step in verify.get("steps", []))
    if 'nox --session verify --force-python "$PYTHON"' not in scripts:
        yield "the gates are not run by Nox on the Python of the matrix"
    sessions = set(jobs.get("checks", {}).get("strategy", {}).get("matrix", {}).get("session", []))
    if sessions | {"verify"} != nox_sessions() | NOT_PLAIN:
        yield "CI does not run what plain nox runs"
    steps = [step for step in jobs.get("checks", {}).get("steps", []) if "nox" in step.get("run", "")]
    ways = {step.get("if"): "sudo .venv/bin/nox" in step["run"] for step in steps}
    listed = "contains(fromJSON(env.AS_ROOT), matrix.session)"
    if ways != {f"${{{{ !{listed} }}}}": False, f"${{{{ {listed} }}}}": True}:
        yield "the tests that need root are not run as root, or others are"
    if set(json.loads(workflow.get("env", {}).get("AS_ROOT", "[]"))) != sessions_as_root():
        yield "AS_ROOT is not the sessions whose tests need root"
    installed = " ".join(
        step["run"] for step in jobs.get("checks", {}).get("steps", []) if "apt-get" in step.get("run", "")
    )
    if not {"openssh-server", "iproute2", "openssl"} <= set(installed.split()):
        yield "the other machine of the tests has not what it needs"


def _mutants(workflow: Any) -> Iterator[str]:
    job = workflow["jobs"].get("mutants", {})
    shards = job.get("strategy", {}).get("matrix", {}).get("shard", [])
    if not shards or [str(len(shards))] != [workflow.get("env", {}).get("MUTANT_SHARDS")]:
        yield "MUTANT_SHARDS is not the number of shards"
    if shards != list(range(1, len(shards) + 1)):
        yield "the shards of the mutants are not each one once"
    if job.get("env", {}).get("SHARD") != "${{ matrix.shard }}":
        yield "a job of the mutants does not know its shard"
    steps = job.get("steps", [])
    if not any('nox --session mutants -- --shard "$SHARD/$MUTANT_SHARDS"' in step.get("run", "") for step in steps):
        yield "the mutants are not run by Nox, each job its shard"
    uploads = [step for step in steps if step.get("uses", "").startswith("actions/upload-artifact@")]
    names = [step["with"].get("name") for step in uploads]
    kept = names == ["mutants-${{ matrix.shard }}"] and uploads[0].get("if") == "always()"
    if not kept or uploads[0]["with"].get("if-no-files-found") != "error":
        yield "the evidence of a shard is not kept"


def test_the_workflow_can_be_trusted() -> None:
    """Pins, rights, matrix, evidence and verdict are as they must be."""
    assert problems_of(TEXT) == []


def edited(change: Callable[[Any], None]) -> str:
    """The workflow with one thing changed, as text."""
    workflow = copy.deepcopy(load(TEXT))
    change(workflow)
    out = StringIO()
    yaml = YAML()
    yaml.width = 10_000
    yaml.dump(workflow, out)
    # Dumping loses the comments, and with them the versions beside the pins.
    versions = {f"{name}@{commit}": version for name, (commit, version) in PINS.items()}
    pinned = re.compile(r"(uses: )(\S+)$", re.MULTILINE)
    return pinned.sub(lambda found: f"{found[0]} # {versions.get(found[2], 'v0')}", out.getvalue())


def _set(workflow: Any, path: str, value: Any) -> None:
    *parents, last = path.split("/")
    for key in parents:
        workflow = workflow[int(key) if key.isdigit() else key]
    if value is None:
        del workflow[last]
    else:
        workflow[last] = value


BREAKS: dict[str, tuple[str, Any, str]] = {
    "an action by tag": (
        "jobs/plan/steps/0/uses", "actions/checkout@v7", "not pinned by commit with its version beside it",
    ),
    "an action at another commit": ("jobs/plan/steps/0/uses", f"actions/checkout@{'0' * 40}", "not a known pin"),
    "an unknown action": ("jobs/plan/steps/0/uses", f"evil/checkout@{'0' * 40}", "not a known pin"),
    "rights for everybody": ("permissions", {"contents": "write"}, "the workflow as a whole has permissions"),
    "default rights": ("permissions", None, "the workflow as a whole has permissions"),
    "a job with more rights": ("jobs/verify/permissions", {"contents": "write"}, "verify: permissions are not"),
    "a dangerous event": ("on/pull_request_target", {}, "another event starts it"),
    "credentials left behind": ("jobs/verify/steps/0/with", {}, "verify: the checkout leaves its credentials behind"),
    "a script from an expression": ("jobs/plan/steps/2/run", "echo ${{ github.ref }}", "plan: a script is built"),
    "a job that nobody waits for": ("jobs/verdict/needs", ["plan"], "the verdict does not wait for every job"),
    "a verdict that waits for nobody": ("jobs/verdict/needs", None, "the verdict does not wait for every job"),
    "a removed job": ("jobs/checks", None, "the verdict does not wait for every job"),
    "a removed verdict": ("jobs/verdict", None, "there is no verdict"),
    "a verdict that is skipped": ("jobs/verdict/if", None, "the verdict is skipped when a job is red"),
    "a verdict that does not look": ("jobs/verdict/steps/4/run", "true", "the verdict does not look at"),
    "a verdict that sees nothing": ("jobs/verdict/env/NEEDS", "{}", "the verdict does not see the results"),
    "a verdict without evidence": ("jobs/verdict/steps/2/uses", None, "the verdict fetches no evidence"),
    "a verdict without the mutants": (
        "jobs/verdict/steps/3/with/pattern", "x-*", "the verdict fetches no evidence of the mutants",
    ),
    "no mutants": ("jobs/mutants", None, "MUTANT_SHARDS is not the number of shards"),
    "a shard left out": ("jobs/mutants/strategy/matrix/shard", [1, 2, 3], "MUTANT_SHARDS is not the number of shards"),
    "a shard twice": ("jobs/mutants/strategy/matrix/shard", [1, 2, 3, 3], "the shards of the mutants are not each one"),
    "another number of shards": ("env/MUTANT_SHARDS", "5", "MUTANT_SHARDS is not the number of shards"),
    "a job without its shard": ("jobs/mutants/env/SHARD", "1", "a job of the mutants does not know its shard"),
    "mutants without Nox": ("jobs/mutants/steps/3/run", "true", "the mutants are not run by Nox"),
    "mutants without evidence": ("jobs/mutants/steps/4/if", None, "the evidence of a shard is not kept"),
    "mutants that are no part of the verdict": (
        "jobs/verdict/needs", ["plan", "verify", "checks"], "the verdict does not wait for every job",
    ),
    "several users without root": (
        "jobs/checks/steps/6/run", "nox", "the tests that need root are not run as root, or others are",
    ),
    "everything as root": (
        "jobs/checks/steps/5/run", "sudo .venv/bin/nox", "the tests that need root are not run as root, or others are",
    ),
    "an engine without root": ("env/AS_ROOT", '["tests-root", "tests-users"]', "AS_ROOT is not the sessions"),
    "root for nothing": (
        "env/AS_ROOT", '["lint", "tests-docker", "tests-root", "tests-users"]', "AS_ROOT is not the sessions",
    ),
    "no other machine": ("jobs/checks/steps/4/run", "true", "the other machine of the tests has not"),
    "no kills": (
        "jobs/checks/strategy/matrix/session", ["lint", "types", "tests", "tests-docker"], "CI does not run what",
    ),
    "a job without a limit": ("jobs/plan/timeout-minutes", None, "plan: no time limit"),
    "a floating machine": ("jobs/plan/runs-on", "ubuntu-latest", "plan: the machine's image is not pinned"),
    "a red job hides others": ("jobs/verify/strategy/fail-fast", True, "verify: one red job hides the others"),
    "a job that may fail": ("jobs/checks/continue-on-error", True, "checks: it may fail or be left out unseen"),
    "a job that may be left out": ("jobs/checks/if", "false", "checks: it may fail or be left out unseen"),
    "a step that may fail": ("jobs/verify/steps/3/continue-on-error", True, "verify: a step may fail unseen"),
    "a step that swallows": ("jobs/checks/steps/3/run", "nox || true", "checks: a step may fail unseen"),
    "a shrunken number": ("env/MATRIX_JOBS", "7", "MATRIX_JOBS is not the number"),
    "runs pile up": ("concurrency", None, "runs of one branch pile up"),
    "a matrix by hand": ("jobs/verify/strategy/matrix", {"origin": ["docker"]}, "the matrix is not made from the list"),
    "evidence of green jobs only": ("jobs/verify/steps/4/if", None, "the evidence of a red job is not kept"),
    "no evidence is fine": ("jobs/verify/steps/4/with/if-no-files-found", "ignore", "the evidence of a red job is not"),
    "gates without Nox": ("jobs/verify/steps/3/run", "true", "the gates are not run by Nox"),
    "fewer sessions": ("jobs/checks/strategy/matrix/session", ["lint"], "CI does not run what plain nox runs"),
}  # fmt: skip


@pytest.mark.parametrize("name", BREAKS)
def test_a_broken_workflow_is_seen(name: str) -> None:
    """Each way to break the workflow is found, by name (D-09, D-28, D-47)."""
    path, value, problem = BREAKS[name]
    found = problems_of(edited(lambda workflow: _set(workflow, path, value)))
    assert [line for line in found if line.startswith(problem)], found


def test_an_unbroken_copy_is_clean() -> None:
    """The copies above differ by what was broken in them, not by having been copied."""
    assert problems_of(edited(lambda _: None)) == []


def run_checker(*command: str) -> subprocess.CompletedProcess[str]:
    """One of the workflow's checkers, from the environment under test."""
    return subprocess.run(command, capture_output=True, text=True, check=False, timeout=120)


def check_schema(path: Path) -> subprocess.CompletedProcess[str]:
    """Against GitHub's schema of workflows, from the copy in the package."""
    return run_checker(str(BIN / "check-jsonschema"), "--builtin-schema", "vendor.github-workflows", str(path))


def check_security(path: Path) -> subprocess.CompletedProcess[str]:
    """With every audit that needs no network, code smells included, and no ignore honoured."""
    return run_checker(
        str(BIN / "zizmor"), "--offline", "--pedantic", "--no-ignores", "--no-config", "--no-progress", str(path)
    )


@pytest.mark.parametrize("check", [check_schema, check_security])
def test_the_checkers_find_nothing(check: Callable[[Path], subprocess.CompletedProcess[str]]) -> None:
    """check-jsonschema and zizmor are content."""
    done = check(WORKFLOW)
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize(
    ("check", "path", "value"),
    [
        (check_schema, "jobs/plan/runs-on", None),
        (check_schema, "jobs/plan/stepz", []),
        (check_security, "jobs/plan/steps/0/uses", "actions/checkout@v7"),
        (check_security, "jobs/plan/steps/0/with", {}),
        (check_security, "jobs/plan/permissions", {"contents": "write"}),
        (check_security, "jobs/plan/steps/2/run", "echo ${{ github.head_ref }}"),
        (check_security, "on/pull_request_target", {}),
    ],
)
def test_the_checkers_are_awake(
    tmp_path: Path, check: Callable[[Path], subprocess.CompletedProcess[str]], path: str, value: Any
) -> None:
    """Each checker sees what it is there for."""
    place = tmp_path / ".github" / "workflows" / "verify.yml"
    place.parent.mkdir(parents=True)
    place.write_text(edited(lambda workflow: _set(workflow, path, value)))
    assert check(place).returncode != 0


@pytest.fixture
def bare_python(tmp_path: Path) -> Path:
    """A folder with a `python` that sees no installed package, as in the jobs that install none."""
    place = tmp_path / "bin"
    place.mkdir()
    (place / "python").write_text(f'#!/bin/sh\nexec {sys.executable} -S "$@"\n')
    (place / "python").chmod(0o755)
    return place


def run_step(place: Path, job: str, number: int, **environment: str) -> subprocess.CompletedProcess[str]:
    """A step's own script, as GitHub runs it, with the `python` in a folder."""
    script = load(TEXT)["jobs"][job]["steps"][number]["run"]
    counts = {name: str(load(TEXT)["env"][name]) for name in ("MATRIX_JOBS", "MUTANT_SHARDS")}
    return subprocess.run(
        ["bash", "--noprofile", "--norc", "-eo", "pipefail", "-c", script],
        cwd=ROOT,
        env={"PATH": f"{place}:{os.defpath}"} | counts | environment,
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )


def test_the_plan_step_makes_the_matrix(tmp_path: Path, bare_python: Path) -> None:
    """The step hands on one line of JSON with every origin and Python; a wrong number of jobs makes it red."""
    out = tmp_path / "out"
    done = run_step(bare_python, "plan", 2, GITHUB_OUTPUT=str(out))
    assert done.returncode == 0, done.stderr
    name, _, text = out.read_text().partition("=")
    assert name == "matrix"
    found = {(job["origin"], job["python"]) for job in load(text)["include"]}
    assert found == {(origin, python) for origin in ORIGINS for python in PYTHONS}
    assert run_step(bare_python, "plan", 2, GITHUB_OUTPUT=str(tmp_path / "two"), MATRIX_JOBS="9").returncode == 1
    assert not (tmp_path / "two").exists()


def test_the_verdict_step_judges(bare_python: Path) -> None:
    """The step passes everything on to the program: with a red job and no evidence it is red, and says why."""
    needs = '{"plan": {"result": "cancelled"}}'
    done = run_step(bare_python, "verdict", 4, NEEDS=needs, COMMIT="0" * 40, RUN_PREFIX="ci-1-")
    assert done.returncode == 1
    assert done.stderr.startswith("error[ci]: "), done.stderr
