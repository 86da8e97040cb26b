"""What is erased is nowhere any more, not even in the vault; what others have as well stays; the audit log tells."""

from __future__ import annotations

import json
import re
import shutil
from contextlib import closing
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import duckdb
import pandas as pd
import pytest
from drops import make_tables, write_drop

from ringwatch import audit, ingest, pipeline
from ringwatch.clock import now
from ringwatch.config import make_config
from ringwatch.errors import BusyError, RingwatchError, UsageError
from ringwatch.graphs.digest import graph_digest
from ringwatch.ingest.vault import read_vault
from ringwatch.pipeline import runs, writing
from ringwatch.pipeline.erasure import forgotten_as
from ringwatch.review import Action, Decision, decide, open_cases, propose, publish_verdicts
from ringwatch.review.workflow import current_cluster
from ringwatch.workspace import Workspace

from .reviewing import make_office


def _tables() -> dict[str, list[dict[str, Any]]]:
    tables = make_tables(5, loners=12, rings=2)
    gone = next(row for row in tables["events"] if row["account_id"] == "loner3")
    blank = dict.fromkeys(gone)
    tables["events"] += [
        {**blank, "event_id": "own", "ts": "2026-02-20T00:00:00Z", "account_id": "loner3", "kind": "tool_call",
         "ip": "198.51.100.7", "prompt": "a secret that nobody else ever wrote down anywhere at all", "tool": "fetch",
         "tool_args": json.dumps({"host": "own-target"}), "refused": False, "harm_score": 0.0},
        {**blank, "event_id": "bad", "ts": "never", "account_id": "loner3", "kind": "chat", "ip": "198.51.100.9",
         "refused": False, "harm_score": 0.0},
        {**blank, "event_id": "worse", "ts": "never", "account_id": "loner4", "kind": "chat", "refused": False,
         "harm_score": 0.0},
    ]  # fmt: skip
    tables["relations"] += [
        {"src_account_id": "loner3", "dst_account_id": "loner5", "kind": "follow", "ts": "2026-02-01T00:00:00Z",
         "count": 1, "amount": None},
        {"src_account_id": "loner5", "dst_account_id": "loner6", "kind": "follow", "ts": "2026-02-01T00:00:00Z",
         "count": 1, "amount": None},
    ]  # fmt: skip
    return tables


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("forget")
    workspace = pipeline.create_workspace(folder / "workspace", make_config())
    pipeline.ingest_drop(workspace, [write_drop(folder / "drop", _tables())])
    pipeline.run_detection(workspace, seed=1)
    return workspace.root


@pytest.fixture
def workspace(made: Path, tmp_path: Path) -> Workspace:
    shutil.copytree(made, tmp_path / "workspace")
    return Workspace.open(tmp_path / "workspace")


def _originals(workspace: Workspace) -> set[str]:
    return {
        str(value)
        for batch in workspace.current().batches
        if (workspace.log_dir / batch / "vault.bin").is_file()
        for _, rows in read_vault(workspace, batch)
        for value in rows["value"].to_pylist()
    }


def _named(workspace: Workspace, name: str) -> list[str]:
    """Every file of a workspace that has the name in it, Parquet unpacked, but the audit log."""
    found, whole = [], re.compile(rf"(?<!\w){re.escape(name)}(?!\w)".encode())
    for path in workspace.root.rglob("*"):
        if not path.is_file() or path.name == "audit.log":
            continue
        data = path.read_bytes()
        if path.suffix == ".parquet":
            data = pd.read_parquet(path).astype(str).to_csv().encode()
        if whole.search(data):
            found.append(str(path.relative_to(workspace.root)))
    return found


def _graph(workspace: Workspace) -> str:
    with closing(pipeline.open_store(workspace)) as store:
        return graph_digest(store)


