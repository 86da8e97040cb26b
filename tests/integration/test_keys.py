"""A rotation of the keys changes every token and nothing else."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import pytest
from drops import make_tables, write_drop

from ..command import Ringwatch


@pytest.fixture(scope="module")
def drops(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    folder = tmp_path_factory.mktemp("drops")
    return [write_drop(folder / f"drop{n}", make_tables(n, loners=20, prefix=f"w{n}-")) for n in (5, 6)]


@pytest.fixture(scope="module")
def rotated(tmp_path_factory: pytest.TempPathFactory, drops: list[Path]) -> tuple[Ringwatch, Ringwatch]:
    """Two workspaces of the same drops and keys: one as it was, one after a rotation."""
    folder = tmp_path_factory.mktemp("rotated")
    still, turned = Ringwatch(folder / "still"), Ringwatch(folder / "turned")
    still.run("init")
    turned.run("init", "--keys-from", still.workspace)
    for command in (still, turned):
        for drop in drops:
            command.run("ingest", drop)
        command.run("detect", "--seed", "1")
    turned.run("keys", "rotate", "--reason", "yearly")
    return still, turned


def test_tokens_change_and_findings_stay(rotated: tuple[Ringwatch, Ringwatch], tmp_path: Path) -> None:
    still, turned = rotated
    assert turned.digest() != still.digest()
    assert turned.members(tmp_path / "a.csv") == still.members(tmp_path / "b.csv")
    clusters = still.json("clusters", "list")["clusters"]
    assert turned.json("clusters", "list")["clusters"] == clusters
    one, two = (command.json("clusters", "show", clusters[0]["cluster_id"]) for command in rotated)
    assert one["digest"] == two["digest"]
    assert one["evidence"] != two["evidence"], "the exemplars' tokens are the old ones"
    counts = [command.json("graph", "stats")["nodes"] for command in rotated]
    assert counts[0] == counts[1]


def test_new_tokens_open_the_same_originals(rotated: tuple[Ringwatch, Ringwatch]) -> None:
    originals = []
    for command in rotated:
        cluster = command.json("clusters", "list")["clusters"][0]["cluster_id"]
        entities = pd.DataFrame(command.json("clusters", "show", cluster)["entities"])
        tokens = sorted(set(entities.loc[entities["type"] == "payment", "token"]))
        assert tokens
        originals.append(
            {
                value["value"]
                for token in tokens
                for value in command.json("reveal", token, "--reason", "case 1")["values"]
            }
        )
    assert originals[0] == originals[1]


def test_work_goes_on_and_the_old_key_is_gone(
    rotated: tuple[Ringwatch, Ringwatch], drops: list[Path], tmp_path: Path
) -> None:
    _, turned = rotated
    keys = sorted(path.name for path in (turned.workspace / "keys").iterdir())
    assert keys == ["audit.key", "signatures.key", "tokens-2.key", "vault.key"]
    again = turned.json("ingest", drops[0])
    assert again["duplicates"] == again["read"]
    before = turned.members(tmp_path / "before.csv")
    turned.run("detect", "--seed", "1")
    assert turned.members(tmp_path / "after.csv") == before
    assert turned.json("doctor")["ok"] is True
    fresh = Ringwatch(tmp_path / "fresh")
    fresh.run("init", "--keys-from", turned.workspace)
    for drop in drops:
        fresh.run("ingest", drop)
    assert fresh.digest() == turned.digest()


def test_a_rotation_needs_a_reason(tmp_path: Path) -> None:
    command = Ringwatch(tmp_path / "workspace")
    command.run("init")
    assert command.call("keys", "rotate").code == 2
    assert command.call("keys", "rotate", "--reason", " ").code == 2
    assert (command.workspace / "keys" / "tokens-1.key").exists()
