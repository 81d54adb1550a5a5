"""The environment and `infra/docker/.env`, read once, strictly, all problems together.

Owns: every variable the product reads, its default and its form.
Promises: the environment wins over the file; an unknown value is an error, never a default; no secret in `repr`.
Never: opens a connection, or is imported for a value: a `Settings` is handed down.
"""

from __future__ import annotations

import os
import re
import threading
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Literal, cast

from scripts.errors.settings import SettingsError

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

ServerKind = Literal["auto", "docker", "embedded", "external"]
DockerVariable = Literal["DOCKER_HOST", "DOCKER_CONTEXT", "DOCKER_TLS_VERIFY", "DOCKER_CERT_PATH", "DOCKER_API_VERSION"]
ROOT = Path(__file__).resolve().parent.parent
ENV_FILE = ROOT / "infra" / "docker" / ".env"

# Switches of the predecessor that made a check disappear. Their mere presence stops a run: nothing here may be skipped,
# and a log that says "passed" must not have been made under one of them.
BYPASS_VARIABLES = (
    "SKIP_VALIDATION",
    "SKIP_GATES",
    "CI_BYPASS",
    "DEBUG_OVERRIDE",
    "FORCE_PASS",
    "SKIP_CI_DB_PARITY_PROBE",
)
_TRUE, _FALSE = "1", "0"
_ENV_LINE = re.compile(r"(?:export\s+)?([A-Za-z_][A-Za-z0-9_]*)=(.*)")
# Text that is kept in the database as it is: printable, no blank at either end.
_POLICY_TEXT = re.compile(r"(?! )[^\x00-\x1f\x7f-\x9f]{1,200}(?<! )")
# libpq's variables, those that a later libpq may know too; and which of them only set something in the session.
_LIBPQ = re.compile(r"PG(?:[A-Z]+|CONNECT_TIMEOUT)")
_MANNERS = re.compile(r"PG(?:OPTIONS|APPNAME|TZ|DATESTYLE|CLIENTENCODING|GEQO|CONNECT_TIMEOUT)")
# Held while the driver connects in an environment that is not the caller's, or that must be.
_CONNECTING = threading.Lock()
_RUN_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,79}")


@dataclass(frozen=True, slots=True)
class Settings:
    """Everything a run is told from outside.

    Times end in their unit. `database_url` is a libpq URL and may hold a password, so it stays out of `repr`.
    `migrate_role`: the role that the migrations run as; the connection's own when None.
    `migrate_trace`: whether every statement's locks and effects are recorded.
    `policy_file` may not exist: only who seeds a policy reads it.
    `cluster_cache`: the folder that made clusters are kept in, which may not exist; None: none is kept.
    `state_dir`: the folder for what is known of servers that stay, which may not exist; None: the user has no home.
    """

    fresh_db: bool = True
    server: ServerKind = "auto"
    database_url: str | None = field(default=None, repr=False)
    pg_image: str = "postgres:18.6"  # pinned, as in infra/docker/Dockerfile
    pg_bindir: Path | None = None
    cluster_cache: Path | None = None
    state_dir: Path | None = None
    postgres_db: str = "symphony"
    keep_db: bool = False
    migrations_dir: Path = ROOT / "schema" / "migrations"
    evidence_dir: Path = ROOT / "evidence"
    run_id: str | None = None
    base_ref: str = "origin/main"
    lock_timeout_ms: int = 2_000
    lock_attempts: int = 10
    statement_timeout_ms: int = 300_000
    index_timeout_ms: int = 3_600_000
    runner_lock_timeout_ms: int = 60_000
    migrate_role: str | None = None
    migrate_trace: bool = True
    policy_file: Path | None = None
    policy_version: str | None = None
    policy_checksum: str | None = None
    skip_policy_seed: bool = False
    require_policy_seed: bool = False
    server_start_timeout_ms: int = 60_000
    container_data_mb: int = 2_048
    ci: bool = False
    color: bool = True


