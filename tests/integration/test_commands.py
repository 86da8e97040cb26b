"""The installed command from outside: documents, exit codes, sentences, and that all of it is documented."""

from __future__ import annotations

import functools
import json
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from drops import make_tables, write_drop
from process import EXECUTABLE, Done

from ..command import Ringwatch

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Ringwatch:
    """A workspace with one batch and one run; tests only read it."""
    folder = tmp_path_factory.mktemp("commands")
    command = Ringwatch(folder / "workspace")
    command.run("init")
    command.run("ingest", write_drop(folder / "drop", make_tables(5)))
    command.run("detect", "--seed", "1")
    return command


def _refuse(constant: str) -> None:
    raise AssertionError(f"{constant} is no JSON")


def _first(world: Ringwatch) -> str:
    return str(world.json("clusters", "list")["clusters"][0]["cluster_id"])


@functools.cache
def _help(*arguments: str) -> str:
    return Ringwatch(Path("nowhere")).run(*arguments, "--help").stdout


def _commands(text: str) -> list[str]:
    part = text.partition("Commands:")[2]
    return re.findall(r"^  ([a-z][a-z-]*) ", part, flags=re.MULTILINE)


def _leaves(*group: str) -> list[tuple[str, ...]]:
    leaves: list[tuple[str, ...]] = []
    for name in _commands(_help(*group)):
        leaves += _leaves(*group, name) or [(*group, name)]
    return leaves


def test_every_command_is_in_the_readme() -> None:
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    table = readme.partition("## Commands")[2].partition("\n## ")[0]
    leaves = _leaves()
    assert len(leaves) >= 20
    missing = [leaf for leaf in leaves if not all(re.search(rf"\b{word}\b", table) for word in leaf)]
    assert missing == []


def test_every_command_has_help_and_the_shared_options() -> None:
    for leaf in _leaves():
        text = _help(*leaf)
        assert "--json" in text, leaf
        assert "--quiet" in text, leaf
        assert re.search(r"^  [A-Z]", text, flags=re.MULTILINE), leaf


@pytest.mark.parametrize(
    ("arguments", "code"),
    [
        (("detect",), 2),
        (("ingest",), 2),
        (("clusters", "list", "--limit", "0"), 2),
        (("clusters", "list", "--no-such-option"), 2),
        (("no-such-command",), 2),
        (("init", "--entity-type", "Not A Name"), 2),
        (("init", "--neo4j-uri", "bolt://127.0.0.1:1"), 2),
        (("init", "--store", "paper"), 2),
        (("init", "--store", "neo4j", "--neo4j-uri", "bolt://127.0.0.1:1"), 4),
        (("detect", "--as-of", "yesterday"), 2),
        (("query", "run", "no-such-question"), 2),
        (("simulate", "no-such-scenario", "--output", "out"), 2),
    ],
)
def test_a_failure_is_one_sentence_a_document_and_a_code(
    tmp_path: Path, arguments: tuple[str, ...], code: int
) -> None:
    done = Ringwatch(tmp_path / "none").call(*arguments, "--json")
    _is_refused(done, code)
    assert not (tmp_path / "none").exists()


