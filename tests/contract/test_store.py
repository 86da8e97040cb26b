"""What a store of the graph must do: one suite, run on both stores."""

from __future__ import annotations

import random
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from ringwatch.errors import BusyError, PolicyError, RingwatchError, UnavailableError, UsageError
from ringwatch.graphs.digest import graph_digest
from ringwatch.graphs.schema import EDGES, NODES, SCHEMA_VERSION, TABLES
from ringwatch.graphs.store import (
    Applied,
    Changes,
    EmbeddedStore,
    GraphStore,
    Neo4jStore,
    embedded,
    neo4j,
    next_generation,
)
from ringwatch.graphs.store.migrations import META, MIGRATIONS

from ..neo4j_server import Server
from .small_graph import EDGE_ROWS, NODE_ROWS, day, small_graph

Open = Callable[[], GraphStore]
APPLIED = Applied(("b1",), ("run2",), SCHEMA_VERSION)
TIME = pa.timestamp("us", "UTC")
HOSTILE = [
    "o'brien", 'say "hi"', "a\nb\r\nc", "back\\slash", "\\u0041", "`tick`", "$p_src", "{}", " padded ", "-1", "0",
    "NULL", "\x00nul", "\x01\x1f\x7f", "\u202ertl", "é", "e\u0301", "\U0001f600", "a,b;c\td", "\x1f",
    "'; DROP TABLE x; --", "long" * 500,
]  # fmt: skip


def connect(server: Server, workspace: str = "w1", **other: str) -> Neo4jStore:
    given = {"user": server.user, "password": server.password, "database": "neo4j", **other}
    return Neo4jStore(server.uri, workspace_id=workspace, **given)


@pytest.fixture(params=["embedded", pytest.param("neo4j", marks=pytest.mark.neo4j)])
def open_store(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Open]:
    """Opens the one empty database; opened again, it is the same."""
    opened: list[GraphStore] = []
    server = request.getfixturevalue("neo4j_server") if request.param == "neo4j" else None

    def open_() -> GraphStore:
        while opened:
            opened.pop().close()
        opened.append(connect(server) if server else EmbeddedStore(tmp_path / "graph", read_only=False))
        return opened[0]

    yield open_
    for store in opened:
        store.close()


@pytest.fixture
def store(open_store: Open) -> GraphStore:
    return open_store()


def rows(frame: pa.Table) -> list[str]:
    return sorted(map(repr, frame.to_pylist()))


def content(store: GraphStore) -> dict[str, list[str]]:
    return {name: rows(store.nodes(name) if name in NODES else store.edges(name)) for name in TABLES}


def expected(changes: Changes) -> dict[str, list[str]]:
    frames = {**changes.nodes, **changes.edges}
    return {name: rows(frames[name]) if name in frames else [] for name in TABLES}


def accounts(ids: list[str], **columns: Any) -> Changes:
    return Changes({"Account": pa.table({"id": ids, **columns})})


def reference(*steps: Changes) -> str:
    """The digest of the embedded store after these changes."""
    store = EmbeddedStore(None)
    for changes in steps:
        store.write(changes, APPLIED)
    digest: str = graph_digest(store)
    return digest


# -- schema ---------------------------------------------------------------------------------------------------------


def test_migrations_run_once(store: GraphStore) -> None:
    assert store.applied() == Applied()
    assert store.apply_schema() == [step.name for step in MIGRATIONS]
    assert store.apply_schema() == []
    assert store.applied() == Applied((), (), SCHEMA_VERSION)
    assert store.counts() == dict.fromkeys(TABLES, 0)


