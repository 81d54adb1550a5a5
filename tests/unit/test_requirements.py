"""The locked dependencies: pinned and hashed, no index, no host, every declared range met, nothing under the GPL."""

from __future__ import annotations

import re
import tomllib
from importlib import metadata
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).resolve().parents[2]
FILES = ("requirements.txt", "requirements-dev.txt")
PYPROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
PIN = re.compile(r"(?P<name>[a-z0-9-]+)(\[[a-z,]+\])?==(?P<version>[^\s;]+)( ; [^\\]+)?( \\)?")
HASH = re.compile(r"    --hash=sha256:[0-9a-f]{64}( \\)?")


def pins(file: str) -> dict[str, str]:
    """Name → version of every pin; fails on a line that is neither pin, hash nor comment."""
    found: dict[str, str] = {}
    hashes = 1
    for line in (ROOT / file).read_text(encoding="utf-8").splitlines():
        if line.lstrip().startswith("#"):
            continue
        if HASH.fullmatch(line):
            hashes += 1
            continue
        match = PIN.fullmatch(line)
        assert match, f"{file}: {line!r} is neither a pin nor a hash"
        assert hashes, f"{file}: the pin before {line!r} has no hash"
        found[match["name"]] = match["version"]
        hashes = 0
    assert hashes
    return found


@pytest.mark.parametrize("file", FILES)
def test_every_line_is_pinned_and_hashed(file: str) -> None:
    """`pip install --require-hashes` has something to require."""
    assert len(pins(file)) > 20


@pytest.mark.parametrize("file", FILES)
def test_no_index_and_no_host_is_named(file: str) -> None:
    """The reader's own configuration says where packages come from."""
    assert not re.search(r"://|--(extra-)?index|--find-links|--trusted-host", (ROOT / file).read_text(encoding="utf-8"))


@pytest.mark.parametrize(("file", "extra"), [(FILES[0], False), (FILES[1], True)])
def test_the_pins_meet_the_declared_ranges(file: str, *, extra: bool) -> None:
    """A range raised in pyproject.toml without a new compilation is red."""
    project = PYPROJECT["project"]
    declared = [*project["dependencies"], *(project["optional-dependencies"]["dev"] if extra else [])]
    pinned = pins(file)
    for line in declared:
        wanted = Requirement(line)
        assert pinned[canonicalize_name(wanted.name)] in wanted.specifier, line


def test_both_files_agree() -> None:
    """What is tested is what runs."""
    run, dev = pins(FILES[0]), pins(FILES[1])
    assert run.items() <= dev.items()


def test_nothing_installed_is_under_the_gpl() -> None:
    """Licences of every pinned package that this environment holds; the LGPL is accepted."""
    looked_at = 0
    for name in pins(FILES[1]):
        try:
            about = metadata.metadata(name).json
        except metadata.PackageNotFoundError:
            continue  # pinned for another platform
        looked_at += 1
        texts = [str(about.get("license_expression", "")), str(about.get("license", "")).partition("\n")[0]]
        texts += [line for line in about.get("classifier", []) if line.startswith("License")]
        for text in texts:
            assert not re.search(r"(?<![A-Z])A?GPL|(?<!Lesser )General Public License", text), f"{name}: {text}"
    assert looked_at > 30
