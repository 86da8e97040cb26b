"""The investigators' commands from outside: questions, console, find, an account's page, what the files then hold."""

from __future__ import annotations

import csv
import io
import json
import subprocess
from pathlib import Path

import pandas as pd
import pytest
from drops import make_tables, write_drop
from process import EXECUTABLE

from ..command import Ringwatch

ORIGINAL = "198.51.100.201"
ANOTHER = "planted.person@mail.example"


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Ringwatch:
    """A workspace with one batch and one run; an address and a mailbox of three accounts are known to the tests."""
    folder = tmp_path_factory.mktemp("investigating")
    tables = make_tables(5)
    for account in sorted({row["account_id"] for row in tables["events"]})[:3]:
        tables.setdefault("links", []).append({"account_id": account, "entity_type": "ip", "entity_id": ORIGINAL})
    tables["accounts"].append({"account_id": "newcomer"})
    command = Ringwatch(folder / "workspace")
    command.run("init")
    command.run("ingest", write_drop(folder / "drop", tables))
    command.run("detect", "--seed", "1")
    return command


def _member(world: Ringwatch) -> tuple[str, str]:
    cluster = str(world.json("clusters", "list")["clusters"][0]["cluster_id"])
    rows = world.json("query", "run", "cluster-members", "--param", f"cluster={cluster}")["rows"]
    return cluster, str(rows[0][0])


def _everything(world: Ringwatch) -> bytes:
    return b"".join(path.read_bytes() for path in world.workspace.rglob("*") if path.is_file())


def test_the_console_answers_and_refuses(world: Ringwatch) -> None:
    answer = world.json("console", "--execute", "MATCH (a:Account) RETURN count(a) AS n")
    assert answer["schema"] == "ringwatch.console/1"
    assert (answer["columns"], answer["truncated"], answer["withheld"]) == (["n"], False, 0)
    assert answer["rows"][0][0] > 20
    for hostile in ("CREATE (:Account {id: 'x'})", "LOAD FROM '/etc/passwd' RETURN *", "CALL dbms.listConfig()"):
        done = world.call("console", "--execute", hostile, "--json")
        assert (done.code, done.document["code"]) == (5, 5)
        assert "Traceback" not in done.stderr
    table = world.run("console", "-e", "MATCH (i:Ip) RETURN i.token AS t ORDER BY t LIMIT 1").stdout
    assert "…" in table, "tokens are cut short"
    assert world.call("console", "--json").code == 2


def test_the_console_reads_a_script(world: Ringwatch) -> None:
    script = (
        "RETURN ';' AS a; // x\nMATCH (c:Cluster)\nRETURN count(c) > $least AS many;\nCREATE (n);\nRETURN 3 AS c;"
    )
    done = subprocess.run(
        [EXECUTABLE, "console", "--param", "least=0"],
        input=script, env=world.env, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 5, done.stderr
    assert "true" in done.stdout
    assert "CREATE" in done.stderr
    assert "3" not in done.stdout, "what follows a refused statement is not asked"


def test_a_question_in_every_form(world: Ringwatch, tmp_path: Path) -> None:
    cluster, _ = _member(world)
    asked = ("query", "run", "cluster-members", "--param", f"cluster={cluster}")
    told = world.json(*asked)
    assert told["rows"] and told["truncated"] is False
    first = world.json(*asked, "--limit", "1")
    assert (len(first["rows"]), first["truncated"]) == (1, True)
    printed = list(csv.reader(io.StringIO(world.run(*asked, "--format", "csv").stdout)))
    assert printed[0] == told["columns"]
    assert [row[0] for row in printed[1:]] == [row[0] for row in told["rows"]]
    assert json.loads(world.run(*asked, "--format", "json").stdout) == told
    for name in ("rows.csv", "rows.parquet", "rows.jsonl", "rows.json"):
        assert world.json(*asked, "--output", str(tmp_path / name))["output"] == str(tmp_path / name)
    for frame in (
        pd.read_csv(tmp_path / "rows.csv"),
        pd.read_parquet(tmp_path / "rows.parquet"),
        pd.read_json(tmp_path / "rows.jsonl", lines=True),
    ):
        assert list(frame["account_id"]) == [row[0] for row in told["rows"]]
    assert json.loads((tmp_path / "rows.json").read_text())["rows"] == told["rows"]
    assert world.call(*asked, "--output", str(tmp_path / "rows.xls")).code == 2
    assert world.call("query", "run", "cluster-members").code == 2
    plan = world.json("query", "explain", "cluster-members")
    assert plan["columns"] == ["step", "operator"] and plan["rows"]
    groups = {row[0] for row in world.json("query", "list")["rows"]}
    assert len(groups) == 7


def test_aggregates_over_few_accounts_are_withheld_until_a_case_is_open(world: Ringwatch) -> None:
    asked = ("console", "--execute", "MATCH (a:Account)-[:USED_IP]->(i:Ip) RETURN i.token AS t, count(a) AS n")
    answer = world.json(*asked)
    assert answer["withheld"] > 0
    assert all(row[1] >= 5 for row in answer["rows"])


def test_an_original_is_found_and_written_nowhere(world: Ringwatch) -> None:
    (found,) = world.json("find", f" {ORIGINAL} ")["matches"]
    assert found["type"] == "ip"
    assert found["accounts"] == 3
    assert found["parent"] == "198.51.100/24"
    assert world.json("find", "::ffff:198.51.100.201", "--type", "ip")["matches"] == [found]
    assert world.json("find", ANOTHER)["matches"] == []
    typed = subprocess.run(
        [EXECUTABLE, "find", "-", "--json"],
        input=f"{ORIGINAL}\n", env=world.env, capture_output=True, text=True, check=True,
    )  # fmt: skip
    assert json.loads(typed.stdout)["matches"] == [found]
    assert world.json("find", "198.51.100/24")["matches"][0]["type"] == "network"
    assert world.call("find", ORIGINAL, "--type", "colour").code == 2
    short = found["key"][: len("ip_") + 10]
    rows = world.json("query", "run", "entity-accounts", "--param", f"entity={short}…")["rows"]
    assert len(rows) == 3, "a token that is cut short names the whole one"
    revealed = world.json("reveal", short, "--reason", "a test")["values"]
    assert [one["value"] for one in revealed] == [ORIGINAL]
    log = (world.workspace / "audit.log").read_text(encoding="utf-8")
    assert found["key"] in log
    assert world.json("audit", "verify")["ok"]
    held = _everything(world)
    assert ORIGINAL.encode() not in held
    assert ANOTHER.encode() not in held


def test_an_account_on_one_page(world: Ringwatch) -> None:
    cluster, account = _member(world)
    told = world.json("investigate", account)
    assert told["account_id"] == account
    assert told["cluster"]["cluster_id"] == cluster
    assert told["ties"] and told["ties"][0]["bits"] > 0
    bits = [row["bits"] for row in told["shared"]]
    assert bits == sorted(bits, reverse=True)
    assert sum(row["events"] for row in told["timeline"]) == told["events"]
    page = world.run("investigate", account).stdout
    for title in ("Tied to", "What it uses", "Events", "Harm", "Next"):
        assert title in page
    for line in told["next"][:3]:
        assert world.call(*line.split()[1:]).code == 0, line
    assert world.call("investigate", "nobody").code == 2
    alone = world.json("investigate", "newcomer")
    assert (alone["shared"], alone["ties"], alone["timeline"], alone["cluster"]) == ([], [], [], None)
    assert "newcomer" in world.run("investigate", "newcomer").stdout
