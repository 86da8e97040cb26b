"""The server: which address it takes, under which names it answers, and how it ends."""

from __future__ import annotations

import contextlib
import ipaddress
import socket
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import uvicorn

from ringwatch.errors import PolicyError, UnavailableError, UsageError
from ringwatch.web.app import make_app
from ringwatch.web.sessions import Limits

DEFAULT_PORT = 8713


@dataclass(frozen=True)
class Bound:
    """A socket that listens, and the origin of the pages by each host that may be named."""

    socket: socket.socket
    origins: dict[str, str]
    certificate: tuple[Path, Path] | None = None

    @property
    def url(self) -> str:
        """Where the pages are."""
        return next(iter(self.origins.values())) + "/"


def bind(
    address: str = "127.0.0.1",
    port: int = DEFAULT_PORT,
    *,
    names: Sequence[str] = (),
    allow_network: bool = False,
    certificate: tuple[Path, Path] | None = None,
) -> Bound:
    """Takes an address; port 0 is any free one.

    Args:
        names: hosts that a browser may name besides, like `review.example`, always by HTTPS: behind a proxy that
            speaks TLS, or with a `certificate` (a chain and its key, as PEM).

    Raises:
        PolicyError: the address can be reached from other machines and that was not allowed, or would be without TLS.
        UsageError: it is no address. UnavailableError: it is taken.
    """
    try:
        ip = ipaddress.ip_address("127.0.0.1" if address == "localhost" else address)
    except ValueError as error:
        raise UsageError(f"'{address[:80]}' is no IP address.", hint="Use one like 127.0.0.1.") from error
    if not ip.is_loopback:
        if not allow_network:
            raise PolicyError(
                f"{ip} can be reached from other machines: whoever reaches it can try passphrases, and who guesses"
                " one reads what was found of your users.",
                hint="Use 127.0.0.1 and a tunnel (ssh -L), or say --allow-network, with --certificate and --name.",
            )
        if certificate is None or not names:
            raise PolicyError(
                "On a network passphrases and pages must not be readable on the way.",
                hint="Give --certificate and --certificate-key, and by --name the host that browsers name.",
            )
    found = socket.socket(socket.AF_INET6 if ip.version == 6 else socket.AF_INET, socket.SOCK_STREAM)
    try:
        found.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        found.bind((str(ip), port))
        found.listen(64)
    except OSError as error:
        found.close()
        raise UnavailableError(
            f"{ip} port {port} cannot be taken: {error.strerror}.", hint="Give another --port; 0 is any free one."
        ) from error
    port = found.getsockname()[1]
    scheme = "https" if certificate else "http"
    own = [f"[{ip}]" if ip.version == 6 else str(ip), "localhost"] if ip.is_loopback else []
    origins: dict[str, str] = {}
    for name in own:
        origins |= _hosts(scheme, name.lower(), port)
    for name in names:
        host, _, given = name.lower().partition(":")
        origins |= _hosts("https", host, int(given) if given.isdigit() else port if certificate else 443)
    return Bound(found, origins, certificate)


def _hosts(scheme: str, name: str, port: int) -> dict[str, str]:
    """What a browser sends as Host for an origin: it leaves out the port that the scheme has anyway."""
    if port == {"http": 80, "https": 443}[scheme]:
        return {name: f"{scheme}://{name}"}
    return {f"{name}:{port}": f"{scheme}://{name}:{port}"}


def serve(root: Path, bound: Bound, *, limits: Limits | None = None, ready: Callable[[], None] | None = None) -> None:
    """Answers until it is interrupted. `ready` is called once it listens.

    Raises:
        UsageError: there is no workspace, or the certificate cannot be read.
    """
    app = make_app(root, bound.origins, limits=limits)
    server = make_server(app, bound)
    if ready is not None:
        ready()
    # Once it has ended in order, the server raises the interrupt that it was ended by.
    with contextlib.suppress(KeyboardInterrupt):
        server.run(sockets=[bound.socket])


def make_server(app: object, bound: Bound) -> uvicorn.Server:
    """The server of an app; it says nothing of what is read through it but what the app says."""
    chain, key = bound.certificate or (None, None)
    try:
        config = uvicorn.Config(
            app,  # type: ignore[arg-type]
            access_log=False, log_level="warning", server_header=False, proxy_headers=False, ws="none",
            limit_concurrency=64, timeout_keep_alive=5, timeout_graceful_shutdown=5,
            h11_max_incomplete_event_size=32 << 10, http="h11",
            ssl_certfile=None if chain is None else str(chain), ssl_keyfile=None if key is None else str(key),
        )  # fmt: skip
        config.load()
    except OSError as error:
        raise UsageError(
            f"The certificate cannot be read: {error}.", hint="Give a chain and its key, as PEM."
        ) from error
    return uvicorn.Server(config)
