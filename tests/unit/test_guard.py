"""The guard: ordinary questions pass; nothing that writes or reaches outside does, however it is written."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ringwatch.errors import PolicyError
from ringwatch.graphs.store import EmbeddedStore
from ringwatch.queries import ask, check, library

ORDINARY = [
    "MATCH (n) RETURN n",
    "match (a:Account)-[:SET]->(b) return a.create, b.`set` limit 3;",
    "RETURN 'CREATE (n); DELETE n' AS x // DELETE\n",
    'MATCH (a) WHERE a.id = "it\'s \\" MERGE" /* MERGE */ RETURN count(*) AS n',
    "MATCH p = (a)-[*1..3]-(b) RETURN [n IN nodes(p) | n.id] AS ids, length(p) AS hops",
    "RETURN 1 AS n UNION ALL RETURN 2 AS n",
    "MATCH (a) WHERE EXISTS { MATCH (a)--(b) WHERE b.score > 1.5e3 } AND NOT a.label IS NULL RETURN a {.id, n: 1}",
    "MATCH (a) RETURN COUNT { (a)--() } AS n, CASE WHEN a.x THEN 1 ELSE -2 END AS c ORDER BY n DESC, c SKIP 1",
    "MATCH (a:Account {id: $`x`}) RETURN date.truncate('day', a.created_at) AS d",
    "UNWIND [1, 2] AS x WITH x WHERE x IN $list RETURN DISTINCT x",
    "MATCH (a)<-[e:USED_IP|PAID_WITH*1..2]-(b) WHERE (a.n + 1) * 2 >= 3 XOR a.id =~ 'a.*' RETURN (a.n) AS n",
    "MATCH (`SET`:`CREATE`) RETURN `SET`.id AS `DELETE`",
    "MATCH (a) WHERE a.id STARTS WITH 'a' OR a.id ENDS WITH 'b' OR a.id CONTAINS 'ø→' RETURN a.id AS id",
]

REFUSED = [
    "CREATE (n)", "MERGE (n:Account {id: 'x'})", "MATCH (n) DELETE n", "MATCH (n) DETACH DELETE n",
    "MATCH (n) SET n.x = 1", "MATCH (n) REMOVE n.x", "DROP TABLE Account", "ALTER TABLE Account ADD x STRING",
    "LOAD FROM '/etc/passwd' RETURN *", "LOAD CSV FROM 'file:///etc/passwd' AS line RETURN line",
    "COPY (MATCH (n) RETURN n) TO 'out.csv'", "COPY Account FROM 'in.csv'", "EXPORT DATABASE 'out'",
    "IMPORT DATABASE 'in'", "ATTACH 'other.db' AS other (dbtype duckdb)", "INSTALL httpfs", "LOAD EXTENSION httpfs",
    "CALL db.labels()", "CALL apoc.load.json('http://x')", "CALL dbms.listConfig()", "CALL show_tables() RETURN *",
    "MATCH (n) CALL { WITH n SET n.x = 1 } RETURN n", "MATCH (n) CALL (n) { DELETE n } IN TRANSACTIONS",
    "MATCH (n) RETURN apoc.load.json('x') AS x", "MATCH (n) RETURN `apoc`.`load`.`json`('x') AS x",
    "RETURN `apoc.x`('y') AS x", "RETURN nextval('s') AS n", "RETURN apoc.date.format(1) AS x",
    "USE other MATCH (n) RETURN n", "EXPLAIN MATCH (n) RETURN n", "PROFILE MATCH (n) RETURN n", "SHOW DATABASES",
    "RETURN 1 AS n; CREATE (n)", "; RETURN 1 AS n", "BEGIN TRANSACTION", "FOREACH (x IN [1] | CREATE (n))",
    "RETURN [x IN [1] | x] AS l FOREACH (x IN l | CREATE (n))", "WITH 1 AS x INSERT (n)", "MATCH (n) FINISH",
    "MATCH (n) NEWCLAUSE n", "MATCH (n) NEWCLAUSE (m)", "MATCH (n) RETURN n NEWCLAUSE m",
    "MATCH (n) RETURN n UNION CREATE (m)",
    "WITH 1 AS x NEWCLAUSE 'file'", "RETURN 1 AS n UNION NEWCLAUSE 'file'", "OPTIONAL CALL db.labels()",
    "RETURN 1\u00a0CREATE (n)", "RETURN 1 AS n \u2028CREATE (n)", "\\u0043REATE (n)",
    "RETURN '\\u0027 CREATE (n) //'",
    "// \r CREATE (n)", "RETURN 1 AS n // \r ' \n CREATE (n) // '", "RETURN 1CREATE (n)", "RETURN 1.CREATE (n)",
    "RETURN [1][0..CREATE (n)]", "/***/ RETURN 1 AS n", "RETURN 1 AS n /* /* */ */ CREATE (n)", "/* RETURN 1 AS n",
    "RETURN 'open", 'RETURN "open', "RETURN `open", "\u212aEEP (n)", "CYPHER runtime = slotted RETURN 1 AS n",
    "", " ", "// only", ";",
    "RETURN 1 AS n // '\n CREATE (n) //'", "RETURN '\\\\' CREATE (n) //'", "RETURN \x00 1 AS n",
]  # fmt: skip


@pytest.mark.parametrize("statement", [*ORDINARY, *(query.cypher for query in library().values())])
def test_ordinary_questions_pass(statement: str) -> None:
    check(statement)


@pytest.mark.parametrize("statement", REFUSED)
def test_what_does_not_only_read_is_refused(statement: str) -> None:
    with pytest.raises(PolicyError) as caught:
        check(statement)
    assert caught.value.exit_code == 5
    assert caught.value.hint


def test_what_is_too_long_is_refused() -> None:
    with pytest.raises(PolicyError):
        check("RETURN " + "1 + " * 30_000 + "1 AS n")


def test_a_refused_statement_reaches_no_store() -> None:
    store = EmbeddedStore(None)
    with pytest.raises(PolicyError):
        ask(store, "CREATE (:Account {id: 'x'})")
    assert ask(store, "MATCH (a:Account) RETURN count(*) AS n").rows == [[0]]


_GAP = st.sampled_from(
    [" ", "\n", "\t", "\r\n", " /* x */ ", "/**/", " // it's\n", " /* ' */ ", '\n//"`\n', "/* ; */"]
)
_HARM = st.sampled_from(
    [
        ("CREATE", "(n)"), ("MERGE", "(n)"), ("DELETE", "n"), ("DETACH", "DELETE", "n"), ("SET", "n.x", "=", "1"),
        ("REMOVE", "n.x"), ("CALL", "db.labels()"), ("CALL", "{", "RETURN", "1", "AS", "x", "}"),
        ("LOAD", "CSV", "FROM", "'f'", "AS", "l"), ("LOAD", "FROM", "'f'"), ("COPY", "t", "TO", "'f'"),
        ("EXPORT", "DATABASE", "'f'"), ("ATTACH", "'f'", "AS", "x"), ("INSTALL", "httpfs"), ("USE", "x"),
        ("FOREACH", "(x", "IN", "l", "|", "CREATE", "(n))"), ("apoc.load.json", "('f')"), ("DROP", "TABLE", "t"),
    ]
)  # fmt: skip
_BEFORE = st.sampled_from(
    [(), ("MATCH", "(n)"), ("MATCH", "(n)", "WITH", "n"), ("RETURN", "1", "AS", "n", ";"),
     ("RETURN", "'x'", "AS", "n"),
     ("UNWIND", "[1]", "AS", "n"), ("MATCH", "(n)", "WHERE", "n.x", "=", "'\\''"), ("RETURN", "`a``b`", "UNION")]
)  # fmt: skip
_AFTER = st.sampled_from([(), ("RETURN", "n"), (";",), ("RETURN", "'x'", "AS", "x")])


@st.composite
def _disguised(draw: st.DrawFn) -> str:
    words = [*draw(_BEFORE), *draw(_HARM), *draw(_AFTER)]
    text = draw(st.sampled_from(["", "/* x */", "// x\n", "\n"]))
    for word in words:
        cased = "".join(draw(st.sampled_from([letter.upper(), letter.lower()])) for letter in word)
        text += (word if word[0] in "'`" else cased) + draw(_GAP)
    return text


@settings(max_examples=500)
@given(_disguised())
def test_no_disguise_gets_a_clause_past(statement: str) -> None:
    with pytest.raises(PolicyError):
        check(statement)


@settings(max_examples=300)
@given(
    st.sampled_from(["CREATE (n)", "MATCH (n) DELETE n", "CALL db.labels()", "LOAD FROM 'f' RETURN *"]),
    st.text(min_size=1, max_size=3),
    st.data(),
)
def test_no_letter_put_in_gets_a_clause_past(harmful: str, letters: str, data: st.DataObject) -> None:
    """Whatever is put in between, in or around the words, only opening a quote or comment can make it harmless, and
    then it is not closed."""
    at = data.draw(st.integers(0, len(harmful)))
    statement = harmful[:at] + letters + harmful[at:]
    with pytest.raises(PolicyError):
        check(statement)


@settings(max_examples=300)
@given(st.text(st.characters(codec="utf-8", exclude_categories=["C", "Zl", "Zp"]), max_size=30), _GAP)
def test_words_in_quotes_and_names_refuse_nothing(text: str, gap: str) -> None:
    plain = text.replace("\\", "").replace("'", "").replace("`", "")
    check(f"MATCH{gap}(a){gap}WHERE a.id{gap}={gap}'CREATE {plain} DELETE'{gap}RETURN a.id{gap}AS `SET {plain} x`")


@settings(max_examples=300)
@given(st.text(max_size=60))
def test_any_text_is_judged_and_never_crashes(text: str) -> None:
    try:
        check(text)
    except PolicyError as error:
        assert "\n" not in error.hint
