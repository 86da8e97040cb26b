"""SIGKILL at random moments: nothing acknowledged is lost, nothing is half there, repeating completes it."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest
from kills import Chain, Tally

from ..command import Ringwatch

KILLS = int(os.environ.get("RINGWATCH_KILLS", "3"))


def _torment(chain: Chain) -> None:
    ingests, detects = Tally(), Tally()
    for _ in range(KILLS):
        chain.kill_ingest(ingests)
        chain.kill_detect(detects)
    assert ingests.asked == detects.asked == KILLS
    assert ingests.met + detects.met > 0, "no kill met a living process: nothing was tried"


def test_a_killed_writer_leaves_the_embedded_store_before_or_after(tmp_path: Path) -> None:
    _torment(Chain(tmp_path, seed=11, command=Ringwatch))


@pytest.mark.neo4j
def test_a_killed_writer_leaves_neo4j_before_or_after(tmp_path: Path, neo4j_server: Any) -> None:
    server = {"init": neo4j_server.init_arguments, "env": neo4j_server.env}
    _torment(Chain(tmp_path, seed=12, command=Ringwatch, **server))
