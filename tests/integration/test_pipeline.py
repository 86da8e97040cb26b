"""The whole way through the installed command: what goes in decides what comes out, and nothing else does."""

from __future__ import annotations

import fcntl
import importlib.resources
import random
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from drops import Tables, encode, make_tables, write_drop
from process import EXECUTABLE

from ..command import Ringwatch

MORE_ROWS = {"rings": 4, "loners": 400, "events": 12}


@pytest.fixture(scope="module")
def tables() -> Tables:
    return make_tables(7)


@pytest.fixture(scope="module")
def first(tmp_path_factory: pytest.TempPathFactory, tables: Tables) -> Ringwatch:
    """A workspace with one batch and one run; tests only read it."""
    folder = tmp_path_factory.mktemp("first")
    command = Ringwatch(folder / "workspace")
    command.run("init")
    command.run("ingest", write_drop(folder / "drop", tables))
    command.run("detect", "--seed", "1")
    return command


def _twin(first: Ringwatch, root: Path) -> Ringwatch:
    command = Ringwatch(root)
    command.run("init", "--keys-from", first.workspace)
    return command


def _shuffled(tables: Tables, seed: int) -> Tables:
    random_ = random.Random(seed)
    return {table: random_.sample(rows, len(rows)) for table, rows in tables.items()}


def _one_batch_of_lines(folder: Path, tables: Tables) -> list[list[Path]]:
    return [[write_drop(folder / "lines", _shuffled(tables, 1), "jsonl.gz")]]


def _columns_and_a_subfolder(folder: Path, tables: Tables) -> list[list[Path]]:
    events = tables["events"]
    write_drop(folder / "mixed", {table: rows for table, rows in tables.items() if table != "events"}, "parquet")
    parts = folder / "mixed" / "events"
    parts.mkdir()
    (parts / "b.csv.zst").write_bytes(encode(events[1::2], "csv.zst"))
    (parts / "a.ndjson").write_bytes(encode(events[0::2], "jsonl"))
    return [[folder / "mixed"]]


def _five_batches_events_first(folder: Path, tables: Tables) -> list[list[Path]]:
    shuffled = _shuffled(tables, 2)
    batches = []
    for part in range(3):
        path = folder / f"events-{part}.csv.gz"
        path.write_bytes(encode(shuffled["events"][part::3], "csv.gz"))
        batches.append([path])
    rest = {table: rows for table, rows in shuffled.items() if table != "events"}
    again = folder / "again" / "events.jsonl.zst"
    again.parent.mkdir()
    again.write_bytes(encode(tables["events"][:50], "jsonl.zst"))
    return [*batches, [write_drop(folder / "rest", rest, "parquet")], [again]]


@pytest.mark.parametrize("lay", [_one_batch_of_lines, _columns_and_a_subfolder, _five_batches_events_first])
def test_format_order_and_split_leave_no_trace(
    first: Ringwatch, tables: Tables, tmp_path: Path, lay: Callable[[Path, Tables], list[list[Path]]]
) -> None:
    command = _twin(first, tmp_path / "workspace")
    for sources in lay(tmp_path, tables):
        report = command.json("ingest", *sources)
        assert report["read"] == report["stored"] + report["duplicates"]
    assert command.digest() == first.digest()
    command.run("detect", "--seed", "1")
    assert command.members(tmp_path / "a.csv") == first.members(tmp_path / "b.csv")


def test_one_row_more_is_another_graph(first: Ringwatch, tables: Tables, tmp_path: Path) -> None:
    command = _twin(first, tmp_path / "workspace")
    more = {**tables["events"][0], "event_id": "one-more", "account_id": "somebody-else"}
    command.run("ingest", write_drop(tmp_path / "drop", {**tables, "events": [*tables["events"], more]}))
    assert command.digest() != first.digest()


def test_what_is_known_of_an_entity_may_come_before_and_without_its_use(first: Ringwatch, tmp_path: Path) -> None:
    seen = {"event_id": "e1", "ts": "2026-03-01", "account_id": "a", "kind": "chat", "ip": "198.51.100.7"}
    known = [
        {"entity_type": kind, "entity_id": value, "kind": "service"}
        for kind, value in (("ip", "198.51.100.7"), ("ip", "203.0.113.9"), ("email", "desk@example.org"))
    ]
    events = write_drop(tmp_path / "events", {"events": [seen]})
    entities = write_drop(tmp_path / "entities", {"entities": known})
    digests = set()
    for number, batches in enumerate(([[events], [entities]], [[entities], [events]], [[entities, events]])):
        command = _twin(first, tmp_path / f"workspace{number}")
        for batch in batches:
            command.run("ingest", *batch)
        digests.add(command.digest())
    assert len(digests) == 1


def test_what_an_account_takes_back_goes_whenever_it_is_learnt(first: Ringwatch, tmp_path: Path) -> None:
    old = {
        "account_id": "a",
        "email": "a@example.org",
        "phone": "+4930123456",
        "org_id": "o1",
        "updated_at": "2026-01-01",
    }
    new = {"account_id": "a", "email": "new@example.com", "phone": None, "org_id": "o2", "updated_at": "2026-02-01"}
    stays = {**old, "account_id": "b"}
    earlier = write_drop(tmp_path / "earlier", {"accounts": [old, stays]})
    later = write_drop(tmp_path / "later", {"accounts": [new]})
    digests = set()
    for number, batches in enumerate(([[earlier], [later]], [[later], [earlier]], [[earlier, later]])):
        command = _twin(first, tmp_path / f"workspace{number}")
        for batch in batches:
            command.run("ingest", *batch)
        digests.add(command.digest())
        edges = command.json("graph", "stats")["edges"]
        assert (edges["HAS_EMAIL"], edges["HAS_PHONE"], edges["MEMBER_OF"]) == (2, 1, 2)
    assert len(digests) == 1