def test_an_interrupted_migration_is_run_again(store: GraphStore, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(type(store), "_record", _break)
    with pytest.raises(_BrokenError):
        store.apply_schema()
    monkeypatch.undo()
    assert store.apply_schema() == [step.name for step in MIGRATIONS]
    store.write(small_graph(), APPLIED)
    assert content(store) == expected(small_graph())


def test_an_empty_database_reads_as_an_empty_graph(store: GraphStore) -> None:
    assert store.counts() == dict.fromkeys(TABLES, 0)
    store.apply_schema()
    assert all(len(store.nodes(label)) == 0 for label in NODES)
    assert all(len(store.edges(edge)) == 0 for edge in EDGES)


# -- writing and reading --------------------------------------------------------------------------------------------


def test_what_is_written_is_read(store: GraphStore, open_store: Open) -> None:
    store.write(small_graph(), APPLIED)
    assert content(store) == expected(small_graph())
    again = open_store()
    assert again.applied() == APPLIED
    assert again.counts() == {name: len(rows) for name, rows in {**NODE_ROWS, **EDGE_ROWS}.items()}
    for label in NODES:
        assert again.nodes(label).schema.equals(small_graph().nodes[label].schema)
    for edge in EDGES:
        assert again.edges(edge).schema.equals(small_graph().edges[edge].schema)


def test_writing_twice_has_no_effect(store: GraphStore) -> None:
    for _ in range(2):
        store.write(small_graph(), APPLIED)
        assert content(store) == expected(small_graph())


def test_a_row_replaces_only_what_it_names(store: GraphStore) -> None:
    store.write(small_graph(), APPLIED)
    seen: Any = {"src": ["a1", "c1"], "dst": ["ip_01", "ip_01"], "count": [77, 5]}
    gift: Any = {"src": ["a1", "a1"], "dst": ["a4", "a4"], "kind": ["gift", "loan"], "amount": [6.5, 1.0]}
    store.write(
        Changes(
            {
                "Account": pa.table(
                    {"id": ["a1", "new"], "score": [0.75, 0.5], "label": pa.array([None, None], pa.string())}
                )
            },
            {"USED_IP": pa.table(seen), "RELATED": pa.table(gift)},
        ),
        APPLIED,
    )
    by_id = {row["id"]: row for row in store.nodes("Account").to_pylist()}
    assert by_id["a1"] == {**NODE_ROWS["Account"][0], "score": 0.75, "label": None}
    assert by_id["a2"] == NODE_ROWS["Account"][1]
    assert (by_id["new"]["score"], by_id["new"]["events"]) == (0.5, None)
    used = {(row["src"], row["dst"]): row for row in store.edges("USED_IP").to_pylist()}
    assert used["a1", "ip_01"] == {**EDGE_ROWS["USED_IP"][0], "count": 77}
    assert used["c1", "ip_01"]["count"] == 5 and used["c1", "ip_01"]["first_seen"] is None
    assert len(used) == len(EDGE_ROWS["USED_IP"]) + 1
    related = {row["kind"]: row for row in store.edges("RELATED").to_pylist()}
    assert related["gift"] == {**EDGE_ROWS["RELATED"][0], "amount": 6.5}
    assert related["loan"]["amount"] == 1.0


def test_replaced_tables_keep_nothing_older(store: GraphStore) -> None:
    store.write(small_graph(), APPLIED)
    tie = pa.table({"src": ["b1"], "dst": ["c1"], "run_id": ["run3"], "bits": [1.0], "layers": [["ip"]]})
    family = pa.table({"id": ["p9"], "accounts": [1]})
    store.write(
        Changes({"PromptFamily": family}, {"COORDINATED_WITH": tie}, replace=("COORDINATED_WITH", "PromptFamily")),
        APPLIED,
    )
    assert store.edges("COORDINATED_WITH").column("run_id").to_pylist() == ["run3"]
    assert store.nodes("PromptFamily").column("id").to_pylist() == ["p9"]
    gone = {"COORDINATED_WITH", "PromptFamily", "SENT", "SIMILAR_TO"}
    kept = {name: rows for name, rows in expected(small_graph()).items() if name not in gone}
    found = content(store)
    assert {name: found[name] for name in kept} == kept
    assert found["SENT"] == found["SIMILAR_TO"] == []


def test_everything_can_be_replaced(store: GraphStore) -> None:
    store.write(accounts(["old"]), APPLIED)
    store.write(Changes(small_graph().nodes, small_graph().edges, replace=tuple(TABLES)), APPLIED)
    assert content(store) == expected(small_graph())


def test_a_dropped_run_takes_its_clusters_and_edges_along(store: GraphStore) -> None:
    store.write(small_graph(), APPLIED)
    store.write(Changes(drop_runs=("run2",)), Applied(("b1",), ("run1",), SCHEMA_VERSION))
    assert store.nodes("Run").column("id").to_pylist() == ["run1"]
    assert store.nodes("Cluster").column("id").to_pylist() == ["ring"]
    assert set(store.edges("IN_CLUSTER").column("run_id").to_pylist()) == {"run1"}
    assert store.edges("COORDINATED_WITH").column("run_id").to_pylist() == ["run1"]
    assert store.edges("OF_RUN").to_pylist() == [{"src": "ring", "dst": "run1"}]
    assert store.edges("PART_OF").to_pylist() == [{"src": "ring", "dst": "s1"}]
    assert store.counts()["Account"] == 8
    store.write(Changes(drop_runs=("run1", "run2", "never")), Applied(("b1",), (), SCHEMA_VERSION))
    counts = store.counts()
    assert [counts[name] for name in ("Run", "Cluster", "OF_RUN", "IN_CLUSTER", "COORDINATED_WITH", "PART_OF")] == [
        0
    ] * 6


def test_hostile_ids_come_back_as_they_went_in(store: GraphStore) -> None:
    count = list(range(len(HOSTILE)))
    turned = [*HOSTILE[1:], HOSTILE[0]]
    changes = Changes(
        {"Account": pa.table({"id": HOSTILE, "status": turned, "events": count})},
        {
            "FOLLOWED": pa.table({"src": HOSTILE, "dst": turned, "count": count}),
            "RELATED": pa.table({"src": HOSTILE, "dst": HOSTILE, "kind": turned}),
        },
    )
    for _ in range(2):
        store.write(changes, APPLIED)
        found = {row["id"]: (row["status"], row["events"]) for row in store.nodes("Account").to_pylist()}
        assert found == dict(zip(HOSTILE, zip(turned, count, strict=True), strict=True))
        edges = {(row["src"], row["dst"], row["count"]) for row in store.edges("FOLLOWED").to_pylist()}
        assert edges == set(zip(HOSTILE, turned, count, strict=True))
        assert {(row["src"], row["kind"]) for row in store.edges("RELATED").to_pylist()} == set(
            zip(HOSTILE, turned, strict=True)
        )
    assert graph_digest(store) == reference(changes)
    for hostile in HOSTILE:
        result = store.query("MATCH (a:Account {id: $id}) RETURN a.id AS id", {"id": hostile})
        assert result.rows == [[hostile]]


def test_times_lists_numbers_and_nulls_are_exact(store: GraphStore) -> None:
    micros = [0, -1, 1, -1_000_000, 1_772_000_000_123_456, 7_258_118_400_000_000, -2_208_988_800_000_000, None]
    ids = [f"c{number}" for number in range(len(micros))]
    times = pa.array(micros, pa.int64()).cast(TIME)
    layers = pa.array([["ip", "é'\n"], [], None, ["a"], ["b"], ["c"], ["d"], ["e"]], pa.list_(pa.string()))
    floats = [0.1 + 0.2, 1e-300, 5e-324, 1.7976931348623157e308, -0.1, 1 / 3, 2.0**53 + 1, None]
    clusters = pa.table({"id": ids, "first_seen": times, "last_seen": times, "layers": layers, "bits": floats})
    more = pa.table({"id": ["big", "none"], "size": [2**62, None]})
    store.write(Changes({"Cluster": clusters}), APPLIED)
    store.write(Changes({"Cluster": more}), APPLIED)
    found = {row["id"]: row for row in store.nodes("Cluster").to_pylist()}
    for row in clusters.to_pylist():
        assert {key: found[row["id"]][key] for key in row} == row
    assert (found["big"]["size"], found["none"]["size"]) == (2**62, None)


def test_many_rows_cross_chunks_and_pages(store: GraphStore, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(neo4j, "_CHUNK", 40)
    monkeypatch.setattr(neo4j, "_PAGE", 50)
    ids = [f"a{number:03}" for number in range(250)]
    edges = pa.table({"src": ids, "dst": ids[::-1], "count": list(range(250))})
    changes = Changes({"Account": pa.table({"id": ids, "events": list(range(250))})}, {"INVITED": edges})
    for _ in range(2):
        store.write(changes, APPLIED)
        assert rows(store.nodes("Account").select(["id", "events"])) == rows(changes.nodes["Account"])
        assert rows(store.edges("INVITED").select(["src", "dst", "count"])) == rows(edges)
    store.write(Changes(replace=("INVITED",)), APPLIED)
    assert store.counts()["INVITED"] == 0


# -- the record -----------------------------------------------------------------------------------------------------


def test_what_fails_is_not_recorded(store: GraphStore) -> None:
    store.write(small_graph(), APPLIED)
    dangling = pa.table({"src": ["a1"], "dst": ["nobody"], "count": [1]})
    with pytest.raises(RingwatchError):
        store.write(Changes(edges={"USED_IP": dangling}), Applied(("b1", "b2"), (), SCHEMA_VERSION))
    assert store.applied() == APPLIED
    store.write(small_graph(), APPLIED)
    assert content(store) == expected(small_graph())


@pytest.mark.parametrize(
    "changes",
    [
        Changes({"Nobody": pa.table({"id": ["a"]})}),
        Changes({"Account": pa.table({"id": ["a"], "colour": ["red"]})}),
        Changes({"Account": pa.table({"status": ["active"]})}),
        Changes({"Account": pa.table({"id": pa.array([None], pa.string())})}),
        Changes({"Account": pa.table({"id": ["a"], "events": ["many"]})}),
        Changes(edges={"RELATED": pa.table({"src": ["a"], "dst": ["a"]})}),
    ],
)
def test_frames_outside_the_schema_are_refused_before_anything_is_written(
    store: GraphStore, changes: Changes
) -> None:
    store.write(accounts(["a"]), APPLIED)
    with pytest.raises(RingwatchError):
        store.write(changes, Applied(("other",), (), SCHEMA_VERSION))
    assert store.applied() == APPLIED
    assert store.counts()["Account"] == 1


# -- the digest -----------------------------------------------------------------------------------------------------


def test_order_and_split_leave_no_trace_in_the_digest(store: GraphStore) -> None:
    whole = small_graph()
    draw = random.Random(5)
    parts: list[tuple[dict[str, pa.Table], dict[str, pa.Table]]] = [({}, {}), ({}, {})]
    for kind, frames in enumerate((whole.nodes, whole.edges)):
        for name, frame in frames.items():
            mixed = frame.take(pa.array(draw.sample(range(len(frame)), len(frame))))
            for half, part in enumerate((mixed.slice(len(mixed) // 2), mixed.slice(0, len(mixed) // 2))):
                parts[half if kind else 0][kind][name] = (
                    part if kind or half == 0 else pa.concat_tables([parts[0][0][name], part])
                )
    for nodes, edges in parts:
        store.write(Changes(nodes, edges), APPLIED)
    assert content(store) == expected(whole)
    assert graph_digest(store) == reference(whole)


def test_the_digest_is_of_the_evidence_alone(store: GraphStore) -> None:
    store.write(small_graph(), APPLIED)
    first = graph_digest(store)
    inferred = [name for name, table in TABLES.items() if not table.evidence]
    store.write(Changes({"Account": pa.table({"id": ["a1"], "score": [0.99]})}, replace=tuple(inferred)), APPLIED)
    assert graph_digest(store) == first
    seen = {first}
    for changes in (
        accounts(["another"]),
        accounts(["a1"], status=["closed"]),
        accounts(["a1"], status=pa.array([None], pa.string())),
        accounts(["a1"], status=[""]),
        Changes(edges={"USED_IP": pa.table({"src": ["a1"], "dst": ["ip_01"], "last_seen": [day(30)]})}),
        Changes(edges={"USED_IP": pa.table({"src": ["a4"], "dst": ["ip_01"], "last_seen": [day(30)]})}),
    ):
        store.write(changes, APPLIED)
        seen.add(graph_digest(store))
    assert len(seen) == 7


# -- queries --------------------------------------------------------------------------------------------------------


def test_rows_are_limited_and_the_rest_is_said(store: GraphStore) -> None:
    store.write(small_graph(), APPLIED)
    statement = "MATCH (a:Account) RETURN a.id AS account ORDER BY account"
    for limit, truncated in ((0, True), (3, True), (8, False), (9, False)):
        result = store.query(statement, limit=limit)
        assert result.columns == ["account"]
        assert result.rows == [[row["id"]] for row in NODE_ROWS["Account"][:limit]]
        assert result.truncated == truncated


def test_a_query_that_takes_too_long_is_ended(store: GraphStore) -> None:
    store.apply_schema()
    slow = "UNWIND range(1, 1000000) AS a UNWIND range(1, 1000000) AS b RETURN sum(a * b) AS n"
    with pytest.raises(PolicyError, match="longer than"):
        store.query(slow, timeout=0.5)
    assert store.query("RETURN 1 AS one").rows == [[1]]


def test_values_of_a_query_are_plain(store: GraphStore) -> None:
    store.write(small_graph(), APPLIED)
    result = store.query(
        "MATCH (a:Account)-[t:COORDINATED_WITH {run_id: $run}]->(b:Account) WHERE a.created_at >= $since "
        "RETURN a.created_at AS at, t.layers AS layers, b AS other, t AS tie ORDER BY at",
        {"run": "run2", "since": datetime(2026, 3, 2, tzinfo=UTC)},
    )
    assert [row[:2] for row in result.rows] == [[day(3), ["payment", "ip"]]]
    other, tie = result.rows[0][2:]
    known = {key: value for key, value in other.items() if value is not None}
    assert known == {key: value for key, value in NODE_ROWS["Account"][3].items() if value is not None}
    assert tie == {"run_id": "run2", "bits": 12.5, "layers": ["payment", "ip"]}


def test_a_query_that_cannot_be_read_is_the_callers_mistake(store: GraphStore) -> None:
    store.apply_schema()
    with pytest.raises(UsageError):
        store.query("MATCH (a:Account RETURN a")


# -- the embedded store ---------------------------------------------------------------------------------------------


def test_a_generation_leaves_the_one_before_as_it_was(tmp_path: Path) -> None:
    old, new = tmp_path / "g1", tmp_path / "g2"
    next_generation(None, old, small_graph(), APPLIED)
    before = old.read_bytes()
    reader = EmbeddedStore(old)
    next_generation(old, new, accounts(["another"]), Applied(("b1", "b2"), (), SCHEMA_VERSION))
    assert old.read_bytes() == before
    assert content(reader) == expected(small_graph())
    assert EmbeddedStore(new).counts()["Account"] == 9
    assert EmbeddedStore(new).applied().batches == ("b1", "b2")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["g1", "g2"]


@pytest.mark.parametrize("failing", ["COMMIT", "CHECKPOINT"])
def test_a_graph_that_does_not_reach_the_disk_is_not_stored(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, failing: str
) -> None:
    run = EmbeddedStore._run

    def full(self: EmbeddedStore, statement: str, parameters: Any = None) -> pa.Table:
        if statement == failing:
            raise RingwatchError("Transaction committed successfully, but the post-commit checkpoint failed.")
        return run(self, statement, parameters)

    monkeypatch.setattr(EmbeddedStore, "_run", full)
    with pytest.raises(UnavailableError, match="nothing was stored"):
        next_generation(None, tmp_path / "g1", small_graph(), APPLIED)


@pytest.mark.parametrize("few", [0, 500])
def test_edges_are_set_one_by_one_or_the_table_anew(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, few: int
) -> None:
    monkeypatch.setattr(embedded, "_FEW", few)
    old, new = tmp_path / "g1", tmp_path / "g2"
    next_generation(None, old, small_graph(), APPLIED)
    row = {**EDGE_ROWS["COORDINATED_WITH"][0], "bits": 99.0}
    schema = small_graph().edges["COORDINATED_WITH"].schema
    empty = {**EDGE_ROWS["COORDINATED_WITH"][1], "layers": [], "bits": None}
    step = Changes(edges={"COORDINATED_WITH": pa.Table.from_pylist([row, empty], schema)})
    next_generation(old, new, step, APPLIED)
    found = content(EmbeddedStore(new))
    wanted = expected(small_graph())
    wanted["COORDINATED_WITH"] = sorted(map(repr, [row, empty, *EDGE_ROWS["COORDINATED_WITH"][2:]]))
    assert found == wanted


def test_many_processes_read_one_generation(tmp_path: Path) -> None:
    path = tmp_path / "g1"
    next_generation(None, path, small_graph(), APPLIED)
    here = EmbeddedStore(path)
    program = (
        "import sys, pathlib; from ringwatch.graphs.store import EmbeddedStore; "
        "s = EmbeddedStore(pathlib.Path(sys.argv[1])); print(s.counts()['Account'], flush=True); input()"
    )
    readers = [
        subprocess.Popen(
            [sys.executable, "-c", program, path], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        for _ in range(2)
    ]
    try:
        assert [reader.stdout.readline().strip() for reader in readers if reader.stdout] == ["8", "8"]
        assert here.counts()["Account"] == 8
    finally:
        for reader in readers:
            reader.communicate("\n")


def test_what_is_no_graph_cannot_be_opened(tmp_path: Path) -> None:
    (tmp_path / "text").write_text("not a graph, and rather short")
    for path in (tmp_path / "missing", tmp_path / "text", tmp_path):
        with pytest.raises(UnavailableError) as caught:
            EmbeddedStore(path)
        assert "\n" not in caught.value.message


def test_a_graph_opened_to_be_read_is_not_written(tmp_path: Path) -> None:
    next_generation(None, tmp_path / "g1", small_graph(), APPLIED)
    store = EmbeddedStore(tmp_path / "g1")
    with pytest.raises(PolicyError):
        store.query("CREATE (:Account {id: 'x'})")
    assert store.counts()["Account"] == 8


# -- Neo4j ----------------------------------------------------------------------------------------------------------


class _BrokenError(Exception):
    """The process dies here."""


def _break(*_: Any, **__: Any) -> None:
    raise _BrokenError


@pytest.mark.neo4j
@pytest.mark.parametrize("at", [1, 3, 6, 9])
def test_a_first_load_that_was_cut_off_is_completed(
    neo4j_server: Server, monkeypatch: pytest.MonkeyPatch, at: int
) -> None:
    monkeypatch.setattr(neo4j, "_CHUNK", 2)
    store = connect(neo4j_server)
    written = 0
    single: Callable[..., int] = neo4j._single

    def dying(tx: Any, statement: str, parameters: Any) -> int:
        nonlocal written
        written += "USED_IP" in statement or ":`Account` {" in statement
        if written > at:
            raise _BrokenError
        return single(tx, statement, parameters)

    monkeypatch.setattr(neo4j, "_single", dying)
    with pytest.raises(_BrokenError):
        store.write(small_graph(), APPLIED)
    monkeypatch.setattr(neo4j, "_single", single)
    after = connect(neo4j_server)
    assert after.applied().batches == ()
    after.write(small_graph(), APPLIED)
    assert content(after) == expected(small_graph())
    assert graph_digest(after) == reference(small_graph())


@pytest.mark.neo4j
def test_a_writer_that_was_overtaken_writes_no_more(neo4j_server: Server) -> None:
    first, second = connect(neo4j_server), connect(neo4j_server)
    first.write(small_graph(), APPLIED)
    first._claim()
    second.write(accounts(["second"]), Applied(("b1", "b2"), (), SCHEMA_VERSION))
    with pytest.raises(BusyError):
        first._upsert(NODES["Account"], pa.table({"id": ["first"]}))
    assert second.counts()["Account"] == 9
    first.write(accounts(["first"]), APPLIED)
    assert first.counts()["Account"] == 10


@pytest.mark.neo4j
def test_another_ones_database_is_refused(neo4j_server: Server) -> None:
    with neo4j_server.driver() as driver:
        driver.execute_query("CREATE (:Somebody {name: 'else'})")
        with pytest.raises(PolicyError, match="not ringwatch's"):
            connect(neo4j_server)
        assert driver.execute_query("MATCH (n) RETURN count(n) AS n").records[0]["n"] == 1
        driver.execute_query("MATCH (n) DELETE n")
    connect(neo4j_server).write(small_graph(), APPLIED)
    with pytest.raises(PolicyError, match="workspace w1"):
        connect(neo4j_server, "w2")
    assert connect(neo4j_server).applied() == APPLIED


@pytest.mark.neo4j
def test_two_workspaces_do_not_both_claim_an_empty_database(neo4j_server: Server) -> None:
    first, second = connect(neo4j_server, "w1"), connect(neo4j_server, "w2")
    first.apply_schema()
    with pytest.raises(PolicyError):
        second.write(accounts(["a"]), APPLIED)
    assert first.counts()["Account"] == 0


@pytest.mark.neo4j
def test_a_refused_login_and_a_missing_database_are_one_sentence(neo4j_server: Server) -> None:
    for other in ({"password": "wrong-password"}, {"user": "nobody"}, {"database": "nowhere"}):
        with pytest.raises(UnavailableError) as caught:
            connect(neo4j_server, **other)
        assert "\n" not in caught.value.message
        assert "wrong-password" not in f"{caught.value.message} {caught.value.hint}"


@pytest.mark.parametrize(
    "uri", ["bolt://127.0.0.1:{port}", "neo4j://127.0.0.1:{port}", "http://127.0.0.1", "nonsense"]
)
def test_an_unreachable_server_is_one_sentence(uri: str) -> None:
    with socket.socket() as held:
        held.bind(("127.0.0.1", 0))
        address = uri.format(port=held.getsockname()[1])
        with pytest.raises(UnavailableError) as caught:
            Neo4jStore(address, workspace_id="w", user="neo4j", password="secret-word")
    assert "\n" not in caught.value.message
    assert "secret-word" not in f"{caught.value.message} {caught.value.hint}"


@pytest.mark.neo4j
def test_neo4j_refuses_a_query_that_writes(neo4j_server: Server) -> None:
    store = connect(neo4j_server)
    store.apply_schema()
    with pytest.raises(PolicyError):
        store.query("CREATE (:Account {id: 'x'})")
    assert store.counts()["Account"] == 0
    assert store.query(f"MATCH (m:{META}) RETURN m.workspace_id AS id").rows == [["w1"]]
