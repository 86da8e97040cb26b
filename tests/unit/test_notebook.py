"""The notebook's door: frames, graphs and pictures of a small workspace, and the same rules as everywhere."""

from __future__ import annotations

from pathlib import Path
from xml.dom.minidom import parseString

import networkx as nx
import pandas as pd
import pytest

import ringwatch
from ringwatch.errors import PolicyError, UsageError
from ringwatch.export.pictures import network, timeline, waterfall
from ringwatch.notebook import Notebook
from ringwatch.review import open_cases

from .reviewing import Office, make_office


@pytest.fixture(scope="module")
def office(tmp_path_factory: pytest.TempPathFactory) -> Office:
    return make_office(tmp_path_factory.mktemp("notebook"))


@pytest.fixture
def book(office: Office) -> Notebook:
    return ringwatch.open(office.workspace.root)


def test_what_a_run_found(book: Notebook) -> None:
    clusters = book.clusters
    assert isinstance(clusters, pd.DataFrame) and clusters["score"].is_monotonic_decreasing
    clusters["score"] = 0.0
    assert book.clusters["score"].max() > 0, "what a notebook does to a frame stays with it"
    assert set(book.questions["group"]) >= {"pivot", "safeguards"}
    assert isinstance(book.organizations, pd.DataFrame)
    assert clusters["cluster_id"].iloc[0] in book._repr_html_()


def test_a_cluster_has_its_graph_and_pictures(book: Notebook) -> None:
    view = book.cluster(str(book.clusters["cluster_id"].iloc[0]))
    assert isinstance(view.graph, nx.Graph)
    accounts = {name for name in view.graph if view.graph.nodes[name]["kind"] == "account"}
    assert accounts == set(view.members["account_id"])
    assert (view.evidence["bits"] > 0).any()
    for picture in (view.plot(), view.waterfall(), view.timeline()):
        parseString(picture.svg)  # noqa: S318
        assert picture == type(picture)(picture._repr_svg_())
    assert view.plot() == view.plot(), "the same bytes"
    page = view._repr_html_()
    assert page.count("<svg") == 3
    assert "not malicious" in page


def test_an_account(book: Notebook) -> None:
    member = str(book.cluster(str(book.clusters["cluster_id"].iloc[0])).members["account_id"].iloc[0])
    view = book.account(member)
    assert member in view._repr_html_()
    tied = {other for other in view.graph.neighbors(member) if view.graph.nodes[other]["kind"] == "account"}
    assert tied == set(view.dossier.ties["other_id"])
    with pytest.raises(UsageError):
        book.account("nobody")


def test_questions_and_statements_are_frames(book: Notebook) -> None:
    cluster = str(book.clusters["cluster_id"].iloc[0])
    members = book.query("cluster-members", cluster=cluster)
    assert set(members["account_id"]) == set(book.cluster(cluster).members["account_id"])
    assert book.query("cluster-members", cluster=cluster, limit=1).attrs == {"truncated": True, "withheld": 0}
    few = book.cypher("MATCH (a:Account) WHERE a.id > $first RETURN a.id AS id ORDER BY id", first="a", limit=2)
    assert list(few.columns) == ["id"] and few.attrs["truncated"]
    counted = "MATCH (c:Cluster) WHERE c.size >= $least AND c.id IN $ids RETURN c.id AS id"
    sizes = book.clusters["size"]
    assert len(book.cypher(counted, least=sizes.min(), ids=book.clusters["cluster_id"])) == len(book.clusters)
    with pytest.raises(PolicyError):
        book.cypher("MATCH (n) DELETE n")
    with pytest.raises(UsageError):
        book.query("no-such-question")


def test_few_accounts_are_shown_where_their_case_is_open(office: Office, tmp_path: Path) -> None:
    own = office.copy(tmp_path / "workspace")
    found = ringwatch.open(own.workspace.root).clusters
    k = int(found["size"].max()) + 1
    settings = own.workspace.root / "ringwatch.toml"
    settings.write_text(f"anonymity_k = {k}\n{settings.read_text(encoding='utf-8')}", encoding="utf-8")
    book = ringwatch.open(own.workspace.root)
    cluster = str(found["cluster_id"].iloc[0])
    counted = "MATCH (a:Account)-[m:IN_CLUSTER]->(c:Cluster) RETURN c.id AS cluster, count(DISTINCT a.id) AS accounts"
    before = book.cypher(counted)
    assert (len(before), before.attrs["withheld"]) == (0, len(found))
    open_cases(own.workspace, own.people["ann"], [cluster], reason="a test")
    after = book.cypher(counted)
    assert list(after["cluster"]) == [cluster]
    assert after.attrs["withheld"] == len(found) - 1


def test_a_name_in_a_picture_is_no_markup() -> None:
    evil = "</title><script>alert(1)</script>"
    reason = {"layer": evil, "bits": -1.0, "text": evil}
    days = pd.DataFrame({"day": pd.to_datetime(["2026-03-01", "2026-03-09"]), "events": [3, 1], "harmful": [1, 0]})
    for picture in (
        waterfall([reason, {**reason, "bits": 2.5}], evil),
        network([evil, "b"], [(evil + "x", "device")], [(evil, "b", 3.0), (evil, evil + "x", 1.0)], evil),
        network([], [], [], evil),
        timeline(days, evil),
        timeline(days.head(0), evil),
    ):
        parseString(picture.svg)  # noqa: S318
        assert "<script" not in picture.svg


def test_a_picture_is_saved(tmp_path: Path) -> None:
    waterfall([], "Nothing").save(tmp_path / "a.svg")
    assert (tmp_path / "a.svg").read_text(encoding="utf-8").startswith("<svg")


def test_there_must_be_a_workspace(tmp_path: Path) -> None:
    with pytest.raises(UsageError):
        ringwatch.open(tmp_path)


def test_a_network_with_doubtful_ties_is_drawn() -> None:
    edges = [("a", "b", 9.0), ("b", "c", 0.0), ("a", "c", -2.5)]
    drawn = network(["a", "b", "c"], [], edges, "c1")
    assert len(parseString(drawn.svg).getElementsByTagName("line")) == len(edges)  # noqa: S318
    assert drawn == network(["a", "b", "c"], [], edges, "c1")
