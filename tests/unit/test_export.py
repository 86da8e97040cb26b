"""Each format is read back by its own reader; hostile names come back as they were, or harmless."""

from __future__ import annotations

import csv
import hashlib
import json
import re
from dataclasses import replace
from pathlib import Path
from typing import Any
from xml.etree import ElementTree as ET

import networkx as nx
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ringwatch.errors import UsageError
from ringwatch.export import FORMATS, make_packet, write_clusters
from ringwatch.export.tabular import safe_cell
from ringwatch.export.text import escaped, unescaped
from ringwatch.graphs import Cluster

ACTS = re.compile("[\u0000-\u001f\u007f-\u009f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069\ufeff]")
DAY = pd.Timestamp("2026-03-01", tz="UTC")
HOSTILE = [
    "=1+cmd|' /C calc'!A0",
    "a\x00b\x1b]",
    '</script>"&',
    "-2",
    "'quoted",
    "tab\there",
    "\rx",
    "名前",
    "\uffffx",
    "pay\u202egnp.exe",
    "\\u202e as text",
    "line\u2028separator",
    "<img src=x onerror=document.title='ran'>",
    "javascript:alert(1)",
    "${alert(1)} {{7*7}} '); MATCH (n) DETACH DELETE n; //",
    "back\\\\slash\\' end\\",
]


def make_cluster(name: str = "c1", accounts: tuple[str, ...] = ("a", "b", "c"), **changes: Any) -> Cluster:
    first, *others = accounts
    cluster = Cluster(
        cluster_id=name, run_id="r1", digest=hashlib.sha256(name.encode()).hexdigest(), size=len(accounts),
        score=0.8, bits=11.5, coordination=0.9, abuse=None, layers=["payment", "ip"], first_seen=DAY,
        last_seen=DAY + pd.Timedelta(days=3), status="new",
        members=pd.DataFrame({"account_id": accounts, "membership": 0.9, "account_score": 0.7}),
        edges=pd.DataFrame(
            {"src": first, "dst": others, "bits": 12.25, "layers": [["payment", "ip"] for _ in others]}
        ),
        evidence=pd.DataFrame(
            {"layer": ["payment", "ip"], "bits": [13.1, 7.2], "text": ["One card (+13.1).", "=One IP"],
             "entity": ["payment_00", None], "accounts": [3, 2]}
        ),
        counter_evidence=pd.DataFrame(
            {"layer": ["signup"], "bits": [-1.3], "text": ["Months apart."], "entity": [None], "accounts": [3]}
        ),
        entities=pd.DataFrame(
            {"account_id": [first, others[0], first], "type": ["payment", "payment", "wallet"],
             "token": ["payment_00", "payment_00", "wallet_11"], "count": [2, 1, 5], "first_seen": DAY,
             "last_seen": [DAY, DAY, None]}
        ),
        timeline=pd.DataFrame({"day": [DAY], "events": [4], "harmful": [1], "refused": [0]}),
    )  # fmt: skip
    return replace(cluster, **changes)


def _csv(path: Path) -> list[dict[str, str]]:
    with path.open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def _unsafe(cell: str) -> str:
    return unescaped(cell.removeprefix("'"))


# -- every format ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("fmt", FORMATS)
def test_the_same_cluster_gives_the_same_bytes_in_whatever_order_it_comes(tmp_path: Path, fmt: str) -> None:
    one = make_cluster(accounts=("a", "b", "c", "d"))
    turned = replace(
        one, **{name: getattr(one, name).iloc[::-1] for name in ("members", "edges", "evidence", "entities")}
    )
    other = make_cluster("c2", ("x", "y", "z"))
    first = write_clusters([one, other], fmt, tmp_path / "1")
    second = write_clusters([other, turned], fmt, tmp_path / "2")
    assert [digest for _, digest in first.files] == [digest for _, digest in second.files]
    for path, digest in first.files:
        assert hashlib.sha256(path.read_bytes()).hexdigest() == digest
    assert first.cluster_digest == second.cluster_digest != one.digest
    if fmt == "graphml":
        assert set(nx.read_graphml(tmp_path / "1")) >= {"a", "d", "x", "z"}


@pytest.mark.parametrize("fmt", FORMATS)
def test_a_report_names_files_and_the_digest(tmp_path: Path, fmt: str) -> None:
    output = tmp_path / "deep" / "out"
    document = write_clusters([make_cluster()], fmt, output).document()
    assert document["cluster_digest"] == make_cluster().digest
    for file in document["files"]:
        assert Path(file["path"]).is_file()
    assert output.is_dir() == FORMATS[fmt].folder
    assert not list(output.parent.glob(".*")), "nothing half written is left"


