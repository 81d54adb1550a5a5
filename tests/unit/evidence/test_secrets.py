"""The last guard: a password is found in whatever spelling it got into a file."""

from __future__ import annotations

import base64
import json
from urllib.parse import quote

import pytest
from hypothesis import given
from hypothesis import strategies as st

from scripts.errors.evidence import SecretInEvidenceError
from scripts.evidence.secrets import collect_secrets, require_no_secret

SECRETS = st.text(st.characters(codec="utf-8", exclude_characters="\x00"), min_size=6, max_size=20)


@given(SECRETS, st.text(max_size=5), st.text(max_size=5), st.integers(0, 5))
def test_a_secret_is_found(secret: str, before: str, after: str, spelling: int) -> None:
    """Raw, as JSON, as JSON in JSON, percent-encoded, base64 or hex: it is found and not shown."""
    spelled = (
        secret,
        json.dumps(secret),
        json.dumps({"line": json.dumps(secret, ensure_ascii=False)}),
        quote(secret, safe=""),
        base64.b64encode(secret.encode()).decode(),
        secret.encode().hex(),
    )[spelling]
    data = json.dumps(before + spelled + after).encode()
    with pytest.raises(SecretInEvidenceError) as caught:
        require_no_secret(data, [secret], where="f.json")
    assert str(caught.value) == (
        "error[evidence]: f.json: a password of this run would have been written into evidence, "
        "so the file was not written\n"
        "  help: report this as a bug and name the gate; change the password if it is not a throw-away one"
    )


def test_other_text_passes() -> None:
    """What holds none of the secrets is let through."""
    require_no_secret(b"hunter3", ["hunter2"], where="f.json")
    require_no_secret(b"anything", [], where="f.json")


@pytest.mark.parametrize(
    ("dsn", "found"),
    [
        ("host=h user=u dbname=d password=hunter2hunter2", ("hunter2hunter2",)),
        ("postgresql://u:hun%20ter2hunter2@h/d", ("hun ter2hunter2",)),
        ("postgresql://postgres:postgres@localhost/symphony", ()),
        ("postgresql://u:short@h/d", ()),
        ("postgresql://u@h/d", ()),
        ("no dsn at all", ()),
        (None, ()),
    ],
)
def test_passwords_of_connection_strings(dsn: str | None, found: tuple[str, ...]) -> None:
    """Passwords are taken from strings and URLs; what is public anyway, or too short to be told from chance, is not."""
    assert collect_secrets([dsn, dsn]) == found
