"""Aggregates over few accounts: which rows are withheld, and that what is not is as it was."""

from __future__ import annotations

from typing import Any

import pytest

from ringwatch.errors import PolicyError
from ringwatch.graphs.schema import SCHEMA_VERSION
from ringwatch.graphs.store import Applied, EmbeddedStore, GraphStore
from ringwatch.queries import Anonymity, Answer, check
from ringwatch.queries.anonymity import protect, withhold

from ..contract.small_graph import small_graph

RING = ("a1", "a2", "a3", "a4")


@pytest.fixture(scope="module")
def store() -> GraphStore:
    filled = EmbeddedStore(None)
    filled.write(small_graph(), Applied((), (), SCHEMA_VERSION))
    return filled


def answer(store: GraphStore, cypher: str, k: int = 3, cases: tuple[str, ...] = (), **parameters: Any) -> Answer:
    rule = Anonymity(k, cases)
    text, more = protect(cypher, check(cypher), rule)
    return withhold(store.query(text, {**parameters, **more}), rule)


@pytest.mark.parametrize(
    ("cypher", "rows", "withheld"),
    [
        ("MATCH (a:Account) RETURN count(a) AS n", [[8]], 0),
        ("MATCH (a:Account) WHERE a.id < 'a2' RETURN count(a) AS n", [], 1),
        ("MATCH (a:Account) RETURN a.label AS l, count(*) AS n ORDER BY n DESC", [[None, 6]], 2),
        ("MATCH (a:Account) RETURN a.label AS l, collect(a.id) AS n ORDER BY l", [[None, None]], 2),
        # A node without a variable, without a label, or with neither.
        ("MATCH (:Account)-[:USED_IP]->(i:Ip) RETURN i.token AS t, count(*) AS n ORDER BY t",
         [["ip_02", 4], ["ip_03", 3]], 1),
        ("MATCH ()-[:USED_IP]->(i) RETURN i.token AS t, count(*) AS n ORDER BY t", [["ip_02", 4], ["ip_03", 3]], 1),
        ("MATCH (i)<-[:USED_IP]-(a) RETURN i.token AS t, count(*) AS n ORDER BY t", [["ip_02", 4], ["ip_03", 3]], 1),
        # What an earlier clause has counted is carried on.
        ("MATCH (a)-[:USED_DEVICE]->(d) WITH d, count(a) AS n RETURN d.token AS t, n", [], 1),
        ("MATCH (a)-[:USED_DEVICE]->(d) WITH d, count(a) AS n WITH DISTINCT n RETURN n + 1 AS m", [], 1),
        ("MATCH (a)-[:USED_IP]->(i) WITH i, count(a) AS n RETURN max(n) AS m", [[4]], 0),
        ("MATCH (a)-[:USED_DEVICE]->(d) WITH d, collect(a.id) AS ids UNWIND ids AS id RETURN id", [], 2),
        ("MATCH (a:Account) WITH a AS b WHERE b.label = 'abusive' RETURN count(b) AS n", [], 1),
        ("MATCH (a:Account) WITH * WHERE a.label = 'abusive' RETURN count(*) AS n", [], 1),
        ("MATCH (a:Account) WHERE a.label = 'abusive' RETURN 'x' AS x, count(*) AS n UNION ALL "
         "MATCH (c:Cluster) RETURN 'y' AS x, count(*) AS n", [["y", 2]], 1),
        # What goes on of an account may be its properties alone; of DISTINCT ones nobody knows how many they are of.
        ("MATCH (a)-[:USED_IP]->(i) WITH i, a.id AS one RETURN i.token AS t, count(one) AS n ORDER BY t",
         [["ip_02", 4], ["ip_03", 3]], 1),
        ("MATCH (a)-[:USED_IP]->(i) WITH i.token AS t, a.id AS a WITH *, 1 AS x WITH t, a AS b "
         "RETURN t, count(b) AS n ORDER BY t", [["ip_02", 4], ["ip_03", 3]], 1),
        ("MATCH (a)-[:USED_IP]->(i) WITH DISTINCT i, a.id AS one RETURN i.token AS t, count(one) AS n", [], 3),
        ("MATCH (a)-[:USED_IP]->(i) WITH DISTINCT i RETURN count(i) AS n", [[3]], 0),
        # A variable is what an earlier clause has said that it is.
        ("MATCH (i:Ip) WITH i AS j OPTIONAL MATCH (j)<--(a) RETURN j.token AS t, count(a) AS n ORDER BY t",
         [["ip_02", 4], ["ip_03", 3]], 1),
        # One part of a union looks at one, and not the other.
        ("MATCH (a:Account) WHERE a.label = 'abusive' RETURN 'x' AS x, count(*) AS n UNION ALL "
         "MATCH (a:Account {id: 'b1'}) RETURN 'y' AS x, count(*) AS n", [["y", 1]], 1),
        # Nobody, no account, nothing that aggregates, one node by its name.
        ("MATCH (a:Account) WHERE a.id = 'none' RETURN count(a) AS n", [[0]], 0),
        ("MATCH (c:Cluster) RETURN count(c) AS n", [[2]], 0),
        ("MATCH (i:Ip)-->(n) RETURN n.cidr AS c, count(*) AS n ORDER BY n", [["2001:db8:1::/48", 1],
                                                                            ["81.2.69/24", 2]], 0),
        ("MATCH (a:Account) WHERE a.label = 'abusive' RETURN a.id AS id", [["a1"]], 0),
        ("MATCH (d:Device {token: 'device_01'})<-[:USED_DEVICE]-(a) RETURN count(a) AS n", [[2]], 0),
        # A run is no party: what starts at one is about everybody.
        ("MATCH (r:Run {id: 'run2'})<-[:OF_RUN]-(c)<-[m:IN_CLUSTER {run_id: 'run2'}]-(a) RETURN c.id AS c, "
         "count(DISTINCT a) AS n ORDER BY n", [["pair", 3], ["ring", 4]], 0),
        # A name that is another node's is nobody's.
        ("MATCH (b:Account) MATCH (a:Account {id: b.id}) RETURN a.label AS l, count(a) AS n", [[None, 6]], 2),
        ("MATCH (d:EmailDomain {domain: 'mail.example'})<--(:Email)<--(a) RETURN count(a) AS n", [], 1),
    ],
)  # fmt: skip
def test_what_is_withheld(store: GraphStore, cypher: str, rows: list[list[Any]], withheld: int) -> None:
    found = answer(store, cypher)
    if rows == [[None, None]]:
        assert [row[0] for row in found.rows] == [None]
    else:
        assert found.rows == rows
    assert found.withheld == withheld
    plain = store.query(cypher)
    assert found.columns == plain.columns
    assert answer(store, cypher, k=1) == Answer(plain.columns, plain.rows)


