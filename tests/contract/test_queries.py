"""The investigators' library: every question, asked of both stores, has the rows that a person reads off the small
graph; and every file keeps to the conventions."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from ringwatch import queries
from ringwatch.errors import PolicyError, RingwatchError, UsageError
from ringwatch.graphs.schema import SCHEMA_VERSION
from ringwatch.graphs.store import Applied, EmbeddedStore, GraphStore, Neo4jStore
from ringwatch.queries import GROUPS, Anonymity, Bounds, Worker, ask, check, documents, library, parse_query

from ..neo4j_server import Server
from .small_graph import day, small_graph

EXPECTED: dict[str, list[tuple[Any, ...]]] = {
    "account-entities": [
        ("payment_01", 3, 1, day(1), day(1), None),
        ("ip_03", 2, 1, day(2), day(2), "campus"),
        ("device_01", 1, 2, day(1), day(5), None),
        ("ip_01", 1, 5, day(1), day(9), None),
        ("email_01", 0, 1, day(1), day(1), None),
    ],
    "shared-entities": [
        ("a3", "device_01", 2, day(3), day(9), None, 0.0),
        ("a2", "ip_01", 2, day(2), day(9), None, 0.125),
        ("b1", "ip_03", 3, day(3), day(3), "benign", 0.0),
        ("c1", "ip_03", 3, day(5), day(6), None, 0.0),
        ("a2", "payment_01", 4, day(2), day(2), None, 0.125),
        ("a3", "payment_01", 4, day(3), day(3), None, 0.0),
        ("a4", "payment_01", 4, day(9), day(9), None, None),
    ],
    "two-hops": [
        ("b3", 2, 2, None, 0.0),
        ("b2", 1, 1, None, 0.0),
    ],
    "busiest-ips": [
        ("ip_02", "81.2.69/24", 4, 0, "unknown"),
        ("ip_03", "2001:db8:1::/48", 3, 1, "campus"),
    ],
    "shared-payment": [
        ("a1", 1, day(1), day(1), "abusive", 0.25),
        ("a2", 1, day(2), day(2), None, 0.125),
        ("a3", 2, day(3), day(3), None, 0.0),
        ("a4", 1, day(9), day(9), None, None),
    ],
    "sign-up-networks": [
        ("81.2.69/24", 4, 2, day(2), day(9)),
    ],
    "cluster-bridges": [
        ("pair", "ip_02", 2, 2, None),
        ("pair", "ip_03", 1, 1, "campus"),
    ],
    "cluster-evidence": [
        ("a1", "a2", 14.5, ["payment", "ip"]),
        ("a1", "a3", 13.5, ["payment", "device"]),
        ("a3", "a4", 12.5, ["payment", "ip"]),
    ],
    "cluster-members": [
        ("a1", 1.0, 0.25, "abusive", "active", day(1), 10, 0.5, 0.25),
        ("a2", 0.75, 0.125, None, "active", day(2), 20, 0.25, 0.125),
        ("a3", 0.75, 0.0, None, "active", day(3), 30, 0.0, 0.0),
        ("a4", 0.5, None, None, "active", day(9), 90, None, None),
    ],
    "cluster-news": [
        (day(9), "a4", "email_03", 1, True),
        (day(9), "a4", "ip_02", 2, True),
        (day(9), "a4", "payment_01", 1, True),
    ],
    "cluster-refusals": [
        ("ring", 0.9, 4, 0.25, 0.125, 0.25),
        ("pair", 0.1, 3, 0.0, 0.1667, 0.5),
    ],
    "disposable-domains": [
        ("ring", "throwaway.example", 2, 4, 0.9),
    ],
    "organization-parts": [
        ("ring", 4, 0.9, 0.95, "known", 0.25, 0.125),
        ("pair", 3, 0.1, None, "new", 0.0, 0.1667),
    ],
    "organization-outsiders": [
        ("c1", "org1", 2, "active", None, 0.0, 0.0),
    ],
    "prompt-families": [
        ("p1", 3, 1, 3, 7, 0.5, day(1), day(9)),
        ("p2", 2, 1, 1, 2, None, day(1), day(5)),
    ],
    "tool-chains": [
        ("t1", "search>fetch>write", 3, 1, 3, day(1), day(9)),
        ("t2", "search", 1, 1, 1, day(1), day(1)),
    ],
    "cluster-transfers": [
        ("a1", "a2", 3, 30.5, day(4), day(8), "ring"),
        ("a2", "b1", 1, 2.0, day(5), day(5), "pair"),
    ],
    "referral-tree": [
        ("a2", 1, day(2), None, 0.125),
        ("a3", 1, day(3), None, 0.0),
        ("a4", 2, day(9), None, None),
    ],
    "account-profile": [
        ("a1", day(1), "active", "FR", "free", "abusive", 10, 0.5, 0.25, 0.25, "ring", 0.9, 1.0),
    ],
    "account-ties": [
        ("a2", 14.5, ["payment", "ip"], "active", None, 0.125, "ring"),
        ("a3", 13.5, ["payment", "device"], "active", None, 0.0, "ring"),
    ],
    "account-transfers": [
        ("a1", None, None, 3, 30.5, "abusive", 0.25),
        ("b1", 1, 2.0, None, None, "benign", 0.0),
    ],
    "brought-in-by": [
        ("a3", 1, day(3), None, 0.0),
        ("a1", 2, day(1), "abusive", 0.25),
    ],
    "near-suspects": [
        ("a1", "active", "abusive", 0.25, 1, 3),
    ],
    "shared-between": [
        ("device_01", None, 2, day(1), day(5), 2, day(3), day(9)),
        ("payment_01", None, 1, day(1), day(1), 2, day(3), day(3)),
    ],
    "busiest-devices": [
        ("device_01", 2, 1, 1, day(1), day(9), None),
    ],
    "busiest-payments": [
        ("payment_01", 4, 1, 1, day(1), day(9), None),
    ],
    "domain-accounts": [
        ("a1", "email_01", day(1), "active", "abusive", 0.25),
        ("a2", "email_02", day(2), "active", None, 0.125),
    ],
    "entity-accounts": [
        ("a1", 1, day(2), day(2), "active", "abusive", 0.5, 0.25),
        ("b1", 8, day(3), day(3), "active", "benign", 0.0, 0.0),
        ("c1", 9, day(5), day(6), "active", None, 0.0, 0.0),
    ],
    "entity-clusters": [
        ("pair", 2, 3, 0.1, None),
        ("ring", 2, 4, 0.9, 0.95),
    ],
    "entity-company": [
        ("payment_01", 2, 4, None),
    ],
    "known-entities": [
        ("campus", "ip_03", 3),
        ("exchange", "wallet_01", 3),
    ],
    "network-accounts": [
        ("a1", 1, 5, day(1), day(9), "active", "abusive", 0.25),
        ("a2", 1, 4, day(2), day(9), "active", None, 0.125),
        ("a3", 1, 3, day(3), day(4), "active", None, 0.0),
        ("a4", 1, 2, day(9), day(10), "active", None, None),
        ("b1", 1, 1, day(1), day(9), "active", "benign", 0.0),
        ("b2", 1, 1, day(2), day(2), "active", None, 0.0),
    ],
    "customer-accounts": [
        ("a1", day(1), "active", "abusive", 0.5, 0.25, "ring", 0.9),
        ("b1", day(1), "active", "benign", 0.0, 0.0, "pair", 0.1),
        ("c1", day(5), "active", None, 0.0, 0.0, None, None),
    ],
    "customers-in-clusters": [
        ("org1", 3, 2, 2, 0.9),
    ],
    "organization-bridges": [
        ("ip_02", 2, 4, 4, None),
        ("ip_03", 2, 2, 3, "campus"),
    ],
    "organization-list": [
        ("s1", 0.5, 3.0, 2, 7, 0.95),
    ],
    "organization-members": [
        ("b1", "pair", 0.5, "active", "benign", 0.0, 0.0),
        ("b2", "pair", 0.5, "active", None, 0.0, 0.0),
        ("b3", "pair", 0.5, "active", None, 0.0, 0.0),
        ("a1", "ring", 1.0, "active", "abusive", 0.5, 0.25),
        ("a2", "ring", 0.75, "active", None, 0.25, 0.125),
        ("a3", "ring", 0.75, "active", None, 0.0, 0.0),
        ("a4", "ring", 0.5, "active", None, None, None),
    ],
    "account-prompts": [
        ("p1", 4, 3, 0.5, day(1), day(9)),
    ],
    "account-tools": [
        ("t1", "search>fetch>write", 4, 3, day(1), day(9)),
    ],
    "chain-accounts": [
        ("a1", 4, day(1), day(9), "active", "abusive", 0.25),
        ("a2", 2, day(2), day(9), "active", None, 0.125),
        ("a3", 1, day(3), day(3), "active", None, 0.0),
    ],
    "cluster-chains": [
        ("t1", "search>fetch>write", 3, 3, 7),
    ],
    "cluster-families": [
        ("p1", 3, 3, 7, 0.5),
    ],
    "family-accounts": [
        ("a1", 4, day(1), day(9), 0.5, "abusive", "ring"),
        ("a2", 2, day(2), day(9), 0.25, None, "ring"),
        ("a4", 1, day(9), day(9), None, None, "ring"),
    ],
    "family-variants": [
        ("p2", 0.5, 2, 2, None),
    ],
    "harmful-families": [
        ("p1", 0.5, 3, 7, day(1), day(9)),
    ],
    "prompt-twins": [
        ("a2", 0.75, 1, "active", None, 0.125),
    ],
    "account-days": [
        (day(1), day(1), "email_01", 1, None),
        (day(1), day(1), "payment_01", 1, None),
        (day(1), day(5), "device_01", 2, None),
        (day(1), day(9), "ip_01", 5, None),
        (day(2), day(2), "ip_03", 1, "campus"),
    ],
    "cluster-sign-ups": [
        (day(1), "a1", 2, "free", "FR", 10),
        (day(2), "a2", 1, "free", "FR", 20),
        (day(3), "a3", 1, "free", "FR", 30),
        (day(9), "a4", 1, "free", "FR", 90),
    ],
    "entity-handovers": [
        ("a1", day(1), "a2", day(2), "active", "active"),
        ("a1", day(1), "a3", day(3), "active", "active"),
        ("a1", day(1), "a4", day(9), "active", "active"),
        ("a2", day(2), "a3", day(3), "active", "active"),
        ("a2", day(2), "a4", day(9), "active", "active"),
        ("a3", day(3), "a4", day(9), "active", "active"),
    ],
    "new-accounts": [
        ("b3", day(4), "active", "FR", "free", 40, 0.0, 0.0),
        ("c1", day(5), "active", "FR", "free", 50, 0.0, 0.0),
    ],
    "new-entities": [
        ("ip_03", 3, day(2), day(6), "campus"),
        ("wallet_01", 3, day(2), day(9), "exchange"),
    ],
    "cluster-entities": [
        ("payment_01", 4, 0, day(1), day(9), None),
        ("device_01", 2, 0, day(1), day(9), None),
        ("ip_01", 2, 0, day(1), day(9), None),
        ("ip_02", 2, 2, day(3), day(10), None),
    ],
    "cluster-list": [
        ("ring", 4, 0.9, 12.5, 0.95, "known", ["payment", "ip"], day(1), day(10)),
        ("pair", 3, 0.1, 4.5, None, "new", ["ip"], day(1), day(9)),
    ],
    "cluster-loose-members": [
        ("a4", 0.5, 1, 12.5, None, None),
        ("a2", 0.75, 1, 14.5, 0.25, None),
        ("a3", 0.75, 2, 13.5, 0.0, None),
    ],
    "cluster-networks": [
        ("81.2.69/24", 4, 2, 14, None),
        ("2001:db8:1::/48", 1, 1, 1, "campus"),
    ],
    "cluster-outsiders": [
        ("c1", 1, 2, "active", None, 0.0, 0.0),
    ],
    "cluster-referrals": [
        ("a1", "a2", 1, day(2), day(2)),
        ("a1", "a3", 1, day(3), day(3)),
        ("a3", "a4", 1, day(9), day(9)),
        ("a4", "a1", 1, day(9), day(1)),
    ],
    "back-again": [
        ("a2", day(2), 2, 1, 0.125),
        ("a3", day(3), 2, 1, 0.0),
        ("a4", day(9), 1, 1, None),
        ("c1", day(5), 1, 1, 0.0),
    ],
    "benign-at-risk": [
        ("b1", "pair", 0.1, None, 0.5, 0.0),
    ],
    "harm-outside-clusters": [
        ("c1", 0.0, 0.0, 50, day(5), None, 0.0),
    ],
    "refused-accounts": [
        ("b3", 0.5, 40, "active", None, "pair", 0.1),
        ("a1", 0.25, 10, "active", "abusive", "ring", 0.9),
    ],
    "shared-institutions": [
        ("ring", "campus", 1, 1, 4, 0.9),
        ("pair", "campus", 1, 1, 3, 0.1),
        ("pair", "exchange", 2, 1, 3, 0.1),
    ],
    "still-active": [
        ("a1", "ring", 0.9, 1.0, 0.5, "abusive"),
        ("a2", "ring", 0.9, 0.75, 0.25, None),
        ("a3", "ring", 0.9, 0.75, 0.0, None),
        ("a4", "ring", 0.9, 0.5, None, None),
    ],
}
"""Rows of each query for the example in its header, as a person reads them off `small_graph`."""


def _filled(store: GraphStore) -> GraphStore:
    store.write(small_graph(), Applied((), (), SCHEMA_VERSION))
    return store


@pytest.fixture(scope="module")
def embedded() -> GraphStore:
    return _filled(EmbeddedStore(None))


def _answers(store: GraphStore, rule: Anonymity | None = None) -> dict[str, Any]:
    return {name: queries.run(store, name, query.example, anonymity=rule) for name, query in library().items()}


def test_every_question_has_its_rows() -> None:
    assert set(EXPECTED) == set(library())
    assert len(EXPECTED) >= 40
    assert all(EXPECTED.values()), "a question that the small graph says nothing about is not tested"


def test_the_embedded_store_answers(embedded: GraphStore) -> None:
    for name, result in _answers(embedded).items():
        assert result.columns == list(library()[name].columns), name
        assert [tuple(row) for row in result.rows] == EXPECTED[name], name


def _opener(server: Server) -> Callable[[], GraphStore]:
    return partial(Neo4jStore, server.uri, workspace_id="w1", user=server.user, password=server.password)


@pytest.mark.neo4j
def test_neo4j_answers_the_same(neo4j_server: Server, embedded: GraphStore) -> None:
    store = _opener(neo4j_server)()
    for name, result in _answers(_filled(store)).items():
        assert [tuple(row) for row in result.rows] == EXPECTED[name], name
    assert _answers(store) == _answers(embedded)
    for rule in (Anonymity(3), Anonymity(5, ("a1", "a2", "a3", "a4"))):
        assert _answers(store, rule) == _answers(embedded, rule)
    _reads_and_is_bounded(store)
    with Worker(_opener(neo4j_server)) as worker:
        assert worker.ask("MATCH (a:Account) RETURN count(a) AS n").rows == [[8]]
        with pytest.raises(PolicyError, match="would write"):
            worker.run("CREATE (:Account {id: 'x'})", {}, bounds=Bounds(seconds=30))
    assert any("Seek" in line for line in _plan(store)), _plan(store)


def _plan(store: GraphStore) -> list[str]:
    query = library()["account-profile"]
    return store.plan(query.cypher, query.bind(query.example))


def test_a_plan_is_shown_and_nothing_is_run(embedded: GraphStore) -> None:
    assert any("PRIMARY_KEY_SCAN_NODE_TABLE" in line for line in _plan(embedded))


def _reads_and_is_bounded(store: GraphStore) -> None:
    assert ["Account"] in ask(store, "CALL db.labels() YIELD label RETURN label").rows
    assert ask(store, "MATCH (a:Account) RETURN a.id AS id ORDER BY id", bounds=Bounds(rows=2)).truncated
    with pytest.raises(PolicyError, match="longer than"):
        ask(store, "UNWIND range(1, 1000000) AS x UNWIND range(1, 1000000) AS y RETURN count(*) AS n",
            bounds=Bounds(seconds=1))  # fmt: skip
    with pytest.raises(PolicyError, match="memory"):
        ask(store, "UNWIND range(1, 100000000) AS x RETURN size(collect(x)) AS n", bounds=Bounds(seconds=120))
    assert ask(store, "RETURN 1 AS n").rows == [[1]]


def test_every_file_keeps_to_the_conventions() -> None:
    folder = Path(queries.__file__).parent / "cypher"
    assert {path.stem for path in folder.glob("*.cypher")} == set(library())
    for name, query in library().items():
        check(query.cypher)
        query.bind(query.example)
        assert query.question.endswith("?") and query.when[-1] in ".?", name
        assert all(f"${parameter.name}" in query.cypher for parameter in query.parameters), name
        assert all(parameter.doc[0].isupper() and parameter.doc.endswith(".") for parameter in query.parameters), name
        assert all(f"AS {column}" in query.cypher for column in query.columns), f"{name}: alias what is returned"
        assert "ORDER BY" in query.cypher.rsplit("RETURN", 1)[1], f"{name}: rows come in one order"
        assert all(ord(letter) < 128 for letter in query.cypher), name
        assert query.document()["name"] == name


def test_the_page_of_questions_is_current() -> None:
    page = Path(__file__).parents[2] / "docs" / "queries.md"
    assert page.read_text(encoding="utf-8") == documents.page(), (
        "python -m ringwatch.queries.documents > docs/queries.md"
    )


def test_every_group_has_its_questions() -> None:
    for group in GROUPS:
        assert sum(query.group == group for query in library().values()) >= 5, group


def test_limits_are_passed_on(embedded: GraphStore) -> None:
    result = queries.run(embedded, "cluster-members", {"cluster": "ring"}, limit=2)
    assert (len(result.rows), result.truncated) == (2, True)


@pytest.mark.parametrize(
    ("name", "given"),
    [
        ("no-such-query", {}),
        ("cluster-members", {}),
        ("cluster-members", {"cluster": "ring", "colour": "red"}),
        ("cluster-members", {"cluster": ""}),
        ("busiest-ips", {"min_accounts": "many"}),
        ("busiest-ips", {"min_accounts": 2.5}),
        ("cluster-refusals", {"min_score": "inf"}),
        ("cluster-news", {"cluster": "ring", "since": "last week"}),
    ],
)
def test_wrong_parameters_are_the_callers_mistake(embedded: GraphStore, name: str, given: dict[str, object]) -> None:
    with pytest.raises(UsageError) as caught:
        queries.run(embedded, name, given)
    assert caught.value.hint


_HEADER = "// question: Q?\n// when: W.\n// group: pivot\n// maturity: stable\n// columns: n\n// example:\n"


def test_a_header_that_is_whole_is_read() -> None:
    query = parse_query("a-name", _HEADER + "// param: limit int 5 How many.\nMATCH (a)\nRETURN count(*) AS n")
    assert (query.parameters[0].name, query.parameters[0].default, query.columns) == ("limit", 5, ("n",))
    assert query.cypher == "MATCH (a)\nRETURN count(*) AS n"


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("Bad Name", _HEADER + "RETURN 1 AS n"),
        ("a", _HEADER),
        ("a", "RETURN 1 AS n"),
        ("a", _HEADER + "RETURN 1 AS n\n// when: later"),
        ("a", _HEADER.replace("pivot", "nothing") + "RETURN 1 AS n"),
        ("a", _HEADER.replace("stable", "perhaps") + "RETURN 1 AS n"),
        ("a", _HEADER + "// when: twice\nRETURN 1 AS n"),
        ("a", _HEADER + "// param: x\nRETURN 1 AS n"),
        ("a", _HEADER + "// param: x colour - What.\nRETURN 1 AS n"),
        ("a", _HEADER + "// param: x int many What.\nRETURN 1 AS n"),
    ],
)
def test_a_header_that_is_not_is_refused(name: str, text: str) -> None:
    with pytest.raises(RingwatchError):
        parse_query(name, text)
