"""client-stream: a migration is SQL for the server, not a script for psql."""

from __future__ import annotations

from typing import TYPE_CHECKING

from scripts.lint.model import Finding, Rule
from scripts.parser.statements import copies_client_stream

if TYPE_CHECKING:
    from collections.abc import Iterator

    from scripts.lint.subject import LintInput


def find(subject: LintInput) -> Iterator[Finding]:
    """COPY from or to the client. Commands of psql do not even parse: the reading of the file refuses them."""
    for part in subject.parts:
        stream = copies_client_stream(part.as_statement) if part.is_sql else None
        if stream is not None:
            yield RULE.at(part, "COPY", f"COPY {stream} needs a client that sends or takes the rows")


RULE = Rule(
    id="client-stream",
    gate="no-tx-marker-lint",
    severity="error",
    title="No file copies from or to the client",
    why="The rows are not SQL: whoever splits the file into statements would run them, or lose them.",
    help="write INSERT … VALUES, or load the data outside of the migrations",
    before="CREATE TABLE public.a (id bigint);",
    red="COPY public.a TO STDOUT;",
    green="INSERT INTO public.a (id) VALUES (1);",
    find=find,
)
