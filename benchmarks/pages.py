"""How soon the page of a cluster of 2,000 members can be used in headless Chromium, and how large it is.

usage: pages.py [MEMBERS]

Seconds from the navigation, by the wall: `first byte`; `interactive`, when the scripts have run and a key has opened
the help; `drawn`, when the graph is on the canvas. `busy` is for how long the page's main thread had work. The first
visit reads the log and lays the graph out; what it made is kept for later ones.
"""

from __future__ import annotations

import random
import shutil
import sys
import tempfile
import time
from pathlib import Path
from statistics import median
from typing import Any

from drops import Tables, write_drop
from people import enrol_all
from playwright.sync_api import sync_playwright
from serving import serving, sign_in

from ringwatch import pipeline
from ringwatch.config import make_config
from ringwatch.review import Role
from ringwatch.workspace import Workspace

PASSPHRASE = "a passphrase of the bench"


def make_crowd(members: int, *, strangers: int = 1500, seed: int = 3) -> Tables:
    """One operation of so many accounts that share cards, devices, addresses and a prompt, among strangers."""
    random_ = random.Random(seed)
    words = [f"word{number}" for number in range(600)]
    template = random_.sample(words, 24)
    tables: Tables = {"accounts": [], "events": [], "relations": [], "entities": []}
    for number in range(members + strangers):
        ours = number < members
        name = f"acct_{number:05d}"
        born = 40 + (number % 3 if ours else number % 120)
        tables["accounts"].append(
            {
                "account_id": name,
                "created_at": f"2026-01-{1 + born % 28:02d}T0{number % 10}:00:00Z",
                "email": f"{name}@mail{number % 7 if ours else number}.example",
                "country": "NL",
            }
        )
        for k in range(4 if ours else 2):
            text = list(template) if ours else random_.sample(words, 24)
            text[k] = random_.choice(words)
            tables["events"].append(
                {
                    "event_id": f"{name}-{k}",
                    "ts": f"2026-02-{1 + (number + k) % 28:02d}T{(number + 7 * k) % 24:02d}:{number % 60:02d}:00Z",
                    "account_id": name,
                    "kind": "payment" if k == 0 else "chat",
                    "ip": f"203.0.113.{random_.randrange(12)}" if ours else f"10.{number // 200}.{number % 200}.{k}",
                    "device_id": f"d{random_.randrange(60)}" if ours else f"own{number}",
                    "payment_id": (f"tok{random_.randrange(8)}" if ours else f"own{number}") if k == 0 else None,
                    "prompt": " ".join(text) if k else None,
                    "harm": "fraud" if ours and k > 1 else None,
                    "harm_score": 0.9 if ours and k > 1 else 0.01,
                    "refused": ours and k > 1,
                }
            )
    return tables


def make_crowded(folder: Path, members: int) -> tuple[Workspace, str]:
    """A workspace in which one cluster has about so many members, and its id."""
    workspace = pipeline.create_workspace(folder / "workspace", make_config())
    pipeline.ingest_drop(workspace, [write_drop(folder / "drop", make_crowd(members), "parquet")])
    pipeline.run_detection(workspace, seed=1)
    clusters = pipeline.load_run(workspace).clusters.sort_values("size")
    return workspace, str(clusters["cluster_id"].iloc[-1])


def visit(page: Any, url: str) -> dict[str, float]:
    """Opens a page anew; its figures."""
    tools = page.context.new_cdp_session(page)
    tools.send("Performance.enable")
    start = time.perf_counter()
    page.goto(url, wait_until="commit")
    found = {"first byte": time.perf_counter() - start}
    page.wait_for_selector("html[data-ready]", state="attached")
    page.keyboard.press("?")
    page.wait_for_selector("#help[open]")
    found["interactive"] = time.perf_counter() - start
    page.wait_for_selector("canvas[data-drawn]")
    found["drawn"] = time.perf_counter() - start
    metrics = {one["name"]: one["value"] for one in tools.send("Performance.getMetrics")["metrics"]}
    found["busy"] = metrics["TaskDuration"]
    tools.detach()
    return found


def size_of(page: Any) -> int:
    """Bytes of the page and of all that it fetched, as decoded."""
    return int(
        page.evaluate(
            "[...performance.getEntriesByType('navigation'), ...performance.getEntriesByType('resource')]"
            ".reduce((sum, one) => sum + one.decodedBodySize, 0)"
        )
    )


def main() -> None:
    members = int(sys.argv[1]) if len(sys.argv) > 1 else 2000
    with tempfile.TemporaryDirectory() as name, sync_playwright() as started:
        workspace, cluster = make_crowded(Path(name), members)
        enrol_all(workspace, {"root": Role.ADMIN, "ann": Role.ANALYST}, PASSPHRASE)
        with serving(workspace.root) as url:
            browser = started.chromium.launch(executable_path=shutil.which("chromium"), args=["--no-sandbox"])
            page = browser.new_page(viewport={"width": 1280, "height": 900})
            sign_in(page, url, "ann", PASSPHRASE)
            visits = [visit(page, f"{url}clusters/{cluster}") for _ in range(6)]
            size = size_of(page)
            browser.close()
    print(f"{members} members, {size / 1e6:.2f} MB in all")
    print(f"{'':<14}{'first':>8}{'later (median)':>16}")
    for what in visits[0]:
        later = median(one[what] for one in visits[1:])
        print(f"{what:<14}{visits[0][what]:>8.2f}{later:>16.2f}")


if __name__ == "__main__":
    main()
