"""client-stream: a migration is SQL for the server, not a script for psql."""

from __future__ import annotations

from typing import TYPE_CHECKING

from scripts.lint.model import Finding, Rule
from scripts.parser.statements import copies_client_stream

if TYPE_CHECKING:
    from collections.abc import Iterator

    from scripts.lint.subject import LintInput


def find(subject: LintInput) -> Iterator[Finding]:
    """COPY in whatever form. Commands of psql do not even parse: the reading of the file refuses them."""
    for part in subject.parts:
        if part.kind != "CopyStmt":
            continue
        stream = copies_client_stream(part.as_statement)
        if stream is not None:
            yield RULE.at(part, "COPY", f"COPY {stream} needs a client that sends or takes the rows")
        else:
            what = "a program" if part.node.is_program else "a file"
            yield RULE.at(part, "COPY", f"COPY from or to {what} of the server's machine")


RULE = Rule(
    id="client-stream",
    gate="no-tx-marker-lint",
    severity="error",
    title="No file copies from or to the client, or the server's machine",
    why="Rows that follow a COPY are not SQL: whoever splits the file would run them, or lose them. What lies on the"
    " server's machine is in no review.",
    help="write INSERT … VALUES, or load the data outside of the migrations",
    before="CREATE TABLE public.a (id bigint);",
    red="COPY public.a TO STDOUT;",
    green="INSERT INTO public.a (id) VALUES (1);",
    find=find,
)