@pytest.mark.parametrize("fmt", FORMATS)
def test_a_second_export_replaces_the_first(tmp_path: Path, fmt: str) -> None:
    write_clusters([make_cluster(accounts=("old1", "old2", "old3"))], fmt, tmp_path / "out")
    again = write_clusters([make_cluster()], fmt, tmp_path / "out")
    fresh = write_clusters([make_cluster()], fmt, tmp_path / "fresh")
    assert [digest for _, digest in again.files] == [digest for _, digest in fresh.files]
    assert not any(b"old1" in path.read_bytes() for path, _ in again.files)


@pytest.mark.parametrize("fmt", FORMATS)
def test_a_cluster_without_entities_or_counter_evidence_is_written(tmp_path: Path, fmt: str) -> None:
    whole = make_cluster()
    bare = replace(
        whole, entities=whole.entities.iloc[:0], counter_evidence=whole.counter_evidence.iloc[:0], first_seen=None,
        last_seen=None,
    )  # fmt: skip
    assert write_clusters([bare], fmt, tmp_path / "out").files


def test_an_unknown_format_and_no_cluster_are_wrong_usage(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="no export format 'xls'"):
        write_clusters([make_cluster()], "xls", tmp_path / "out")
    with pytest.raises(UsageError, match="No cluster"):
        write_clusters([], "json", tmp_path / "out")
    assert not list(tmp_path.iterdir())


def test_what_is_no_export_is_not_written_over(tmp_path: Path) -> None:
    (tmp_path / "home").mkdir()
    (tmp_path / "home" / "thesis.txt").write_text("x")
    (tmp_path / "file").write_text("x")
    for output in (tmp_path / "home", tmp_path / "file"):
        with pytest.raises(UsageError):
            write_clusters([make_cluster()], "csv", output)
    with pytest.raises(UsageError, match="is a folder"):
        write_clusters([make_cluster()], "json", tmp_path / "home")
    assert [path.name for path in sorted(tmp_path.rglob("*"))] == ["file", "home", "thesis.txt"]


# -- the packet ------------------------------------------------------------------------------------------------------


def test_an_entity_that_two_clusters_use_is_one_node() -> None:
    packet = make_packet([make_cluster(), make_cluster("c2", ("x", "y", "z"))])
    assert packet.nodes["id"].is_unique
    assert packet.nodes.loc[packet.nodes["kind"] == "payment", "id"].tolist() == ["payment_00"]
    assert {*packet.edges["src"], *packet.edges["dst"]} <= {*packet.nodes["id"]}


def test_an_account_named_as_an_entity_stays_apart_from_it() -> None:
    packet = make_packet([make_cluster(accounts=("a", "b", "payment_00"))])
    assert packet.nodes["id"].is_unique
    paid = packet.edges[packet.edges["type"] == "PAID_WITH"]
    assert paid["dst"].tolist() == ["payment:payment_00"] * 2


@pytest.mark.parametrize("fmt", FORMATS)
def test_entities_of_two_kinds_with_one_name_are_two_nodes(tmp_path: Path, fmt: str) -> None:
    cluster = make_cluster()
    cluster = replace(cluster, entities=cluster.entities.assign(token="same"))
    assert make_packet([cluster]).nodes["id"].tolist() == ["a", "b", "c", "payment:same", "wallet:same"]
    assert write_clusters([cluster], fmt, tmp_path / "out").files


def test_edges_have_the_types_of_the_graph() -> None:
    packet = make_packet([make_cluster()])
    assert sorted(set(packet.edges["type"])) == ["COORDINATED_WITH", "LINKED_TO", "PAID_WITH"]


# -- csv -------------------------------------------------------------------------------------------------------------


@given(st.text(max_size=12))
def test_a_safe_cell_runs_nowhere_and_comes_back(text: str) -> None:
    safe = safe_cell(text)
    assert not safe.startswith(("=", "+", "-", "@"))
    assert not ACTS.search(safe)
    assert _unsafe(safe) == text


def test_csv_comes_back_and_runs_nowhere(tmp_path: Path) -> None:
    write_clusters([make_cluster(accounts=tuple(HOSTILE))], "csv", tmp_path / "out")
    files = {path.name: path for path in (tmp_path / "out").iterdir()}
    assert sorted(files) == ["README.txt", "clusters.csv", "edges.csv", "evidence.csv", "nodes.csv"]
    nodes = _csv(files["nodes.csv"])
    accounts = {_unsafe(row["id"]) for row in nodes if row["kind"] == "account"}
    assert accounts == set(HOSTILE)
    for name in ("clusters", "nodes", "edges", "evidence"):
        for row in _csv(files[f"{name}.csv"]):
            for column, cell in row.items():
                if column not in ("bits", "score"):
                    assert not cell.startswith(("=", "+", "-", "@", "\t", "\r")), (column, cell)
    assert "apostrophe" in files["README.txt"].read_text()


