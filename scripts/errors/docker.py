"""Troubles with a Docker engine, its images and containers: exit 3, the cause and the next step.

Owns: the text of every such error.
"""

from __future__ import annotations

from scripts.errors.server import ServerError


class DockerError(ServerError):
    """The Docker origin cannot be had."""

    kind = "docker"

    @classmethod
    def no_engine(cls, reason: str) -> DockerError:
        """SERVER=docker, and no engine answers."""
        return cls(
            "no Docker engine answers",
            facts=[("expected", "an engine at DOCKER_HOST or the current context"), ("found", reason)],
            help="start Docker, or use SERVER=embedded, which needs none",
        )

    @classmethod
    def bad_host(cls, where: str, found: str) -> DockerError:
        """What names the engine leads to none; `where` is DOCKER_HOST or a context, `found` shows no secret."""
        return cls(
            "no Docker engine can be named like this",
            where=where,
            facts=[
                ("expected", "unix:///path, http+unix:///path, tcp://host:port, http(s)://host:port, ssh://user@host"),
                ("found", found),
            ],
            help="correct DOCKER_HOST, or unset it for the current context; SERVER=embedded needs no engine"
            if where == "DOCKER_HOST"
            else "correct it (docker context update), choose another with DOCKER_CONTEXT, or set DOCKER_HOST; "
            "SERVER=embedded needs no engine",
        )

    @classmethod
    def no_keys(cls, where: str, wanted: str, found: str) -> DockerError:
        """TLS is asked for, and its files are not there."""
        return cls(
            "the keys for the Docker engine are not there",
            where=where,
            facts=[("expected", wanted), ("found", found)],
            help="name the folder that has them in DOCKER_CERT_PATH; for an engine without TLS unset DOCKER_TLS_VERIFY "
            "and DOCKER_CERT_PATH; SERVER=embedded needs no engine",
        )

    @classmethod
    def other_api(cls, version: str, spoken: str) -> DockerError:
        """DOCKER_API_VERSION is no version, or none that is spoken there."""
        return cls(
            "the Docker engine cannot be spoken to in this version",
            where="DOCKER_API_VERSION",
            facts=[("expected", spoken), ("found", version)],
            help="unset DOCKER_API_VERSION for the newest that both speak; SERVER=embedded needs no engine",
        )

    @classmethod
    def closed(cls, place: str) -> DockerError:
        """An engine's socket is there, and not for this user."""
        return cls(
            "the Docker engine is closed to this user",
            where=place,
            facts=[("expected", "a socket that this user may write to"), ("found", "permission denied")],
            help="usermod -aG docker USER and log in again, or run a rootless engine, or use SERVER=embedded",
        )

    @classmethod
    def went_away(cls, image: str, reason: str) -> DockerError:
        """It answered, and then it did not."""
        return cls(
            "the Docker engine went away during the run",
            where=image,
            facts=[("expected", "an engine that answers until the run ends"), ("found", reason)],
            help="start Docker and run again; the container ended with the engine, or, if that was killed, goes on "
            "until it is started again, which ends it; else: docker rm -f what `docker ps` lists of this image",
        )

    @classmethod
    def left_early(cls, image: str, reason: str) -> DockerError:
        """It answered, and then it did not, before there was a container: nothing is left to be removed."""
        return cls(
            "the Docker engine went away before a container was made",
            where=image,
            facts=[("expected", "an engine that answers until the run ends"), ("found", reason)],
            help="start Docker and run again: nothing of this run is left in it; SERVER=embedded needs no engine",
        )

    @classmethod
    def silent(cls, image: str, seconds: float) -> DockerError:
        """It takes connections and says nothing; `seconds` is how long it was waited for."""
        return cls(
            "the Docker engine does not answer any more",
            where=image,
            facts=[("expected", f"an answer within {seconds:g} s"), ("found", "none")],
            help="look at the engine and its machine, restart it, or use SERVER=embedded; SERVER_START_TIMEOUT_MS is "
            "how long it is waited for, 60 s at most",
        )

    @classmethod
    def limit_too_short(cls, image: str, timeout_ms: int) -> DockerError:
        """It answers, and needs longer for what it was asked than the start may take; `timeout_ms` is that."""
        return cls(
            "the container was not started in time",
            where=image,
            facts=[
                ("expected", f"a start within SERVER_START_TIMEOUT_MS, {timeout_ms} ms"),
                ("found", "an engine that answers, and is not done yet"),
            ],
            help="raise SERVER_START_TIMEOUT_MS: a start takes a second or less, 60000 is the default",
        )

    @classmethod
    def not_reached(cls, image: str, place: str, reason: str) -> DockerError:
        """The server is ready in its container, and its published port is none of the network that this run is in."""
        return cls(
            "the server in the container cannot be reached from here",
            where=image,
            facts=[("expected", f"its published port at {place}"), ("found", f"{reason}, while inside it is ready")],
            help="the engine publishes in another network: run in that one (docker run --network host …), name the "
            "engine by tcp:// or ssh:// so that its ports can be reached, or use SERVER=embedded",
        )

    @classmethod
    def no_port(cls, image: str, network: str, seconds: float) -> DockerError:
        """The container runs, and none of its ports is published; `network` is the one that it is in, "" for none."""
        return cls(
            "the container got no port",
            where=image,
            facts=[
                ("expected", "a published port, in the engine's own network (bridge)"),
                ("found", f"none after {seconds:g} s, in {f'the network {network}' if network else 'no network'}"),
            ],
            help="the engine's own log names the cause; name another one with DOCKER_HOST, or use SERVER=embedded"
            if network
            else 'the engine has no network for containers: start it with one (no `--bridge none`, no "bridge": "none" '
            "in daemon.json), name another engine with DOCKER_HOST, or use SERVER=embedded",
        )

    @classmethod
    def bad_name(cls, image: str, reason: str) -> DockerError:
        """No image can have that name."""
        return cls(
            "no image can have this name",
            where=f"PG_IMAGE={image}",
            facts=[("expected", "[registry/]name[:tag] or name@sha256:digest, in lower case"), ("found", reason)],
            help="correct PG_IMAGE, or unset it for the image that is pinned",
        )

    @classmethod
    def no_image(cls, image: str, reason: str) -> DockerError:
        """The image is not local and could not be pulled."""
        return cls(
            "the image is not there and cannot be pulled",
            where=image,
            facts=[("found", reason)],
            help=f"docker pull {image}, or SERVER=embedded; invoke image.build --offline makes one without a registry",
        )

    @classmethod
    def refused(cls, step: str, image: str, reason: str) -> DockerError:
        """The engine refused a request."""
        return cls(
            f"the Docker engine refused to {step}",
            where=image,
            facts=[("found", reason)],
            help="the engine's own words name the cause; SERVER=embedded needs no engine",
        )


class ContainerEndedError(DockerError):
    """The server in a container ended, or never began."""

    @classmethod
    def with_log(cls, image: str, status: str, log: str) -> ContainerEndedError:
        """Before it answered."""
        return cls(
            "the container ended before the server answered",
            where=image,
            facts=[("found", status), ("log", log or "(empty)")],
            help="the log's last lines name the cause; PG_IMAGE must speak the official image's contract",
        )
