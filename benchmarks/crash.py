"""Fifty kills of `ingest` and fifty of `detect`, on each store."""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from pathlib import Path

from figures import Figure
from kills import Chain, Tally


def run(
    out: Path, store: str, *, kills: int, init: tuple[str, ...] = (), env: Mapping[str, str] | None = None
) -> list[Figure]:
    """Kills; a state that is neither before nor after ends it with an AssertionError."""
    folder = out / f"crash-{store}"
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    chain = Chain(folder, seed=50, init=init, env=env)
    ingests, detects = Tally(), Tally()
    for _ in range(kills):
        chain.kill_ingest(ingests)
        chain.kill_detect(detects)
    shutil.rmtree(folder)
    return [
        Figure(
            f"crash: kills of {name} on the {store} store after which all was as before or after", tally.asked, "",
            ">=", kills, f"{tally.met} met it alive; after {tally.committed} its work was there",
        )
        for name, tally in (("ingest", ingests), ("detect", detects))
    ]  # fmt: skip
