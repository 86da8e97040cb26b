"""The guard: ordinary questions pass; nothing that writes or reaches outside does, however it is written."""

from __future__ import annotations

import json
from collections.abc import Iterator
from functools import partial
from itertools import pairwise
from pathlib import Path

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from ringwatch.errors import PolicyError, RingwatchError
from ringwatch.graphs.store import EmbeddedStore
from ringwatch.queries import Bounds, Worker, ask, check, library
from ringwatch.queries.lexer import tokenize

HOSTILE = [
    json.loads(line)["statement"]
    for line in (Path(__file__).parents[1] / "security" / "hostile.jsonl").read_text(encoding="utf-8").splitlines()
]

NESTED = [
    "RETURN " + "(" * 5000 + "1" + ")" * 5000 + " AS n",
    "RETURN " + "[" * 3000 + "]" * 3000 + " AS n",
    "RETURN " + "({a: " * 60 + "1" + "})" * 60 + " AS n",
    "RETURN " + "({a: " * 30 + "1" + "})" * 30 + " AS n",
    "RETURN " + "NOT (" * 2000 + "true" + ")" * 2000 + " AS n",
    "RETURN " + "CASE WHEN true THEN " * 500 + "1" + " END" * 500 + " AS n",
    "MATCH (n) WHERE " + "EXISTS { MATCH (m) WHERE " * 200 + "true" + " }" * 200 + " RETURN n",
    "RETURN " + "1 + " * 30_000 + "1 AS n",
]

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
    "MATCH (a:Account:Other|Third), (b:!Account&(X|Y)) WHERE (a)-[:X]->(b) AND NOT (a)--() RETURN *",
    "MATCH p = shortestPath((a:Account {id: $a})-[*..6]-(b:Account {id: $b})) RETURN length(p) AS n",
    "MATCH p = ALL SHORTEST (a)-[:X]-+(b) RETURN p",
    "MATCH p = (a)-[e:USED_IP* SHORTEST 1..4]-(b) RETURN length(p) AS n",
    "MATCH p = (a)-[e* TRAIL 1..3 (r, n | WHERE n.score > 0.5)]-(b) RETURN p LIMIT 5",
    "MATCH (a) ((x)-[:REFERRED]->(y) WHERE x.score > 0){1,4} (b) RETURN [n IN x | n.id] AS ids",
    "MATCH (a) RETURN [(a)-[:X]->(b) WHERE b.score > 0 | b.id] AS ids, [p = (a)-->() | length(p)] AS lengths",
    "RETURN [x IN range(1, 3) WHERE x > 1 | x * 2] AS l, [1, 2][0..1] AS m, [1][..1] AS k, {a: 1, `b`: [2]} AS o",
    "RETURN reduce(s = 0, x IN [1, 2] | s + x) AS s, all(x IN [1] WHERE x > 0) AS a, CAST('1' AS INT64) AS i",
    "MATCH (a) WHERE a.score IS NOT NULL AND a:Account RETURN avg(a.score) AS m ORDER BY m ASC LIMIT 10",
    "MATCH (a:Account WHERE a.score > 0.5)-[r:X WHERE r.count > 1]->(b) RETURN a.id AS id, count(DISTINCT b) AS n",
    "WITH 1 AS x, 'a' || 'b' AS y RETURN x <> 2 AND y <= 'c' AS z UNION RETURN true AS z",
    "MATCH (a) WITH a.plan AS plan, count(*) AS n WHERE n > 1 RETURN plan, n",
    "CALL db.labels() YIELD label RETURN label ORDER BY label",
    "CALL db.relationshipTypes()",
    "CALL show_tables() RETURN *",
    "CALL table_info('Account') RETURN name, type",
    "RETURN datetime('2026-03-01T00:00:00Z') AS t, duration.between(date('2026-03-01'), date('2026-03-02')) AS d",
    "MATCH (a) WHERE single(x IN [1] WHERE x = 1) AND none(x IN [1] WHERE x = 2) RETURN -a.score + 1 AS n",
    "MATCH (a) RETURN COLLECT { MATCH (a)-->(b) RETURN b.id ORDER BY b.id } AS ids",
    "MATCH (a) WHERE EXISTS { (a)-[:X]->(:Ip) } OR exists((a)-->()) RETURN a.id AS id OFFSET 3 LIMIT 2",
]  # fmt: skip


