"""The console: what it completes, what it remembers, when Enter asks, and how it shows what it was told."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from prompt_toolkit.completion import CompleteEvent
from prompt_toolkit.document import Document
from prompt_toolkit.input import create_pipe_input
from prompt_toolkit.output import DummyOutput

from ringwatch.cli import answers
from ringwatch.cli.console import _statements
from ringwatch.cli.prompt import CypherCompleter, is_complete, prompt_session
from ringwatch.errors import PolicyError, UsageError
from ringwatch.queries import Answer, complete, read_history, remember, without_originals

TOKEN = "ip_0123456789abcdef0123456789abcdef"


@pytest.mark.parametrize(
    ("text", "begun", "names"),
    [
        ("MATCH (a:Acc", "Acc", ["Account"]),
        ("MATCH (a:", "", ["Account", "Organization", "Ip", "Network"]),
        ("MATCH (a:Account)-[:USED_", "USED_", ["USED_IP", "USED_DEVICE", "USED_AGENT"]),
        ("MATCH (a)-[:USED_IP|PAID", "PAID", ["PAID_WITH"]),
        ("MATCH (a:Account) RETURN a.harm", "harm", ["harm_rate"]),
        ("MATCH (c:Cluster) WHERE c.", "", ["id", "score", "bits"]),
        ("MATCH (a)-[u:USED_IP]->(i) RETURN u.f", "f", ["first_seen"]),
        ("MATCH (i:Ip {t", "t", ["token"]),
        ("MATCH (a:Account {id: 'x', cou", "cou", ["country"]),
        ("MATCH (owner:Account) RETURN own", "own", ["owner"]),
        ("mat", "mat", ["MATCH"]),
        ("MATCH (a) RETURN coun", "coun", ["COUNT {", "count"]),
        ("CALL db.l", "l", []),
        ("CALL sho", "sho", ["show_tables"]),
    ],
)
def test_what_is_completed(text: str, begun: str, names: list[str]) -> None:
    found, offered = complete(text)
    assert found == begun
    assert offered[: len(names)] == names


@pytest.mark.parametrize(
    "text", ["RETURN 'acc", 'RETURN "MAT', "RETURN 1 // mat", "RETURN 'a' ", "", "MATCH (a {id: "]
)
def test_nothing_is_completed_in_a_text_a_comment_or_out_of_nothing(text: str) -> None:
    assert complete(text)[1] == []


def test_a_text_that_is_closed_does_not_stop_completion() -> None:
    assert complete("MATCH (a:Account) WHERE a.id = 'it''s' RETURN a.refu")[1] == ["refused_rate"]


def test_the_completer_replaces_what_is_begun() -> None:
    found = list(CypherCompleter().get_completions(Document("MATCH (a:PromptF"), CompleteEvent()))
    assert [(one.text, one.start_position) for one in found] == [("PromptFamily", -7)]


@pytest.mark.parametrize(
    ("typed", "kept"),
    [
        ("MATCH (a)\n  RETURN a;", "MATCH (a) RETURN a;"),
        (f"MATCH (i:Ip {{token: '{TOKEN}'}}) RETURN i", f"MATCH (i:Ip {{token: '{TOKEN}'}}) RETURN i"),
        ("MATCH (a {id: 'mallory@mail.example'}) RETURN a", "MATCH (a {id: '…'}) RETURN a"),
        ('RETURN "203.0.113.7" AS x // 203.0.113.7', "RETURN '…' AS x"),
        ("RETURN 4111111111111111 AS x, 12 AS y", "RETURN 0 AS x, 12 AS y"),
        ("RETURN /* mallory */ 1 AS x", "RETURN 1 AS x"),
        ("RETURN 1 AS `mallory@mail.example`", None),
        ("RETURN $`mallory`", None),
        ("RETURN 'open", None),
        ("mallory@mail.example", None),
        ("", None),
    ],
)
def test_what_is_remembered_has_no_original(typed: str, kept: str | None) -> None:
    assert without_originals(typed) == kept


def test_the_history_is_its_owners_alone(tmp_path: Path) -> None:
    path = tmp_path / "console.history"
    path.write_text("RETURN 0 AS n\n")
    path.chmod(0o644)
    for typed in ("RETURN 1 AS n", "RETURN 1 AS n", "RETURN 'planted' AS n"):
        remember(path, typed)
    assert read_history(path) == ["RETURN 0 AS n", "RETURN 1 AS n", "RETURN '…' AS n"]
    assert path.stat().st_mode & 0o777 == 0o600
    for number in range(1200):
        if number % 400 == 0:
            remember(path, f"RETURN {number} AS n")
    path.write_text("".join(f"RETURN {number} AS n\n" for number in range(1000)))
    remember(path, "RETURN 1 AS last")
    assert len(read_history(path)) == 1000
    assert read_history(path)[-1] == "RETURN 1 AS last"


@pytest.mark.parametrize(
    ("text", "asks"),
    [("MATCH (a)", False), ("MATCH (a);", True), (" ", True), (":help", True), ("RETURN 1;\n", True)],
)
def test_enter_asks_where_a_statement_is_complete(text: str, asks: bool) -> None:
    assert is_complete(text) is asks


def test_a_statement_is_typed_over_several_lines_and_remembered(tmp_path: Path) -> None:
    with create_pipe_input() as keys:
        session = prompt_session(tmp_path, reads=keys, writes=DummyOutput())
        keys.send_text("MATCH (a:PromptFamily)\rWHERE a.id = 'planted-original'\rRETURN a;\r")
        assert session.prompt() == "MATCH (a:PromptFamily)\nWHERE a.id = 'planted-original'\nRETURN a;"
        keys.send_text("\x1b[A\r")  # what was typed a moment ago is there as it was
        assert "planted-original" in session.prompt()
        keys.send_text(":quit\r")
        assert session.prompt() == ":quit"
    kept = (tmp_path / "console.history").read_text(encoding="utf-8")
    assert kept == "MATCH (a:PromptFamily) WHERE a.id = '…' RETURN a;\n"
    with create_pipe_input() as keys:
        later = prompt_session(tmp_path, reads=keys, writes=DummyOutput())
        keys.send_text("\x1b[A\r")
        assert later.prompt() == kept.strip()


def test_a_file_of_statements_is_parted_by_semicolons() -> None:
    assert list(_statements("RETURN ';' AS a; // ;\nRETURN 2 AS b;\n;")) == [
        "RETURN ';' AS a",
        " // ;\nRETURN 2 AS b",
    ]
    with pytest.raises(PolicyError):
        list(_statements("RETURN 'open"))


def test_cells() -> None:
    moment = datetime(2026, 3, 1, 12, tzinfo=UTC)
    assert answers.cell(TOKEN) == "ip_0123456789…"
    assert answers.cell(TOKEN, full=True) == TOKEN
    assert answers.cell([TOKEN, None, 1]) == "ip_0123456789…, null, 1"
    assert answers.cell({"token": TOKEN, "kind": None, "ok": True}) == "{token: ip_0123456789…, ok: true}"
    assert answers.cell(moment) == "2026-03-01 12:00:00"
    assert answers.cell(0.123456) == "0.1235"
    assert answers.cell(None) is None
    assert answers.short("prompt_0123456789abcdef") == "prompt_0123456789…"
    assert answers.short("user_agent_is_no_token") == "user_agent_is_no_token"


def test_rows_as_csv() -> None:
    moment = datetime(2026, 3, 1, 12, tzinfo=UTC)
    rows: list[list[Any]] = [
        ["=1+1", ["a", "b"], moment],
        ["-x", [], None],
        ["a,b", None, True],
        [-1.5, ["@x"], "\tx"],
        ["＝1+1", ["＠x", "\u202e=1"], "'x"],
    ]
    assert answers.as_csv(Answer(["a", "b", "c"], rows)) == (
        "a,b,c\n'=1+1,a|b,2026-03-01T12:00:00+00:00\n'-x,,\n\"a,b\",,true\n-1.5,'@x,\\u0009x\n"
        "'＝1+1,'＠x|\\u202e=1,''x\n"
    )


def test_what_is_said_of_rows() -> None:
    assert answers.said(Answer(["n"], [[1]]), 5) == "1 row."
    assert answers.said(Answer(["n"], [], True, 3), 5) == (
        "0 rows and more: --limit N; 3 withheld, made from fewer than 5 accounts."
    )


def test_parameters() -> None:
    given = answers.pairs(["a=1", "b=x=y", "c=[1, 2]", "d=2026-03-01", "e=true", "f="])
    read = {name: answers.value_of(text) for name, text in given.items()}
    assert read == {"a": 1, "b": "x=y", "c": [1, 2], "d": datetime(2026, 3, 1, tzinfo=UTC), "e": True, "f": ""}
    with pytest.raises(UsageError):
        answers.pairs(["nothing"])