@pytest.mark.parametrize(
    ("cypher", "refused"),
    [
        ("MATCH (i:Ip) RETURN i.token AS t, COUNT { MATCH (i)<-[:USED_IP]-(a:Account) } AS n", True),
        ("MATCH (i:Ip) RETURN i.token AS t, COUNT { (i)<-[:USED_IP]-() } AS n", True),
        ("MATCH (i:Ip) RETURN i.token AS t, 1 + COUNT { (i)--() } AS n", True),
        ("MATCH (i:Ip) RETURN i.token AS t, COLLECT { MATCH (i)<--(a:Account) RETURN a.id } AS n", True),
        ("MATCH (i:Ip) RETURN i.token AS t, size([(i)<-[:USED_IP]-(a) | a.id]) AS n", True),
        ("MATCH (i:Ip) RETURN i.token AS t, size([p = (i)<--() | 1]) AS n", True),
        ("MATCH (i:Ip) WHERE EXISTS { (i)<-[:USED_IP]-(:Account) } AND (i)<--() RETURN i.token AS t", False),
        ("MATCH (i:Ip) RETURN i.token AS t, COUNT { (i)-[:IN_NETWORK]->() } AS n", False),
        ("MATCH (i:Ip {token: $t}) RETURN COUNT { (i)<-[:USED_IP]-(a:Account) } AS n", False),
    ],
)
def test_what_sums_up_accounts_out_of_sight_is_refused(cypher: str, refused: bool) -> None:
    statement = check(cypher)
    assert protect(cypher, statement, Anonymity(1)) == (cypher, {})
    if refused:
        with pytest.raises(PolicyError, match="fewer than 5"):
            protect(cypher, statement, Anonymity(5))
    else:
        assert protect(cypher, statement, Anonymity(5)) == (cypher, {})


def test_a_star_that_would_group_by_hidden_columns_is_refused() -> None:
    cypher = "MATCH (a)-[:USED_IP]->(i) WITH i, a.label AS l RETURN *, count(*) AS n"
    with pytest.raises(PolicyError, match="left out"):
        protect(cypher, check(cypher), Anonymity(5))
    kept = "MATCH (a)-[:USED_IP]->(i) WITH i, a RETURN *, count(*) AS n"
    assert protect(kept, check(kept), Anonymity(5))[0] != kept


def test_no_row_changes_its_meaning(store: GraphStore) -> None:
    """With a k that withholds nobody but none, the rows are those of the statement as it was written."""
    for cypher in (
        "MATCH (a:Account)-[:USED_IP]->(i:Ip) RETURN * ORDER BY a.id, i.token",
        "MATCH (a)-[:USED_IP]->(i) WITH i, count(a) AS n RETURN * ORDER BY n, i.token",
        "MATCH (a)-[:USED_IP]->(i) WITH DISTINCT i, count(a) AS n WITH n, count(i) AS m RETURN n, m ORDER BY n",
        "MATCH (a)-[:USED_IP]->(i) WITH i, count(a) AS n MATCH (i)<-[:USED_IP]-(b) WITH n, b.id AS o "
        "RETURN * ORDER BY o, n",
    ):
        plain = store.query(cypher)
        found = withhold(store.query(protect(cypher, check(cypher), Anonymity(2))[0]), Anonymity(2))
        assert (found.columns, found.rows, found.withheld) == (plain.columns, plain.rows, 0)


def test_what_comes_from_an_open_case_is_shown(store: GraphStore) -> None:
    cypher = "MATCH (a)-[:USED_IP]->(i) RETURN i.token AS t, count(a) AS n ORDER BY t"
    assert answer(store, cypher, 5).rows == []
    assert answer(store, cypher, 5, RING).rows == [["ip_01", 2]], "of ip_02 only two of four are in the case"
    assert answer(store, cypher, 5, (*RING, "b1", "b2")).rows == [["ip_01", 2], ["ip_02", 4]]
    assert answer(store, cypher, 5, (*RING, "b1", "b2")).withheld == 1


def test_more_rows_than_the_limit_are_still_said() -> None:
    store = EmbeddedStore(None)
    cypher = "UNWIND [1, 2, 3] AS x RETURN x, count(*) AS n"
    text, _ = protect(cypher, check(cypher), Anonymity())
    assert withhold(store.query(text, limit=2), Anonymity()).truncated