@pytest.mark.parametrize("statement", [*ORDINARY, *(query.cypher for query in library().values())])
def test_ordinary_questions_pass(statement: str) -> None:
    check(statement)


def test_there_are_many_hostile_statements() -> None:
    assert len(set(HOSTILE)) >= 300


@pytest.mark.parametrize("statement", [*HOSTILE, *NESTED], ids=range(len(HOSTILE) + len(NESTED)))
def test_what_does_not_only_read_is_refused(statement: str) -> None:
    with pytest.raises(PolicyError) as caught:
        check(statement)
    assert caught.value.exit_code == 5
    assert caught.value.hint
    assert caught.value.message.endswith(".") and "\n" not in caught.value.message


def test_a_refusal_repeats_no_text() -> None:
    for statement in ("RETURN 1 '203.0.113.7'", "MATCH (a {id: 'x'} '203.0.113.7') RETURN a", "CREATE '203.0.113.7'"):
        with pytest.raises(PolicyError) as caught:
            check(statement)
        assert "203" not in caught.value.message + caught.value.hint


@pytest.mark.parametrize(
    ("pattern", "passes"),
    [
        ("'a.*'", True), ("'(ab|cd)e+'", True), ("'(?i)mail.*'", True), ("'[0-9]{3}(x)?'", True),
        (r"'a\\(b+\\)+'", True), ("'([+*]x)*'", True), ("'(a+)b?(c)*'", True), (r"'\\d+\\.\\d+'", True),
        ("'(a+)+'", False), ("'(a|a)*'", False), ("'((a*)b)*'", False), ("'(.{1,9}){5}'", False),
        (r"'(a)\\1'", False), (r"'(a\\\\+)+'", False), ("'((a+))+'", False), ("a.label", False),
        ("$pattern", False), ("'(a+' + ')+'", False), ("'(a+' || ')+'", False),
    ],
)  # fmt: skip
def test_a_pattern_that_can_go_back_over_and_over_is_refused(pattern: str, passes: bool) -> None:
    statement = f"MATCH (a:Account) WHERE a.id =~ {pattern} RETURN a.id AS id"
    if passes:
        check(statement)
    else:
        with pytest.raises(PolicyError, match="=~"):
            check(statement)


def test_a_refusal_says_where() -> None:
    with pytest.raises(PolicyError, match=r"line 2, column 3"):
        check("MATCH (n)\n  DELETE n")
    with pytest.raises(PolicyError, match=r"evil \(line 1, column 30"):
        check("MATCH (a)-[:X]->(b {x: [ {}, evil()]}) RETURN a")


def test_a_refused_statement_reaches_no_store() -> None:
    store = EmbeddedStore(None)
    with pytest.raises(PolicyError):
        ask(store, "CREATE (:Account {id: 'x'})")
    assert ask(store, "MATCH (a:Account) RETURN count(*) AS n").rows == [[0]]


# -- however it is disguised -----------------------------------------------------------------------------------------

