"""`serve`: the review pages, for browsers on this machine."""

from __future__ import annotations

import logging
import sys
from pathlib import Path
from typing import Annotated

import typer

from ringwatch.cli.session import Session, command
from ringwatch.errors import UsageError


def register(app: typer.Typer) -> None:
    """Adds the command to the app."""
    command(app, "serve")(_serve)


def _serve(
    session: Session,
    address: Annotated[str, typer.Option(help="An address of this machine; others than loopback are refused.")] = (
        "127.0.0.1"
    ),
    port: Annotated[int, typer.Option(help="0: any free one.", min=0, max=65535)] = 8713,
    name: Annotated[
        list[str] | None,
        typer.Option(help="HOST or HOST:PORT that browsers name besides, by HTTPS: of a proxy in front; repeatable."),
    ] = None,
    allow_network: Annotated[
        bool,
        typer.Option(
            "--allow-network",
            help="Take an address that other machines reach: whoever reaches it can try passphrases. Needs TLS.",
        ),
    ] = False,
    certificate: Annotated[Path | None, typer.Option(help="A certificate chain, as PEM.")] = None,
    certificate_key: Annotated[Path | None, typer.Option(help="Its key, as PEM.")] = None,
    idle: Annotated[float, typer.Option(help="Minutes without a request after which one is signed out.", min=1)] = 15,
) -> None:
    """Serve the review pages: queue, clusters, cases, audit. Ends by Ctrl-C."""
    try:
        from ringwatch.web import Limits, bind, serve
    except ModuleNotFoundError as error:
        if (error.name or "").startswith("ringwatch"):
            raise
        raise UsageError(
            f"The review pages need {error.name}, which is not installed.",
            hint="`make install`, or `pip install 'ringwatch[web]'`.",
        ) from error
    if (certificate is None) != (certificate_key is None):
        raise UsageError("A certificate goes with its key.", hint="Give --certificate and --certificate-key.")
    workspace = session.workspace()
    pair = None if certificate is None or certificate_key is None else (certificate, certificate_key)
    bound = bind(address, port, names=name or (), allow_network=allow_network, certificate=pair)
    if not session.quiet:
        logging.basicConfig(level=logging.WARNING, stream=sys.stderr)
        logging.getLogger("ringwatch.web").setLevel(logging.INFO)

    def ready() -> None:
        document = {"url": bound.url, "workspace": str(workspace.root), "hosts": sorted(bound.origins)}
        session.say("serve", document, lambda: session.line(f"The review pages are at {bound.url} (Ctrl-C ends)."))
        sys.stdout.flush()

    serve(workspace.root, bound, limits=Limits(idle=idle * 60), ready=ready)
