"""Draws the README's pictures of a simulated world: docs/cluster.svg, what `ringwatch clusters show` prints of a
cluster; docs/queue.png, docs/case.png and docs/account.png, the review pages in headless Chromium.

usage: picture.py [SEED]
"""

from __future__ import annotations

import io
import re
import shutil
import sys
import tempfile
from pathlib import Path

from people import enrol_all
from playwright.sync_api import sync_playwright
from process import Ringwatch
from rich.console import Console
from rich.text import Text
from serving import serving, sign_in

from ringwatch.pipeline import load_run
from ringwatch.review import (
    Action,
    Decision,
    Role,
    decide,
    load_book,
    open_cases,
    propose,
    review_queue,
)
from ringwatch.workspace import Workspace

WIDTH = 110
DOCS = Path(__file__).resolve().parents[1] / "docs"
TARGET = DOCS / "cluster.svg"
PASSPHRASE = "a passphrase for pictures"


def draw(ansi: str, title: str) -> str:
    """A terminal's text as an SVG that fetches nothing from elsewhere."""
    console = Console(record=True, width=WIDTH + 10, file=io.StringIO(), force_terminal=True)
    console.print(Text.from_ansi(ansi))
    svg = console.export_svg(title=title, unique_id="cluster")
    svg = re.sub(r"@font-face \{.*?\}\s*", "", svg, flags=re.DOTALL)
    return svg.replace("font-family: Fira Code, monospace", "font-family: ui-monospace, Menlo, Consolas, monospace")


def photograph(root: Path) -> None:
    """The queue, a case that waits for a second reviewer, and a member of it."""
    workspace = Workspace.open(root)
    people = enrol_all(workspace, {"root": Role.ADMIN, "ann": Role.ANALYST, "bob": Role.REVIEWER}, PASSPHRASE)
    first = review_queue(load_run(workspace), load_book(workspace))["cluster_id"].tolist()
    cases = [one.case_id for one in open_cases(workspace, people["ann"], first[:3], reason="the worst").cases]
    propose(workspace, people["ann"], cases[:2], action=Action.SUSPEND, reason="One network, one trade, one wave.")
    decide(workspace, people["bob"], cases[1:2], Decision.APPROVE, reason="Agreed.")
    with serving(root) as url, sync_playwright() as started:
        browser = started.chromium.launch(executable_path=shutil.which("chromium"), args=["--no-sandbox"])
        page = browser.new_page(viewport={"width": 1200, "height": 780})
        sign_in(page, url, "bob", PASSPHRASE)
        page.screenshot(path=DOCS / "queue.png")
        page.goto(f"{url}cases/{cases[0]}")
        page.wait_for_selector("canvas[data-drawn]")
        page.screenshot(path=DOCS / "case.png")
        page.goto(f"{url}accounts/{min(load_book(workspace).case(cases[0]).members)}")
        page.screenshot(path=DOCS / "account.png")
        browser.close()


def main() -> None:
    seed = sys.argv[1] if len(sys.argv) > 1 else "1"
    with tempfile.TemporaryDirectory() as folder:
        command = Ringwatch(Path(folder) / "workspace", FORCE_COLOR="1", COLUMNS=str(WIDTH), TERM="xterm-256color")
        drop = Path(folder) / "drop"
        command.run("simulate", "easy", "--output", drop, "--seed", seed)
        command.run("init")
        command.run("ingest", drop)
        command.run("detect", "--no-labels", "--seed", "1")
        first = command.json("clusters", "list", "--limit", "1")["clusters"][0]["cluster_id"]
        del command.env["NO_COLOR"]
        page = command.run("clusters", "show", first).stdout
        photograph(command.workspace)
    TARGET.write_text(draw(page, f"ringwatch clusters show {first}"), encoding="utf-8")
    print(f"wrote {TARGET}")


if __name__ == "__main__":
    main()
