"""Neo4j's own importer loads the files, and the database that it makes goes on as this workspace's."""

from __future__ import annotations

import gzip
import os
from pathlib import Path

import pyarrow as pa
import pytest

from ringwatch import pipeline
from ringwatch.config import make_config
from ringwatch.errors import DataError, UsageError
from ringwatch.graphs.digest import graph_digest
from ringwatch.graphs.schema import NODES, SCHEMA_VERSION, TABLES
from ringwatch.graphs.store import Applied, Changes, EmbeddedStore, Neo4jStore, write_import_files

from ..neo4j_server import ServerError, import_files, jars, running
from .small_graph import small_graph

APPLIED = Applied(("b1", "b2"), ("run2",), SCHEMA_VERSION)
ODD = ["o'brien", 'say "hi"', "a\nb", "back\\slash", "a,b;c\td", " padded ", "\u202ertl", "\U0001f600", "-1", "null"]
TIMES = [0, -1, 1, 1_772_000_000_123_456, None, 5, 5, 5, 5, 5]


def _graph() -> Changes:
    graph = small_graph()
    more = pa.table(
        {
            "id": ODD,
            "created_at": pa.array(TIMES, pa.int64()).cast(pa.timestamp("us", "UTC")),
            "status": ["", None, *ODD[2:]],
            "harm_rate": [0.1 + 0.2, 1e-300, None, *([1 / 3] * 7)],
        }
    )
    follows = pa.table({"src": ODD, "dst": ODD[::-1], "count": list(range(len(ODD)))})
    return Changes(
        {**graph.nodes, "Account": pa.concat_tables([graph.nodes["Account"], more], promote_options="default")},
        {**graph.edges, "FOLLOWED": pa.concat_tables([graph.edges["FOLLOWED"], follows], promote_options="default")},
    )


@pytest.mark.neo4j
def test_a_database_of_the_importer_is_the_same_graph(tmp_path: Path) -> None:
    try:
        jars()
    except ServerError as error:
        if os.environ.get("CI") == "true":
            raise
        pytest.skip(f"Neo4j {error}")
    _, command = write_import_files(_graph(), APPLIED, tmp_path / "files", "w1")
    assert command.startswith("neo4j-admin database import full neo4j ")
    import_files(tmp_path / "home", command.removeprefix("neo4j-admin "))
    reference = EmbeddedStore(None)
    reference.write(_graph(), APPLIED)
    with running(tmp_path / "home") as server:
        store = Neo4jStore(
            server.uri, workspace_id="w1", user=server.user, password=server.password, database="neo4j"
        )
        assert store.applied() == Applied(("b1", "b2"), ("run2",), 0)
        store.apply_schema()
        assert store.applied() == APPLIED
        for name in TABLES:
            read = (store.nodes, reference.nodes) if name in NODES else (store.edges, reference.edges)
            found, wanted = (sorted(map(repr, of(name).to_pylist())) for of in read)
            assert found == wanted, name
        assert graph_digest(store) == graph_digest(reference)
        store.write(_graph(), APPLIED)
        assert store.counts() == reference.counts()
        store.close()


def test_nothing_but_tables_with_rows_is_written(tmp_path: Path) -> None:
    changes = Changes({"Account": pa.table({"id": ["a", "b"], "events": [1, None]}), "Ip": NODES_EMPTY})
    paths, command = write_import_files(changes, Applied(), tmp_path, "w1")
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted(path.name for path in paths)
    assert {path.name for path in paths} == {
        "Account-header.csv", "Account.csv.gz", "RingwatchStore-header.csv", "RingwatchStore.csv.gz",
    }  # fmt: skip
    assert (tmp_path / "Account-header.csv").read_text() == "id:ID(Account),events:long\n"
    assert gzip.decompress((tmp_path / "Account.csv.gz").read_bytes()) == b'"a",1\n"b",\n'
    assert "--nodes=Account=" in command and "Ip" not in command


NODES_EMPTY = pa.table({"token": pa.array([], pa.string())})


def test_a_list_that_cannot_be_told_apart_is_refused(tmp_path: Path) -> None:
    cluster = pa.table({"id": ["c"], "layers": [["a\x1fb"]]})
    with pytest.raises(DataError):
        write_import_files(Changes({"Cluster": cluster}), Applied(), tmp_path, "w1")


def test_a_folder_that_cannot_be_made_is_the_callers_mistake(tmp_path: Path) -> None:
    workspace = pipeline.create_workspace(tmp_path / "workspace", make_config())
    (tmp_path / "file").touch()
    with pytest.raises(UsageError, match="cannot be written: Not a directory"):
        pipeline.export_import_files(workspace, tmp_path / "file" / "graph")