def read_settings(environ: Mapping[str, str] | None = None, *, env_file: Path = ENV_FILE) -> Settings:
    """Read and check every variable.

    Args:
        environ: the environment; the process's own when None.
        env_file: `NAME=value` lines that the environment overrides; may be absent.

    Raises:
        SettingsError: names every variable that holds what it may not, the problems of the file included.
    """
    environ = os.environ if environ is None else environ  # noqa: TID251 - the owner
    reader = _Reader(_merged(environ, env_file))
    for name in BYPASS_VARIABLES:
        if reader.values.get(name) not in (None, "", _FALSE):
            reader.problem(name, "to be unset: no check can be bypassed", repr(reader.values[name]))
    default = Settings()
    fresh_db = reader.switch("FRESH_DB", default=default.fresh_db)
    server = reader.choice("SERVER", ("auto", "docker", "embedded", "external"), default=default.server)
    url = reader.values.get("DATABASE_URL") or None
    if url is not None and not url.startswith(("postgresql://", "postgres://")):
        reader.problem("DATABASE_URL", "a postgresql:// URL", "something else (not shown: it may hold a password)")
    if not fresh_db and url is None:
        reader.problem("DATABASE_URL", "the database to use, since FRESH_DB=0", "nothing")
    if not fresh_db and server in ("docker", "embedded"):
        reader.problem("SERVER", "auto or external, since FRESH_DB=0 uses DATABASE_URL", repr(server))
    if server == "external" and url is None and fresh_db:
        reader.problem("DATABASE_URL", "the server to use, since SERVER=external", "nothing")
    policy_file = reader.values.get("SEED_POLICY_FILE")
    skip_seed = reader.switch("SKIP_POLICY_SEED", default=default.skip_policy_seed)
    require_seed = reader.switch("REQUIRE_POLICY_SEED", default=default.require_policy_seed)
    if skip_seed and require_seed:
        reader.problem("REQUIRE_POLICY_SEED", "0, since SKIP_POLICY_SEED=1", "'1'")
    settings = Settings(
        fresh_db=fresh_db,
        server=cast("ServerKind", server),
        database_url=url,
        pg_image=reader.values.get("PG_IMAGE") or default.pg_image,
        pg_bindir=reader.folder("PG_BINDIR"),
        cluster_cache=reader.cluster_cache(),
        state_dir=reader.home_folder("XDG_STATE_HOME", ".local/state", "servers"),
        postgres_db=reader.matching("POSTGRES_DB", re.compile(r"[a-z_][a-z0-9_]{0,62}"), "a lower-case name")
        or default.postgres_db,
        keep_db=reader.switch("KEEP_DB", default=reader.switch("KEEP_TEMP_DB", default=default.keep_db)),
        migrations_dir=reader.folder("MIGRATIONS_DIR") or default.migrations_dir,
        evidence_dir=Path(reader.values["EVIDENCE_ROOT"]).absolute()
        if reader.values.get("EVIDENCE_ROOT")
        else default.evidence_dir,
        run_id=reader.matching("PRE_CI_RUN_ID", _RUN_ID, "letters, digits, dot, dash, underscore; at most 80"),
        base_ref=reader.matching("BASE_REF", re.compile(r"[A-Za-z0-9][A-Za-z0-9._/-]*"), "a git ref")
        or default.base_ref,
        lock_timeout_ms=reader.milliseconds("LOCK_TIMEOUT_MS", default=default.lock_timeout_ms),
        lock_attempts=reader.count("LOCK_ATTEMPTS", default=default.lock_attempts),
        statement_timeout_ms=reader.milliseconds("STATEMENT_TIMEOUT_MS", default=default.statement_timeout_ms),
        index_timeout_ms=reader.milliseconds("INDEX_TIMEOUT_MS", default=default.index_timeout_ms),
        runner_lock_timeout_ms=reader.milliseconds("RUNNER_LOCK_TIMEOUT_MS", default=default.runner_lock_timeout_ms),
        migrate_role=reader.matching("MIGRATE_ROLE", re.compile(r"[^\x00-\x1f]{1,63}"), "the name of a role"),
        migrate_trace=reader.switch("MIGRATE_TRACE", default=default.migrate_trace),
        policy_file=Path(policy_file).absolute() if policy_file else None,
        policy_version=reader.either("SEED_POLICY_VERSION", "POLICY_VERSION", _POLICY_TEXT, "plain text, at most 200"),
        policy_checksum=reader.either(
            "SEED_POLICY_CHECKSUM", "POLICY_CHECKSUM", _POLICY_TEXT, "plain text, at most 200"
        ),
        skip_policy_seed=skip_seed,
        require_policy_seed=require_seed,
        server_start_timeout_ms=reader.milliseconds("SERVER_START_TIMEOUT_MS", default=default.server_start_timeout_ms),
        container_data_mb=reader.megabytes("CONTAINER_DATA_MB", default=default.container_data_mb),
        ci=reader.values.get("CI", "") not in ("", _FALSE, "false"),
        color=not reader.values.get("NO_COLOR"),
    )
    reader.require_no_problem()
    return settings


