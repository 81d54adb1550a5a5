"""CI's parts that need an engine, or root: where there is none it is red and says why, unless told; never silent."""

from __future__ import annotations

import os
import shutil
import subprocess  # noqa: TID251 - the script under test
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
WORDS = "there is no Docker engine, so the Docker origin cannot be tested: "
LOUD = "ci: !!! THE DOCKER ORIGIN WAS NOT TESTED: "
# Stand-ins for what the machine has; the scripts' own words for "nobody answers" are the client's.
DEAD = "#!/bin/sh\necho 'failed to start daemon: you need to be root'\nexit 1\n"
SILENT = "#!/bin/sh\nexec sleep 60\n"
NO_PACKAGES = "#!/bin/sh\necho 'E: Unable to fetch some archives' >&2\nexit 100\n"


@pytest.fixture
def place(tmp_path: Path) -> Path:
    """A checkout of nothing but the scripts, on a machine of nothing but a shell's programs."""
    shutil.copytree(ROOT / ".ci", tmp_path / ".ci")
    for script in (tmp_path / ".ci").iterdir():
        script.write_text(script.read_text(encoding="utf-8").replace("/usr/sbin", str(tmp_path / "sbin")))
    for folder in ("sbin", "bin", ".venv/bin", "tmp"):
        (tmp_path / folder).mkdir(parents=True)
    for program in ("bash", "dirname", "mktemp", "rm", "tail", "sleep", "env"):
        (tmp_path / "bin" / program).symlink_to(str(shutil.which(program)))
    add(tmp_path / "bin" / "apt-get", NO_PACKAGES)
    add(tmp_path / ".venv" / "bin" / "python", "#!/bin/sh\nexit 1\n")
    for verb in ("invoke", "nox"):
        add(tmp_path / ".venv" / "bin" / verb, "#!/bin/sh\necho reached >&2\nexit 1\n")
    return tmp_path


def add(path: Path, text: str) -> None:
    """A program."""
    path.write_text(text, encoding="utf-8")
    path.chmod(0o755)


def run(place: Path, script: str = ".ci/docker", **environment: str) -> tuple[int, str]:
    """Its exit status, and what it wrote; nothing of it is left."""
    done = subprocess.run(
        [str(shutil.which("bash")), script],
        cwd=place,
        env={"PATH": str(place / "bin"), "TMPDIR": str(place / "tmp"), "CI_ENGINE_START_S": "1", **environment},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=60,
        check=False,
    )
    assert os.listdir(place / "tmp") == []  # noqa: PTH208 - names
    assert "reached" not in done.stdout
    return done.returncode, done.stdout


@pytest.mark.parametrize(
    ("dockerd", "why", "shown"),
    [
        (None, "dockerd is not installed and cannot be", "E: Unable to fetch some archives"),
        (DEAD, "dockerd ended", "failed to start daemon: you need to be root"),
        (SILENT, "dockerd does not answer", ""),
    ],
)
def test_without_an_engine_it_is_red_unless_told(place: Path, dockerd: str | None, why: str, shown: str) -> None:
    """Exit 3 with the cause and the way out; told, exit 0, and the last lines say what was not tested."""
    if dockerd is not None:
        add(place / "bin" / "dockerd", dockerd)
    for given in ({}, {"CI_WITHOUT_DOCKER": "0"}):
        status, said = run(place, **given)
        assert status == 3
        assert f"ci: {WORDS}{why}\n" in said
        assert shown in said
        assert said.endswith(
            "ci: give this machine one (root, or docker.io installed), or say CI_WITHOUT_DOCKER=1 to do without\n"
        )
    status, said = run(place, CI_WITHOUT_DOCKER="1")
    assert status == 0
    assert said.endswith(f"{LOUD}{why}\nci: !!! passed over, since CI_WITHOUT_DOCKER=1\n")
    assert shown in said


def test_a_word_that_is_no_answer_is_refused(place: Path) -> None:
    """`yes` might be meant as 1, and would be taken for 0."""
    assert run(place, CI_WITHOUT_DOCKER="yes") == (2, "ci: CI_WITHOUT_DOCKER is yes; expected 1 or 0\n")


def test_an_engine_that_can_be_had_is_used_whatever_was_told(place: Path) -> None:
    """The word lets nothing pass that could have been tested."""
    add(place / "bin" / "dockerd", SILENT)
    add(place / ".venv" / "bin" / "python", "#!/bin/sh\nexit 0\n")
    for program in ("sshd", "ssh", "ip", "openssl"):
        add(place / "bin" / program, "#!/bin/sh\n")
    add(place / ".venv" / "bin" / "invoke", '#!/bin/sh\necho "invoke $*, SERVER=$SERVER, host ${DOCKER_HOST%%/*}"\n')
    add(place / ".venv" / "bin" / "nox", '#!/bin/sh\necho "nox $*"\nexit 7\n')
    status, said = run(place, CI_WITHOUT_DOCKER="1")
    assert status == 7
    assert said == "ci: the Docker origin\ninvoke image.build --offline, SERVER=, host unix:\nnox -s tests-docker\n"


