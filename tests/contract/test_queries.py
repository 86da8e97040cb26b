"""The investigators' library: every question, asked of both stores, has the rows that a person reads off the small
graph; and every file keeps to the conventions."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from ringwatch import queries
from ringwatch.errors import RingwatchError, UsageError
from ringwatch.graphs.schema import SCHEMA_VERSION
from ringwatch.graphs.store import Applied, EmbeddedStore, GraphStore, Neo4jStore
from ringwatch.queries import check, library, parse_query

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
        ("b2", 3, 1, None, 0.0),
        ("b3", 1, 1, None, 0.0),
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
}
"""Written by hand from `small_graph`: rows of each query for the example in its header."""


def _filled(store: GraphStore) -> GraphStore:
    store.write(small_graph(), Applied((), (), SCHEMA_VERSION))
    return store


@pytest.fixture(scope="module")
def embedded() -> GraphStore:
    return _filled(EmbeddedStore(None))


def _answers(store: GraphStore) -> dict[str, Any]:
    return {name: queries.run(store, name, query.example) for name, query in library().items()}


def test_every_question_has_its_rows() -> None:
    assert set(EXPECTED) == set(library())
    assert len(EXPECTED) >= 12
    assert all(EXPECTED.values()), "a question that the small graph says nothing about is not tested"


def test_the_embedded_store_answers(embedded: GraphStore) -> None:
    for name, result in _answers(embedded).items():
        assert result.columns == list(library()[name].columns), name
        assert [tuple(row) for row in result.rows] == EXPECTED[name], name


@pytest.mark.neo4j
def test_neo4j_answers_the_same(neo4j_server: Server, embedded: GraphStore) -> None:
    store = Neo4jStore(
        neo4j_server.uri, workspace_id="w1", user=neo4j_server.user, password=neo4j_server.password, database="neo4j"
    )
    for name, result in _answers(_filled(store)).items():
        assert [tuple(row) for row in result.rows] == EXPECTED[name], name
    assert _answers(store) == _answers(embedded)


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


_HEADER = "// question: Q?\n// when: W.\n// group: accounts\n// maturity: stable\n// columns: n\n// example:\n"


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
        ("a", _HEADER.replace("accounts", "nothing") + "RETURN 1 AS n"),
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