def test_an_empty_workspace_is_none(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    _is_refused(Ringwatch(tmp_path / "other").call("--workspace", "", "init", "--json"), 2)
    assert list(tmp_path.iterdir()) == []


def _is_refused(done: Done, code: int) -> dict[str, Any]:
    assert done.code == code, done.stderr
    assert "Traceback" not in done.stderr
    document = done.document
    assert next(iter(document)) == "schema"
    assert (document["schema"], document["code"]) == ("ringwatch.error/1", code)
    assert document["error"].endswith((".", "?"))
    assert document["hint"]
    said = [line for line in done.stderr.splitlines() if line.startswith("ringwatch: ")]
    assert len(said) == 1
    assert document["error"].splitlines()[0] in said[0]
    return document


def test_what_is_not_there_is_said(world: Ringwatch, tmp_path: Path) -> None:
    for arguments in (
        ("clusters", "show", "cnowhere"),
        ("clusters", "list", "--run", "rnowhere"),
        ("export", "cnowhere", "--output", tmp_path / "x.json"),
        ("export", _first(world), "--format", "paper", "--output", tmp_path / "x"),
        ("clusters", "members", "--output", tmp_path / "members.xls"),
        ("scores", "--output", tmp_path / "no" / "scores.txt"),
        ("evaluate", "--labels", tmp_path / "none.csv"),
        ("query", "run", "shared-payment"),
        ("query", "run", "shared-payment", "--param", "payment"),
        ("reveal", "ip_00", "--reason", "because"),
    ):
        _is_refused(world.call(*arguments, "--json"), 2)
    assert list(tmp_path.iterdir()) == []


def test_no_run_yet(tmp_path: Path) -> None:
    command = Ringwatch(tmp_path / "workspace")
    command.run("init")
    for arguments in (("clusters", "list"), ("scores", "--output", tmp_path / "scores.csv")):
        assert "no run yet" in _is_refused(command.call(*arguments, "--json"), 2)["error"]


def test_debug_shows_where(tmp_path: Path) -> None:
    done = Ringwatch(tmp_path).call("detect", "--debug")
    assert done.code == 2
    assert "Traceback" in done.stderr


def test_the_command_starts_without_its_engines() -> None:
    engines = {"duckdb", "igraph", "ladybug", "neo4j", "numpy", "pandas", "pyarrow", "scipy", "torch"}
    code = f"import sys, ringwatch.cli.main; print({engines} & set(sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "set()\n"


@pytest.mark.parametrize("arguments", [("clusters", "list"), ("clusters", "list", "--json"), ("--help",)])
def test_who_stops_reading_ends_the_command_quietly(world: Ringwatch, arguments: tuple[str, ...]) -> None:
    read, write = os.pipe()
    os.close(read)
    done = subprocess.run([EXECUTABLE, *arguments], env=world.env, stdout=write, stderr=subprocess.PIPE, check=False)
    os.close(write)
    assert (done.returncode, done.stderr) == (0, b"")


def test_progress_goes_to_stderr_and_quiet_takes_it_away(world: Ringwatch, tmp_path: Path) -> None:
    drop = write_drop(tmp_path / "drop", make_tables(5))
    loud = world.run("ingest", drop, "--dry-run", "--json")
    assert "stage=" in loud.stderr
    assert loud.document["dry_run"] is True
    quiet = world.run("ingest", drop, "--dry-run", "--json", "--quiet")
    assert quiet.stderr == ""


def test_a_dry_run_stores_nothing(tmp_path: Path) -> None:
    command = Ringwatch(tmp_path / "workspace")
    command.run("init")
    before = command.digest()
    drop = write_drop(tmp_path / "drop", make_tables(5))
    tried = command.json("ingest", drop, "--dry-run")
    assert (tried["batch_id"], tried["stored"]) == (None, tried["read"])
    assert command.digest() == before
    assert command.json("ingest", drop)["stored"] == tried["read"]


def test_the_documents_have_their_schemas_first(world: Ringwatch, tmp_path: Path) -> None:
    cluster = _first(world)
    for arguments, schema in {
        ("doctor",): "doctor",
        ("graph", "stats"): "graph_stats",
        ("graph", "digest"): "graph_digest",
        ("query", "list"): "queries",
        ("query", "show", "shared-payment"): "query",
        ("clusters", "list"): "clusters",
        ("clusters", "show", cluster): "cluster",
        ("schema", "apply"): "schema",
        ("audit", "verify"): "audit",
        ("quarantine", "list"): "quarantine",
        ("safeguards",): "safeguards",
        ("report", "--output", str(tmp_path / "report.html")): "report",
    }.items():
        text = world.run(*arguments, "--json").stdout
        assert text.startswith(f'{{"schema": "ringwatch.{schema}/1"'), arguments
        assert text.count("\n") == 1
        json.loads(text, parse_constant=_refuse)


def test_doctor_finds_a_key_that_others_can_read(tmp_path: Path) -> None:
    command = Ringwatch(tmp_path / "workspace")
    command.run("init")
    assert command.json("doctor")["ok"] is True
    (command.workspace / "keys" / "vault.key").chmod(0o644)
    done = command.call("doctor", "--json")
    assert done.code == 1
    faults = [check for check in done.document["checks"] if check["state"] == "fault"]
    assert [fault["name"] for fault in faults] == ["keys"]
    assert "vault.key" in faults[0]["text"]


def test_a_rebuilt_graph_is_the_same_graph(world: Ringwatch, tmp_path: Path) -> None:
    command = Ringwatch(tmp_path / "workspace")
    command.run("init", "--keys-from", world.workspace)
    command.run("ingest", write_drop(tmp_path / "drop", make_tables(5)))
    command.run("detect", "--seed", "1")
    digest, stats = command.digest(), command.json("graph", "stats")
    command.run("graph", "rebuild")
    assert command.digest() == digest == world.digest()
    assert command.json("graph", "stats") == stats


def test_scores_cover_accounts_that_came_after_the_run(world: Ringwatch, tmp_path: Path) -> None:
    command = Ringwatch(tmp_path / "workspace")
    command.run("init", "--keys-from", world.workspace)
    command.run("ingest", write_drop(tmp_path / "drop", make_tables(5)))
    command.run("detect", "--seed", "1")
    command.run("ingest", write_drop(tmp_path / "more", make_tables(6, prefix="late-", rings=1, loners=3)))
    command.run("scores", "--output", tmp_path / "scores.csv")
    scores = pd.read_csv(tmp_path / "scores.csv")
    late = scores[scores["account_id"].str.startswith("late-")]
    assert len(late) == 9
    assert (late["score"] == 0).all()
    assert late["cluster_id"].isna().all()
    assert scores["account_id"].is_unique
    assert set(scores["calibrated"]) == {False}


def test_members_and_scores_agree_over_formats(world: Ringwatch, tmp_path: Path) -> None:
    for what in (("clusters", "members"), ("scores",)):
        for kind in ("csv", "parquet", "jsonl"):
            world.run(*what, "--output", tmp_path / f"x.{kind}")
        one = pd.read_csv(tmp_path / "x.csv")
        two = pd.read_parquet(tmp_path / "x.parquet")
        three = pd.read_json(tmp_path / "x.jsonl", lines=True)
        assert list(one.columns) == list(two.columns) == list(three.columns)
        for name in one.columns:
            for other in (two, three):
                assert (
                    one[name].where(one[name].notna(), None).tolist()
                    == pytest.approx(other[name].where(other[name].notna(), None).tolist())
                    if one[name].dtype.kind == "f"
                    else one[name].fillna("").tolist() == other[name].fillna("").tolist()
                )


def test_pages_for_people_say_what_the_documents_say(world: Ringwatch) -> None:
    cluster = _first(world)
    page = world.run("clusters", "show", cluster).stdout
    document = world.json("clusters", "show", cluster)
    assert cluster in page
    assert "One operation?" in page
    assert "Abuse?" in page
    flat = re.sub(r"\s+", "", page)
    for reason in (*document["evidence"], *document["counter_evidence"]):
        assert f"{reason['bits']:+.1f}" in page
        assert re.sub(r"\s+", "", reason["layer"].replace("_", " ")) in flat
    listed = world.run("clusters", "list").stdout
    assert cluster in listed


def test_a_question_is_asked(world: Ringwatch) -> None:
    ring = [f"ring0-{i}" for i in range(6)]
    answer = world.json("query", "run", "shared-entities", "--param", "account=ring0-0")
    assert set(ring[1:]) <= {row[answer["columns"].index("other_id")] for row in answer["rows"]}
    assert answer["truncated"] is False
    short = world.json("query", "run", "shared-entities", "--param", "account=ring0-0", "--limit", "1")
    assert len(short["rows"]) == 1
    assert short["truncated"] is True


def test_a_refused_drop_says_what_was_read_and_stored_nothing(world: Ringwatch, tmp_path: Path) -> None:
    row = {"event_id": "frozen", "ts": "never", "account_id": "a", "kind": "chat"}
    drop = write_drop(tmp_path / "drop", {"events": [row]})
    document = _is_refused(world.call("ingest", drop, "--mode", "freeze", "--json"), 3)
    assert (document["read"], document["violations"]) == (1, {"bad_time": 1})
    assert {document[count] for count in ("stored", "duplicates", "quarantined")} == {0}
