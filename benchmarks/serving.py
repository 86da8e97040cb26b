"""The review pages on a free port of loopback, in a thread of their own, and a browser that signs in to them."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from playwright.sync_api import Page

from ringwatch.web import Limits, bind, make_app
from ringwatch.web.server import make_server


@contextmanager
def serving(root: Path, limits: Limits | None = None) -> Iterator[str]:
    """Where the pages of a workspace are, while it lasts."""
    bound = bind(port=0)
    server = make_server(make_app(root, bound.origins, limits=limits), bound)
    thread = threading.Thread(target=server.run, kwargs={"sockets": [bound.socket]}, daemon=True)
    thread.start()
    try:
        while not server.started and thread.is_alive():
            time.sleep(0.01)
        yield bound.url
    finally:
        server.should_exit = True
        thread.join(timeout=30)
        bound.socket.close()


def sign_in(page: Page, url: str, name: str, passphrase: str) -> None:
    """From the form to the queue."""
    page.goto(f"{url}signin")
    page.fill("[name=name]", name)
    page.fill("[name=passphrase]", passphrase)
    page.click("button.main")
    page.wait_for_url("**/queue")