def test_the_rings_are_found_whole_and_lead(first: Ringwatch, tmp_path: Path) -> None:
    listed = first.json("clusters", "list")["clusters"]
    lines = first.members(tmp_path / "members.csv").decode().splitlines()[1:]
    members: dict[str, set[str]] = {}
    for line in lines:
        cluster, account = line.split(",")[:2]
        members.setdefault(cluster, set()).add(account)
    top = [members[cluster["cluster_id"]] for cluster in listed[:3]]
    rings = [{f"ring{ring}-{i}" for i in range(6 + ring)} for ring in range(3)]
    assert sorted(map(sorted, top)) == sorted(map(sorted, rings))


def test_as_of_shows_what_was_known_then(first: Ringwatch, tmp_path: Path) -> None:
    command = _twin(first, tmp_path / "workspace")
    command.run("ingest", write_drop(tmp_path / "early", make_tables(7)))
    command.run("ingest", write_drop(tmp_path / "late", make_tables(8, prefix="late-", month=5)))
    command.run("detect", "--seed", "1", "--as-of", "2026-04-01T00:00:00Z")
    assert command.members(tmp_path / "then.csv") == first.members(tmp_path / "first.csv")
    command.run("detect", "--seed", "1")
    assert b"late-ring" in command.members(tmp_path / "now.csv")


def test_the_same_seed_gives_the_same_bytes(first: Ringwatch, tables: Tables, tmp_path: Path) -> None:
    command = _twin(first, tmp_path / "workspace")
    command.run("ingest", write_drop(tmp_path / "drop", tables))
    written: list[list[bytes]] = []
    for turn in ("one", "two"):
        command.run("detect", "--seed", "5")
        cluster = command.json("clusters", "list")["clusters"][0]["cluster_id"]
        paths = [tmp_path / f"{turn}.{kind}" for kind in ("csv", "parquet", "jsonl")]
        for path in paths:
            command.run("clusters", "members", "--output", path)
        scores = tmp_path / f"scores-{turn}.csv"
        command.run("scores", "--output", scores)
        page = command.run("clusters", "show", cluster, "--json").stdout.encode()
        written.append([*(path.read_bytes() for path in (*paths, scores)), page])
    assert len(written[0]) == 5
    for kind, one, two in zip(("csv", "parquet", "jsonl", "scores", "page"), *written, strict=True):
        assert one == two, kind


def test_an_empty_store_is_a_run_of_no_clusters(tmp_path: Path) -> None:
    command = Ringwatch(tmp_path / "workspace")
    command.run("init")
    report = command.json("detect")
    assert (report["accounts"], report["edges"], report["clusters"]) == (0, 0, 0)
    assert command.json("clusters", "list")["clusters"] == []


def test_a_second_writer_is_turned_away_and_readers_are_not(first: Ringwatch, tables: Tables, tmp_path: Path) -> None:
    drop = write_drop(tmp_path / "drop", tables)
    before = first.digest()
    with (first.workspace / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        for arguments in (("ingest", drop), ("detect",)):
            refused = first.call(*arguments, "--wait", "0.2", "--json")
            assert refused.code == 4, refused.stderr
            assert "Traceback" not in refused.stderr
            document = refused.document
            assert (document["schema"], document["code"]) == ("ringwatch.error/1", 4)
            assert document["hint"]
        assert first.digest() == before
        assert first.json("clusters", "list")["clusters"]
    assert first.json("ingest", drop)["stored"] == 0


def test_readers_see_before_or_after_while_a_batch_comes_in(first: Ringwatch, tmp_path: Path) -> None:
    command = _twin(first, tmp_path / "workspace")
    command.run("ingest", write_drop(tmp_path / "drop", make_tables(7)))
    command.run("detect", "--seed", "1")
    before = command.digest()
    shown = command.members(tmp_path / "members.csv")
    big = write_drop(tmp_path / "big", make_tables(9, prefix="big-", **MORE_ROWS))
    seen = []
    with subprocess.Popen(
        [EXECUTABLE, "ingest", big], env=command.env, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    ) as writer:
        while writer.poll() is None:
            seen.append(command.digest())
            assert command.members(tmp_path / "members.csv") == shown
    assert writer.returncode == 0
    after = command.digest()
    assert after != before
    assert before in seen, "no reader came while the batch was on its way"
    assert set(seen) <= {before, after}


@pytest.mark.neo4j
def test_the_real_sample_is_the_same_on_both_stores(tmp_path: Path, neo4j_server: Any) -> None:
    sample = importlib.resources.files("ringwatch.data") / "sample" / "hop"
    shared = Ringwatch(tmp_path / "neo4j", **neo4j_server.env)
    shared.run("init", "--entity-type", "wallet", *neo4j_server.init_arguments)
    alone = Ringwatch(tmp_path / "embedded")
    alone.run("init", "--entity-type", "wallet", "--keys-from", shared.workspace)
    results = []
    for command in (shared, alone):
        report = command.json("ingest", str(sample))
        assert report["stored"] > 1000
        command.run("detect", "--seed", "1", "--no-labels")
        stats = command.json("graph", "stats")
        results.append(
            (
                command.digest(),
                command.members(tmp_path / "members.csv"),
                {key: value for key, value in stats.items() if key not in ("store", "bytes")},
            )
        )
    assert results[0] == results[1]