_BLANKS = st.sampled_from(
    [" ", "\n", "\t", "\r\n", " /* x */ ", "/**/", " // it's\n", " /* ' */ ", '\n//"`\n', "/* ; */", " // */\n"]
)
_HARM = st.sampled_from(
    [
        ("CREATE", "(n)"), ("MERGE", "(n)"), ("DELETE", "n"), ("DETACH", "DELETE", "n"), ("SET", "n.x", "=", "1"),
        ("REMOVE", "n.x"), ("CALL", "dbms.listConfig()"), ("CALL", "{", "RETURN", "1", "AS", "x", "}"),
        ("LOAD", "CSV", "FROM", "'f'", "AS", "l"), ("LOAD", "FROM", "'f'"), ("COPY", "t", "TO", "'f'"),
        ("EXPORT", "DATABASE", "'f'"), ("ATTACH", "'f'", "AS", "x"), ("INSTALL", "httpfs"), ("USE", "x"),
        ("FOREACH", "(x", "IN", "l", "|", "CREATE", "(n))"), ("apoc.load.json", "('f')"), ("DROP", "TABLE", "t"),
        ("RETURN", "nextval", "('s')"), ("WITH", "[x", "IN", "file", "('f')", "|", "x]", "AS", "l"),
        ("MATCH", "(n)", "WHERE", "EXISTS", "{", "CREATE", "(m)", "}"),
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
        text += (word if word[0] in "'`" else cased) + draw(_BLANKS)
    return text


@settings(max_examples=500)
@given(_disguised())
def test_no_disguise_gets_a_clause_past(statement: str) -> None:
    with pytest.raises(PolicyError):
        check(statement)


@settings(max_examples=300)
@given(
    st.sampled_from(["CREATE (n)", "MATCH (n) DELETE n", "CALL dbms.listConfig()", "LOAD FROM 'f' RETURN *"]),
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


_MUTABLE = [text for text in HOSTILE if len(text) < 200 and "\\" not in text]


def _tokens(statement: str) -> list[str]:
    try:
        return [token.text for token in tokenize(statement) if token.kind != "end"]
    except PolicyError:
        return []


_TOKENS = [tokens for tokens in map(_tokens, _MUTABLE) if tokens]


@settings(max_examples=1000)
@given(st.sampled_from(_TOKENS), st.data())
def test_no_blank_comment_or_case_makes_a_hostile_statement_pass(tokens: list[str], data: st.DataObject) -> None:
    """Between its tokens everything may stand that both stores skip; a bare word may be in any case."""
    text = data.draw(st.sampled_from(["", "\n", "/* x */"]))
    for before, token in zip(["", *tokens], tokens, strict=False):
        apart = before[-1:].isalnum() or before[-1:] in ("_", "$")
        gap = data.draw(_BLANKS) if apart else data.draw(st.sampled_from(["", " ", "\n", "/**/"]))
        # Signs that belong together, like -> and .., say something else when they are parted.
        text += gap if apart or token[0].isalnum() else ""
        text += data.draw(st.sampled_from([token, token.upper(), token.lower()])) if token[0] not in "'\"`" else token
    with pytest.raises(PolicyError):
        check(text)


@settings(max_examples=1000)
@given(st.sampled_from(_MUTABLE), st.text(st.characters(min_codepoint=128), min_size=1, max_size=2), st.data())
def test_no_letter_beyond_ascii_makes_a_hostile_statement_pass(
    harmful: str, letters: str, data: st.DataObject
) -> None:
    at = data.draw(st.integers(0, len(harmful)))
    statement = harmful[:at] + letters + harmful[at:]
    with pytest.raises(PolicyError):
        check(statement)


_CLAUSES = (
    "CREATE (n)", "DELETE n", "LOAD FROM 'f' RETURN *", "SET n.x = 1", "MERGE (n)",
    "CALL dbms.listConfig() YIELD name",
)  # fmt: skip


@settings(max_examples=500)
@given(
    st.sampled_from([query.cypher for query in library().values()] + ORDINARY), st.sampled_from(HOSTILE), st.data()
)
def test_no_hostile_clause_hides_in_an_ordinary_statement(ordinary: str, harmful: str, data: st.DataObject) -> None:
    """Put between two tokens of a statement that passes, a clause that writes or loads is seen."""
    clause = data.draw(st.sampled_from([*_CLAUSES, f"; {harmful}"]))
    places = [token.start for token in tokenize(ordinary)]
    at = data.draw(st.sampled_from(places))
    assume(not ordinary[:at].rstrip().endswith((".", ":")))  # there a word is a name
    with pytest.raises(PolicyError):
        check(f"{ordinary[:at]} {clause} {ordinary[at:]}")


@settings(max_examples=300)
@given(st.sampled_from([query.cypher for query in library().values()]), st.data())
def test_blanks_comments_and_case_refuse_nothing(cypher: str, data: st.DataObject) -> None:
    tokens = tokenize(cypher)
    pieces = [cypher[: tokens[0].start]]
    for token, after in pairwise(tokens):
        text = token.text
        pieces.append(text.swapcase() if token.kind == "word" and data.draw(st.booleans()) else text)
        gap = cypher[token.end : after.start]
        # A slash and a comment together would begin a comment of their own.
        pieces.append(" " * (text == "/") + data.draw(_BLANKS) if gap else gap)
    check("".join(pieces))


@settings(max_examples=300)
@given(st.text(st.characters(codec="utf-8", exclude_categories=["C", "Zl", "Zp"]), max_size=30), _BLANKS)
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


@settings(max_examples=300)
@given(
    st.lists(st.sampled_from(sorted({token for tokens in _TOKENS for token in tokens})), max_size=40).map(" ".join)
)
def test_any_row_of_tokens_is_judged_and_never_crashes(text: str) -> None:
    try:
        check(text)
    except PolicyError as error:
        assert error.hint


# -- what is let through is bounded ----------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def graph(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("guard") / "graph"
    store = EmbeddedStore(path, read_only=False)
    store.apply_schema()
    store.close()
    return path


@pytest.fixture(scope="module")
def worker(graph: Path) -> Iterator[Worker]:
    with Worker(partial(EmbeddedStore, graph)) as asked:
        yield asked


def test_a_worker_answers_and_counts_rows(worker: Worker) -> None:
    result = worker.ask("UNWIND range(1, 5) AS x RETURN x", bounds=Bounds(rows=3))
    assert (result.columns, result.rows, result.truncated) == (["x"], [[1], [2], [3]], True)
    assert worker.ask("RETURN $x AS x", {"x": "y"}).rows == [["y"]]


def test_a_statement_that_the_stores_clock_cannot_stop_is_ended(worker: Worker) -> None:
    """One function call that makes 3 GB of text does not look at the clock."""
    big = "x"
    for _ in range(5):
        big = f"replace({big}, 'a', '{'a' * 90}')"
    with pytest.raises(PolicyError, match=r"longer than 1 seconds|more than 600 MB"):
        worker.ask(f"WITH 'aaaaa' AS x RETURN size({big}) AS n", bounds=Bounds(seconds=1, megabytes=600))
    assert worker.ask("RETURN 1 AS n").rows == [[1]], "the next statement has a process again"


def test_memory_is_bounded(worker: Worker) -> None:
    with pytest.raises(PolicyError, match="more than 600 MB"):
        worker.ask("RETURN range(1, 100000000) AS n", bounds=Bounds(seconds=60, megabytes=600))


def test_a_worker_passes_on_what_is_wrong(worker: Worker, tmp_path: Path) -> None:
    with pytest.raises(RingwatchError, match="Nowhere"):
        worker.ask("MATCH (n:Nowhere) RETURN n")
    with Worker(partial(EmbeddedStore, tmp_path / "none")) as asked, pytest.raises(RingwatchError) as caught:
        asked.ask("RETURN 1 AS n")
    assert caught.value.exit_code == 4


def test_a_worker_runs_no_module_of_the_current_folder(
    graph: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "psutil.py").write_text("open('taken', 'w')")
    monkeypatch.chdir(tmp_path)
    with Worker(partial(EmbeddedStore, graph)) as asked:
        assert asked.ask("RETURN 1 AS n").rows == [[1]]
    assert not (tmp_path / "taken").exists()


def test_behind_the_guard_stands_a_wall(
    worker: Worker, graph: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What the guard refuses is asked past it: nothing is read from a file, and nothing written to one."""
    secret = tmp_path / "secret.csv"
    secret.write_text("word\nplanted-original\n")
    before = graph.read_bytes()
    for statement in (
        f"LOAD FROM '{secret}' (file_format='csv', header=true) RETURN *",
        f"COPY (RETURN 'x' AS x) TO '{tmp_path / 'out.csv'}'",
        f"COPY (RETURN 'x' AS x) TO '{tmp_path / 'out.parquet'}'",
        f"ATTACH '{graph}' AS other (dbtype lbug)",
        "INSTALL httpfs",
        "CREATE (:Account {id: 'x'})",
        "CREATE NODE TABLE T(id STRING, PRIMARY KEY(id))",
    ):
        with pytest.raises(RingwatchError):
            worker.run(statement, {}, bounds=Bounds(seconds=10))
    assert list(tmp_path.iterdir()) == [secret]
    assert graph.read_bytes() == before