@pytest.mark.parametrize(
    ("user", "why"), [("1000", "this is user 1000"), ("0", "root may not mount file systems here")]
)
def test_without_root_it_is_red_unless_told(place: Path, user: str, why: str) -> None:
    """The tests that only root can run, likewise."""
    add(place / "bin" / "id", f"#!/bin/sh\necho {user}\n")
    add(place / "bin" / "unshare", "#!/bin/sh\nexit 1\n")
    told = "run it as root, or say CI_WITHOUT_ROOT=1 to do without"
    words = f"ci: this is no root who may mount, so what only root can do cannot be tested: {why}\nci: {told}\n"
    assert run(place, ".ci/root") == (3, words)
    assert run(place, ".ci/root", CI_WITHOUT_ROOT="1") == (
        0,
        f"ci: !!! WHAT ONLY ROOT CAN DO WAS NOT TESTED: {why}\nci: !!! passed over, since CI_WITHOUT_ROOT=1\n",
    )
    assert run(place, ".ci/root", CI_WITHOUT_ROOT="no") == (2, "ci: CI_WITHOUT_ROOT is no; expected 1 or 0\n")


def test_root_runs_them_whatever_was_told(place: Path) -> None:
    """And what comes of it is the script's own end."""
    add(place / "bin" / "id", "#!/bin/sh\necho 0\n")
    add(place / "bin" / "unshare", "#!/bin/sh\nexit 0\n")
    add(place / "bin" / "setpriv", "#!/bin/sh\nexit 0\n")
    add(place / ".venv" / "bin" / "nox", '#!/bin/sh\necho "nox $*"\nexit 7\n')
    assert run(place, ".ci/root", CI_WITHOUT_ROOT="1") == (7, "ci: nox -s tests-root\nnox -s tests-root\n")
    assert "\n.ci/root\n" in (ROOT / ".ci" / "run").read_text(encoding="utf-8")


@pytest.mark.parametrize(
    ("user", "why"), [("1000", "this is user 1000"), ("0", "root may not become another user here")]
)
def test_without_other_users_it_is_red_unless_told(place: Path, user: str, why: str) -> None:
    """The tests that need several users, likewise."""
    add(place / "bin" / "id", f"#!/bin/sh\necho {user}\n")
    add(place / "bin" / "setpriv", "#!/bin/sh\nexit 1\n")
    words = f"ci: this process cannot be another user, so several users cannot be tested: {why}\n"
    told = "ci: run it as root, or say CI_WITHOUT_USERS=1 to do without\n"
    assert run(place, ".ci/users") == (3, words + told)
    loud = f"ci: !!! SEVERAL USERS BESIDE EACH OTHER WERE NOT TESTED: {why}\n"
    passed = "ci: !!! passed over, since CI_WITHOUT_USERS=1\n"
    assert run(place, ".ci/users", CI_WITHOUT_USERS="1") == (0, loud + passed)
    assert run(place, ".ci/users", CI_WITHOUT_USERS="no") == (2, "ci: CI_WITHOUT_USERS is no; expected 1 or 0\n")


@pytest.mark.parametrize(("script", "session"), [(".ci/users", "tests-users"), (".ci/root", "tests-root")])
@pytest.mark.parametrize("closed", [False, True])
def test_who_can_be_several_users_runs_them_where_others_read(
    place: Path, script: str, session: str, *, closed: bool
) -> None:
    """Whatever was told; in a copy without environments, which goes again, where the checkout is closed to others."""
    for program in ("tar", "chmod"):
        (place / "bin" / program).symlink_to(str(shutil.which(program)))
    (place / "scripts").mkdir()
    add(place / "noxfile.py", "")
    add(place / "bin" / "id", "#!/bin/sh\necho 0\n")
    add(place / "bin" / "unshare", "#!/bin/sh\nexit 0\n")
    # Becomes nobody, who can read nothing in this checkout.
    refuses = f'case "$*" in *{place}/noxfile.py) exit 1;; esac\n' if closed else ""
    add(place / "bin" / "setpriv", f"#!/bin/sh\n{refuses}exit 0\n")
    add(place / ".venv" / "bin" / "nox", '#!/bin/sh\necho "nox $*"; echo "$PWD"; echo .ci/* .venv/*\nexit 7\n')
    status, said = run(place, script, CI_WITHOUT_USERS="1", CI_WITHOUT_ROOT="1")
    assert status == 7
    *before, heading, command, folder, found = said.splitlines()
    assert (heading, command) == (f"ci: nox -s {session}", f"nox -s {session}")
    assert before == ([f"ci: others cannot read {place}: the tests run in a copy"] if closed else [])
    assert Path(folder).parent == place / "tmp" if closed else folder == str(place)
    assert found.startswith(".ci/common.sh .ci/docker")
    assert found.endswith(".venv/*" if closed else ".venv/bin")
    assert f"\n{script}\n" in (ROOT / ".ci" / "run").read_text(encoding="utf-8")


def test_ci_runs_it_last() -> None:
    """So that what it says stands at the end."""
    assert (ROOT / ".ci" / "run").read_text(encoding="utf-8").endswith("\n.ci/docker\n")