def session_folder() -> Path:
    """Where programs of the user's login keep their sockets. The system says it, a run does not: it is no setting."""
    return Path(os.environ.get("XDG_RUNTIME_DIR") or f"/run/user/{os.getuid()}")  # noqa: TID251 - the owner


def docker_variable(name: DockerVariable) -> str:
    """A variable of the docker command's own, "" where it is not set. It says how an engine is reached: no setting."""
    return os.environ.get(name, "")  # noqa: TID251 - the owner


def user_home() -> Path | None:
    """The user's home as `~` means it; None for a user that has none: a number alone, and no HOME."""
    try:
        return Path.home()
    except RuntimeError:  # "Could not determine home directory."
        return None


def client_environment(place: Mapping[str, str]) -> dict[str, str]:
    """The environment for a client of PostgreSQL that takes the place of this process.

    What the caller's shell says about other servers is left out: it would lead the client there, or ask for more than
    ours has. How the client looks and behaves (PSQLRC, PAGER, PGOPTIONS, PGTZ) is the user's and stays.

    Args:
        place: libpq's variables for the server.
    """
    environ = os.environ  # noqa: TID251 - the owner
    own = {name: value for name, value in environ.items() if not _LIBPQ.fullmatch(name) or _MANNERS.fullmatch(name)}
    return own | dict(place)


@contextmanager
def connecting(*, as_the_caller: bool) -> Iterator[None]:
    """Around a connect of the driver, from the reading of the DSN until it is connected.

    libpq reads its variables at the beginning, and four of them (PGTZ, PGDATESTYLE, PGGEQO, PGCLIENTENCODING) when it
    greets the server; no parameter overrules PGSERVICE. So they are out of the environment all the while, and
    other threads do not connect then. Where none is set, nothing is done, and nobody waits.

    Args:
        as_the_caller: whether the caller's variables of libpq count, as for a server that is the caller's.
    """
    environ = os.environ  # noqa: TID251 - the owner
    with ExitStack() as held:
        held.enter_context(_CONNECTING)  # first: what another thread has taken out is not seen
        said = {name: value for name, value in environ.items() if _LIBPQ.fullmatch(name)}
        if not said:
            held.close()
        if as_the_caller or not said:
            yield
            return
        try:
            for name in said:
                del environ[name]
            yield
        finally:
            environ.update(said)


def parent_to_end_with() -> int | None:
    """The process number of the Nox that started this one (noxfile.py says it), once: children of ours have us."""
    value = os.environ.pop("PARITY_NOX_PID", "")  # noqa: TID251 - the owner
    return int(value) if value.isascii() and value.isdigit() and len(value) <= 12 else None


def _merged(environ: Mapping[str, str], env_file: Path) -> dict[str, str]:
    values: dict[str, str] = {}
    problems: list[tuple[str, str, str]] = []
    try:
        text = env_file.read_text(encoding="utf-8")
    except FileNotFoundError:
        text = ""
    except (OSError, UnicodeDecodeError) as exc:
        raise SettingsError.of_problems([(env_file.name, "a readable UTF-8 file", type(exc).__name__)]) from exc
    for number, raw in enumerate(text.splitlines(), start=1):
        line = raw.strip()
        if not line or line.startswith("#"):
            continue
        match = _ENV_LINE.fullmatch(line)
        if match is None:
            # The line is not shown: it may be half a password.
            problems.append((f"{env_file.name}:{number}", "NAME=value", "a line of another form"))
            continue
        value = match[2].strip()
        if len(value) >= 2 and value[0] == value[-1] and value[0] in "\"'":
            value = value[1:-1]
        values[match[1]] = value
    if problems:
        raise SettingsError.of_problems(problems)
    return values | dict(environ)


