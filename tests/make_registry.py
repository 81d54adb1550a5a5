"""A registry with one image in it, on the loopback, where an engine asks without TLS: enough of its protocol to pull.

Owns: the manifest, made of what the engine saves of the image. Source: OCI Distribution Specification, "Pull".
"""

from __future__ import annotations

import gzip
import hashlib
import io
import json
import tarfile
import threading
from contextlib import contextmanager
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator

UNKNOWN = b'{"errors": [{"code": "MANIFEST_UNKNOWN", "message": "manifest unknown"}]}'
MANIFEST = "application/vnd.docker.distribution.manifest.v2+json"


@dataclass(frozen=True)
class Registry:
    """Where it is: `name` is registry and repository; `digest` the manifest's."""

    name: str
    digest: str


@contextmanager
def open_registry(api: Any, image: str, tag: str) -> Iterator[Registry]:
    """Serve an image that an engine has.

    Args:
        api: the engine's.
        image: the name it has there.
        tag: the one it has here.
    """
    blobs: dict[str, bytes] = {}

    def add(content: bytes, kind: str) -> dict[str, Any]:
        digest = f"sha256:{hashlib.sha256(content).hexdigest()}"
        blobs[digest] = content
        return {"mediaType": kind, "digest": digest, "size": len(content)}

    with tarfile.open(fileobj=io.BytesIO(b"".join(api.get_image(image)))) as saved:

        def read(name: str) -> bytes:
            file = saved.extractfile(name)
            assert file is not None
            return file.read()

        (listed,) = json.loads(read("manifest.json"))
        manifest = {
            "schemaVersion": 2,
            "mediaType": MANIFEST,
            "config": add(read(listed["Config"]), "application/vnd.docker.container.image.v1+json"),
            "layers": [
                add(gzip.compress(read(layer), 1, mtime=0), "application/vnd.docker.image.rootfs.diff.tar.gzip")
                for layer in listed["Layers"]
            ],
        }
    content = json.dumps(manifest).encode()
    digest = f"sha256:{hashlib.sha256(content).hexdigest()}"
    found = {f"manifests/{name}": (content, MANIFEST) for name in (tag, digest)}
    found |= {f"blobs/{name}": (blob, "application/octet-stream") for name, blob in blobs.items()}

    class Handler(BaseHTTPRequestHandler):
        """GET and HEAD of what is there."""

        def answer(self, *, body: bool) -> None:
            content, kind = found.get(self.path.removeprefix("/v2/parity/"), (UNKNOWN, "application/json"))
            known = self.path == "/v2/" or self.path.removeprefix("/v2/parity/") in found
            self.send_response(200 if known else 404)
            self.send_header("Content-Type", kind)
            self.send_header("Content-Length", str(len(content)))
            if kind == MANIFEST:
                self.send_header("Docker-Content-Digest", digest)
            self.end_headers()
            if body:
                self.wfile.write(content)

        def do_GET(self) -> None:
            self.answer(body=True)

        def do_HEAD(self) -> None:
            self.answer(body=False)

        def log_message(self, *_: object) -> None:
            """Nothing."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        serving = threading.Thread(target=server.serve_forever)
        serving.start()
        yield Registry(f"127.0.0.1:{server.server_port}/parity", digest)
        server.shutdown()
        serving.join()
