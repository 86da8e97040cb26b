"""Cost: `ingest` and `detect` beside the bare work, on the same drop in the same run; and how it grows."""

from __future__ import annotations

import json
import shutil
import sys
from pathlib import Path
from typing import Any

from figures import Figure
from process import FailedError, Ringwatch, run_process

SIZES = (("100 k", "1e5", "1e6"), ("1 M", "1e6", "1e7"))


def _tool(arguments: list[str | Path]) -> str:
    done = run_process([sys.executable, *arguments])
    if done.code:
        raise FailedError(done)
    return done.stdout


def _product(folder: Path, drop: Path) -> dict[str, Any]:
    shutil.rmtree(folder, ignore_errors=True)
    command = Ringwatch(folder)
    command.run("init")
    ingest = command.run("ingest", drop, "--json")
    detect = command.run("detect", "--seed", "1", "--no-labels", "--json")
    return {
        "ingest": ingest.seconds,
        "detect": detect.seconds,
        "peak": max(ingest.peak_rss_mb, detect.peak_rss_mb),
        "stages": detect.document["stages"],
        "clusters": detect.document["clusters"],
    }


def big_drop(out: Path, tools: Path, accounts: str, events: str) -> Path:
    """The drop of so many accounts and events that `make_big.py` writes, made unless it is there."""
    drop = out / f"big-{accounts}" / "drop"
    if not (drop / "accounts.parquet").exists():
        _tool([tools / "make_big.py", accounts, events, drop])
    return drop


def run(out: Path, tools: Path) -> list[Figure]:
    """`tools` holds make_big.py, which writes the drop, and limit.py, which does the bare work."""
    figures: list[Figure] = []
    totals = []
    for name, accounts, events in SIZES:
        drop = big_drop(out, tools, accounts, events)
        floor = json.loads(_tool([tools / "limit.py", drop]).splitlines()[-1])
        if "minhash" not in floor:
            raise RuntimeError("limit.py left the prompts out: rensa is not installed (make bench installs it)")
        product = _product(out / f"big-{accounts}" / "workspace", drop)
        total = product["ingest"] + product["detect"]
        totals.append(total)
        split = f"ingest {product['ingest']:.1f}, detect {product['detect']:.1f}, {product['clusters']} clusters"
        figures += [
            Figure(f"floor at {name} accounts", floor["total"], "s", note=f"peak {floor['peak_rss_mb']} MB"),
            Figure(f"ingest + detect at {name} accounts", total, "s", note=split),
            Figure(f"ratio to the floor at {name}", total / floor["total"], "x", "<=", 4.0),
            Figure(f"peak memory at {name}", product["peak"], "MB", "<=", 8000.0),
            Figure(
                f"longest stage of detect at {name}", max(product["stages"].values()), "s",
                note=", ".join(f"{stage} {seconds:.1f}" for stage, seconds in product["stages"].items()),
            ),
        ]  # fmt: skip
    figures.append(Figure("growth from 100 k to 1 M accounts", totals[-1] / totals[0], "x", "<=", 12.0))
    return figures