class _Reader:
    """The merged variables, and the problems met while reading them."""

    def __init__(self, values: dict[str, str]) -> None:
        self.values = values
        self._problems: list[tuple[str, str, str]] = []

    def problem(self, name: str, expected: str, found: str) -> None:
        self._problems.append((name, expected, found))

    def require_no_problem(self) -> None:
        if self._problems:
            raise SettingsError.of_problems(self._problems)

    def switch(self, name: str, *, default: bool) -> bool:
        value = self.values.get(name)
        if not value:
            return default
        if value not in (_TRUE, _FALSE):
            self.problem(name, "0 or 1", repr(value))
            return default  # one mistake is one problem, not two
        return value == _TRUE

    def choice(self, name: str, allowed: tuple[str, ...], *, default: str) -> str:
        value = self.values.get(name) or default
        if value not in allowed:
            self.problem(name, " | ".join(allowed), repr(value))
        return value

    def matching(self, name: str, pattern: re.Pattern[str], expected: str) -> str | None:
        value = self.values.get(name)
        if not value:
            return None
        if pattern.fullmatch(value) is None:
            self.problem(name, expected, repr(value))
        return value

    def either(self, name: str, older: str, pattern: re.Pattern[str], expected: str) -> str | None:
        """A variable that has an older name; where both are set they say the same."""
        value, other = self.matching(name, pattern, expected), self.matching(older, pattern, expected)
        if value is not None and other is not None and value != other:
            self.problem(older, f"the same as {name}, or to be unset", repr(other))
        return value if value is not None else other

    def folder(self, name: str) -> Path | None:
        value = self.values.get(name)
        if not value:
            return None
        path = Path(value).absolute()
        if not path.is_dir():
            self.problem(name, "a folder that exists", repr(value))
        return path

    def cluster_cache(self) -> Path | None:
        """PARITY_CACHE_DIR, else a folder of ours where the user's caches are.

        None when CLUSTER_CACHE=0, or when neither is said and there is no HOME.
        """
        if not self.switch("CLUSTER_CACHE", default=True):
            return None
        if self.values.get("PARITY_CACHE_DIR"):
            chosen = Path(self.values["PARITY_CACHE_DIR"])
            if not chosen.is_absolute():  # it would be another folder, in somebody's project, wherever a run is started
                self.problem("PARITY_CACHE_DIR", "a path from the root", repr(str(chosen)))
            return chosen
        return self.home_folder("XDG_CACHE_HOME", ".cache", "clusters")

    def home_folder(self, name: str, usual: str, ours: str) -> Path | None:
        """A folder of ours where the user's files of a kind are; None when nobody says where, and there is no HOME.

        Args:
            name: the variable that says it.
            usual: where it is below HOME if not.
            ours: the folder below our own.
        """
        base = Path(self.values.get(name) or "")
        if not base.is_absolute():  # as its specification wants: a relative one is as good as none
            base = Path(self.values.get("HOME") or "") / usual
            if not base.is_absolute():
                return None
        return base / "parity-runner" / ours

    def milliseconds(self, name: str, *, default: int) -> int:
        return self._number(name, default=default, low=1, high=86_400_000, unit="milliseconds")

    def megabytes(self, name: str, *, default: int) -> int:
        return self._number(name, default=default, low=1, high=1_048_576, unit="megabytes")

    def count(self, name: str, *, default: int) -> int:
        return self._number(name, default=default, low=1, high=1_000, unit="tries")

    def _number(self, name: str, *, default: int, low: int, high: int, unit: str) -> int:
        value = self.values.get(name)
        if not value:
            return default
        # isascii: int() and isdigit() also take digits of other scripts.
        if not (value.isascii() and value.isdigit()) or len(value) > 12 or not low <= int(value) <= high:
            self.problem(name, f"{low} to {high} {unit}", repr(value))
            return default
        return int(value)