def test_an_account_is_erased_everywhere_and_nobody_else(workspace: Workspace, tmp_path: Path) -> None:
    (workspace.models_dir / "m1").mkdir(parents=True)
    labelled = pd.DataFrame({"account_id": ["loner3", "loner4"]})
    labelled.to_parquet(workspace.models_dir / "m1" / "labelled.parquet", index=False)
    workspace.commit(workspace.current().with_(models=("m1",)))
    assert any(name.startswith("models/") for name in _named(workspace, "loner3"))
    before = _originals(workspace)
    own = {"198.51.100.7", "198.51.100.9", "a secret that nobody else ever wrote down anywhere at all"}
    assert own - {"198.51.100.9"} <= before
    done = pipeline.forget(workspace, ["loner3"], reason="request 12")
    assert done.accounts == ("loner3",)
    assert done.rows == {"accounts": 1, "events": 7, "relations": 1, "quarantine": 1}
    assert _named(workspace, "loner3") == []
    after = _originals(workspace)
    assert len(before) - len(after) == done.originals > 5
    assert not after & own
    assert not [value for value in after if "loner3" in value or "own-target" in value]
    # The same as if it had never been there: what others share stays, in the vault as well.
    tables = {name: [row for row in rows if "loner3" not in row.values()] for name, rows in _tables().items()}
    other = pipeline.create_workspace(tmp_path / "other", make_config(), keys_from=workspace.root)
    pipeline.ingest_drop(other, [write_drop(tmp_path / "drop", tables)])
    assert _graph(workspace) == _graph(other)
    assert _originals(other) == after
    pipeline.run_detection(workspace, seed=1)
    assert "loner3" not in set(pipeline.load_scores(workspace)["account_id"])


def test_the_audit_log_keeps_that_it_was_done_and_names_nobody(workspace: Workspace) -> None:
    pipeline.forget(workspace, ["loner3"], reason="request 12")
    first, last = audit.read(workspace.audit_path)[-2:]
    assert (first["action"], last["action"]) == ("forget", "forgotten")
    assert last["accounts"] == [forgotten_as(workspace, "loner3")]
    assert (last["reason"], last["rows"]["events"]) == ("request 12", 7)
    assert "loner3" not in workspace.audit_path.read_text()
    audit.verify(workspace.audit_path)


def test_what_is_in_no_log_cannot_be_erased(workspace: Workspace) -> None:
    before = workspace.current()
    with pytest.raises(UsageError, match="nothing of 1 of the accounts"):
        pipeline.forget(workspace, ["nobody"], reason="x")
    with pytest.raises(UsageError, match="needs a reason"):
        pipeline.forget(workspace, ["loner3"], reason=" ")
    with pytest.raises(UsageError, match="Say what"):
        pipeline.forget(workspace, reason="x")
    assert workspace.current() == before
    assert not workspace.audit_path.exists() or "forget" not in workspace.audit_path.read_text()


def _refused_rows(workspace: Workspace, tmp_path: Path) -> list[dict[str, Any]]:
    output = tmp_path / "refused.jsonl"
    ingest.export_quarantine(workspace, workspace.current(), output, reason="test")
    return [json.loads(line)["row"] for line in output.read_text().splitlines()]


@pytest.fixture
def refused(tmp_path: Path) -> Workspace:
    """A workspace whose quarantine names accounts as each format writes them, and some that the log has not."""
    drop = tmp_path / "refused"
    drop.mkdir()
    bad = {"country": "XX", "email": "victim@example.com"}
    pd.DataFrame([{"account_id": 5.0, **bad}, {"account_id": 6.0}]).to_parquet(drop / "accounts.parquet")
    lines = [{"account_id": 7, **bad}, {"account_id": True, **bad}, {"account_id": 12345678901234567890, **bad}]
    (drop / "accounts-2.jsonl").write_text(
        "".join(json.dumps(line) + "\n" for line in lines) + '{"account_id": "zo\\u00eb"'
    )
    (drop / "links.csv").write_text(
        "account_id,entity_type,entity_id,ts\nghost,purse,x,2020-01-01\nsprite,purse,x,\n5,ip,81.2.3.4,\n"
    )
    workspace = pipeline.create_workspace(tmp_path / "workspace", make_config())
    pipeline.ingest_drop(workspace, [drop])
    return workspace