def test_csv_has_numbers_times_and_lists_as_its_readme_says(tmp_path: Path) -> None:
    write_clusters([make_cluster()], "csv", tmp_path / "out")
    (cluster,) = _csv(tmp_path / "out" / "clusters.csv")
    assert float(cluster["bits"]) == 11.5
    assert cluster["abuse"] == ""
    assert cluster["layers"] == "payment;ip"
    assert cluster["first_seen"] == "2026-03-01T00:00:00.000000Z"
    against = [row for row in _csv(tmp_path / "out" / "evidence.csv") if row["against"] == "True"]
    assert [float(row["bits"]) for row in against] == [-1.3]


# -- the others ------------------------------------------------------------------------------------------------------


def test_parquet_comes_back_with_its_types(tmp_path: Path) -> None:
    write_clusters([make_cluster(accounts=("a", "b", "=c"))], "parquet", tmp_path / "out")
    nodes, edges, evidence = (pd.read_parquet(tmp_path / "out" / f"{name}.parquet") for name in
                              ("nodes", "edges", "evidence"))  # fmt: skip
    assert nodes["id"].tolist() == ["=c", "a", "b", "payment_00", "wallet_11"]
    tie = edges[edges["type"] == "COORDINATED_WITH"].iloc[0]
    assert list(tie["layers"]) == ["payment", "ip"]
    assert edges["first_seen"].dtype == pd.DatetimeTZDtype("us", "UTC")
    assert evidence["against"].tolist() == [False, False, True]


def test_json_comes_back_whole(tmp_path: Path) -> None:
    write_clusters([make_cluster(accounts=tuple(HOSTILE))], "json", tmp_path / "out.json")
    document = json.loads((tmp_path / "out.json").read_text())
    assert next(iter(document)) == "schema"
    assert {node["id"] for node in document["nodes"] if node["kind"] == "account"} == set(HOSTILE)
    assert document["clusters"][0]["abuse"] is None
    assert document["clusters"][0]["layers"] == ["payment", "ip"]
    used = [edge for edge in document["edges"] if edge["type"] == "PAID_WITH"]
    assert sorted(edge["count"] for edge in used) == [1, 2]
    assert "NaN" not in (tmp_path / "out.json").read_text()


@pytest.mark.parametrize(("fmt", "read"), [("graphml", nx.read_graphml), ("gexf", nx.read_gexf)])
def test_graphs_come_back_with_their_nodes_edges_and_values(tmp_path: Path, fmt: str, read: Any) -> None:
    write_clusters([make_cluster()], fmt, tmp_path / "out")
    graph = read(tmp_path / "out")
    assert set(graph) == {"a", "b", "c", "payment_00", "wallet_11"}
    assert graph.nodes["a"]["kind"] == "account"
    assert graph.nodes["a"]["membership"] == 0.9
    assert "membership" not in graph.nodes["payment_00"]
    assert graph.edges["a", "b"]["bits"] == 12.25
    assert graph.edges["a", "b"]["layers"] == "payment;ip"
    assert graph.edges["a", "payment_00"]["count"] == 2


@pytest.mark.parametrize(("fmt", "read"), [("graphml", nx.read_graphml), ("gexf", nx.read_gexf)])
def test_names_that_xml_cannot_carry_are_escaped(tmp_path: Path, fmt: str, read: Any) -> None:
    write_clusters([make_cluster(accounts=tuple(HOSTILE))], fmt, tmp_path / "out")
    ET.parse(tmp_path / "out")  # noqa: S314 (we wrote it)
    names = set(read(tmp_path / "out"))
    assert {"a\\u0000b\\u001b]", '</script>"&', "名前", "tab\\u0009here", "\\uffffx", "pay\\u202egnp.exe"} <= names
    assert {unescaped(name) for name in names} >= set(HOSTILE)


@given(st.text(max_size=20))
def test_what_is_spelled_out_comes_back(text: str) -> None:
    assert unescaped(escaped(text)) == text
    assert not ACTS.search(escaped(text))


def test_gexf_says_when_the_cluster_was_last_seen_not_when_it_was_exported(tmp_path: Path) -> None:
    write_clusters([make_cluster()], "gexf", tmp_path / "out")
    assert 'lastmodifieddate="2026-03-04"' in (tmp_path / "out").read_text()