@pytest.mark.parametrize("name", ["5", "7", "true", "12345678901234567890", "zoë", "ghost"])
def test_an_account_is_found_in_quarantine_as_the_log_would_call_it(
    refused: Workspace, tmp_path: Path, name: str
) -> None:
    before = len(_refused_rows(refused, tmp_path))
    done = pipeline.forget(refused, [name], reason="x")
    assert (done.accounts, done.rows["quarantine"]) == ((name,), 1)
    assert len(_refused_rows(refused, tmp_path)) == before - 1


def test_a_name_that_is_like_another_is_not_it(refused: Workspace) -> None:
    for name in ("ghos", "ghost2", "12345678901234567891", "5.1"):
        with pytest.raises(UsageError, match="nothing of 1 of the accounts"):
            pipeline.forget(refused, ["ghost", name], reason="x")


def test_a_refused_row_without_a_time_is_as_old_as_its_batch(refused: Workspace, tmp_path: Path) -> None:
    pipeline.forget(refused, before=now() - timedelta(days=1), reason="x")
    left = _refused_rows(refused, tmp_path)
    assert not [row for row in left if row.get("ts") == "2020-01-01"]
    assert len(left) == 6
    pipeline.rotate(refused, reason="x")
    pipeline.forget(refused, before=now() + timedelta(days=1), reason="x")
    assert _refused_rows(refused, tmp_path) == []


def test_what_is_too_old_goes_and_accounts_of_which_nothing_is_left(workspace: Workspace) -> None:
    moment = datetime.fromisoformat("2026-02-14T00:00:00+00:00")
    done = pipeline.forget(workspace, before=moment, reason="kept for half a year")
    log = {}
    with duckdb.connect() as con:
        ingest.EventLog(workspace, workspace.current()).attach(con)
        for table in ("events", "accounts", "relations"):
            log[table] = con.execute(f"FROM {table}").df()
    assert log["events"]["ts"].min() >= moment
    assert len(log["events"])
    assert not set(done.accounts) & set(log["accounts"]["account_id"])
    assert set(log["events"]["account_id"]) <= set(log["accounts"]["account_id"])
    assert done.accounts
    for account in done.accounts:
        assert _named(workspace, account) == [], account
    assert done.rows["events"] + len(log["events"]) == len(_tables()["events"]) - 2


def test_once_more_has_no_effect_and_the_graph_is_that_of_the_log(workspace: Workspace) -> None:
    pipeline.forget(workspace, ["loner3"], reason="x")
    one = _graph(workspace)
    pipeline.rebuild(workspace)
    assert _graph(workspace) == one
    again = pipeline.forget(workspace, ["loner4"], reason="x")
    assert again.rows["events"] == 6


def test_who_reads_the_log_goes_on_with_it_while_keys_rotate(workspace: Workspace) -> None:
    (batch,) = workspace.current().batches
    with pipeline.rehearse(workspace) as seen:
        spilled = workspace.staging_dir / "spill-0"
        spilled.mkdir()
        events = seen.con.execute("SELECT * FROM events ORDER BY event_key").fetchall()
        pipeline.rotate(workspace, reason="yearly")
        assert seen.con.execute("SELECT * FROM events ORDER BY event_key").fetchall() == events != []
        assert spilled.is_dir()
    assert (workspace.log_dir / batch).is_dir()
    with workspace.writer():
        assert [path.name for path in workspace.log_dir.iterdir()] == [*workspace.current().batches] != [batch]
        assert not spilled.exists()


def test_an_erasure_says_so_where_somebody_still_reads_what_was_erased(workspace: Workspace) -> None:
    before = workspace.current().batches
    with workspace.reading(), pytest.raises(BusyError, match="still reads the files of before"):
        pipeline.forget(workspace, ["loner3"], reason="x", wait=0.0)
    assert workspace.current().batches != before
    assert _named(workspace, "loner3") != []
    pipeline.run_detection(workspace, seed=1)
    assert _named(workspace, "loner3") == []


def test_a_rotation_that_was_cut_off_after_its_commit_is_ended_by_the_next_writer(
    workspace: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as cut:
        cut.setattr(runs, "rename_tokens", _stop)
        with pytest.raises(KeyboardInterrupt):
            pipeline.rotate(workspace, reason="yearly")
    assert [check.state for check in pipeline.examine(workspace) if check.name == "log"] == ["warning", "ok"]
    assert pipeline.rotate(workspace, reason="again") == "tokens-3"
    with closing(pipeline.open_store(workspace)) as store:
        tokens = {token for label in ("Ip", "Device", "Email") for token in store.nodes(label)["token"].to_pylist()}
    entities = pipeline.load_run(workspace).entities
    kept = set(entities.loc[entities["type"].isin(["ip", "device", "email"]), "token"])
    assert kept
    assert kept <= tokens
    assert [path.name for path in (workspace.root / "keys").glob("tokens-*")] == ["tokens-3.key"]
    assert list(workspace.staging_dir.iterdir()) == []
    assert [check.state for check in pipeline.examine(workspace) if check.name == "log"] == ["ok"]


def _stop(*_: object, **__: object) -> None:
    raise KeyboardInterrupt


@pytest.mark.parametrize("said", [False, True])
def test_an_erasure_that_was_cut_off_after_its_commit_is_ended_by_the_next_writer(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, said: bool
) -> None:
    """Before its line of the audit log, and after it. Verdicts of before must not come back."""
    office = make_office(tmp_path)
    workspace, people = office.workspace, office.people
    account = office.cluster().members["account_id"].iloc[0]
    case = open_cases(workspace, people["ann"], [office.clusters[0]]).cases[0].case_id
    propose(workspace, people["ann"], [case], action=Action.SUSPEND, reason="x")
    decide(workspace, people["bob"], [case], Decision.APPROVE, reason="x")
    publish_verdicts(workspace)
    with monkeypatch.context() as cut:
        if said:
            say = writing._say_forgotten

            def say_and_stop(*given: Any) -> None:
                say(*given)
                _stop()

            cut.setattr(writing, "_say_forgotten", say_and_stop)
        else:
            cut.setattr(writing, "_say_forgotten", _stop)
        with pytest.raises(KeyboardInterrupt):
            pipeline.forget(workspace, [account], reason="x")
    assert publish_verdicts(workspace) == 0
    assert _named(workspace, account) == []
    actions = [entry["action"] for entry in audit.read(workspace.audit_path)]
    assert [action for action in actions if action.startswith("forg")] == ["forget", "forgotten"]


def test_verdicts_of_whom_is_erased_do_not_come_back_and_their_cluster_is_detected_anew(tmp_path: Path) -> None:
    office = make_office(tmp_path)
    workspace, people = office.workspace, office.people
    cluster = office.clusters[0]
    account = office.cluster().members["account_id"].iloc[0]
    case = open_cases(workspace, people["ann"], [cluster]).cases[0].case_id
    propose(workspace, people["ann"], [case], action=Action.SUSPEND, reason="x")
    decide(workspace, people["bob"], [case], Decision.APPROVE, reason="x")
    publish_verdicts(workspace)
    pipeline.forget(workspace, [account], reason="x")
    assert publish_verdicts(workspace) == 0
    assert _named(workspace, account) == []
    with pytest.raises(RingwatchError, match="holds another"):
        current_cluster(workspace, cluster)
    pipeline.run_detection(workspace, seed=1)
    assert account not in set(pipeline.load_run(workspace).members["account_id"])
