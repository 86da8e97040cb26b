"""What is the same row, which of two stands, and that order, split and format of a drop leave no trace."""

from __future__ import annotations

import itertools
import random
from collections.abc import Callable
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from drops import encode, make_tables
from hypothesis import given, settings
from hypothesis import strategies as st

from ringwatch.errors import DataError
from ringwatch.ingest import batch, dedupe, export_quarantine, vault

Event = Callable[..., dict[str, Any]]


def _account_of(ingester: Any, workspace: Any) -> list[str]:
    return [row["account_id"] for row in ingester.rows(workspace, "events")]


@pytest.mark.parametrize("order", list(itertools.permutations(range(3))))
def test_within_a_batch_the_earliest_of_conflicting_events_stands(
    ingester: Any, event: Event, order: tuple[int, ...]
) -> None:
    rows = [
        event(1, ts="2026-03-02", account_id="late"),
        event(1, ts="2026-03-01", account_id="early"),
        event(1, ts="2026-03-01T01:00:00+01:00", account_id="early"),
    ]
    workspace = ingester.workspace()
    report = ingester.ingest(workspace, ingester.file("events.csv", [rows[place] for place in order]))
    assert (report.stored, report.duplicates, report.quarantined) == (1, 1, 1)
    assert report.violations == {"event_conflict": 1}
    assert _account_of(ingester, workspace) == ["early"]


def test_conflicts_of_one_time_are_decided_by_content_not_by_order(ingester: Any, event: Event) -> None:
    rows = [event(1, account_id=name) for name in "abcdef"]
    first = ingester.workspace()
    stand = set()
    for seed in range(4):
        workspace = ingester.workspace(keys_from=first)
        report = ingester.ingest(workspace, ingester.file("events.csv", random.Random(seed).sample(rows, 6)))
        assert (report.stored, report.quarantined) == (1, 5)
        stand.add(_account_of(ingester, workspace)[0])
    assert len(stand) == 1


def test_across_batches_the_event_that_was_first_stands(ingester: Any, event: Event) -> None:
    workspace = ingester.workspace()
    ingester.ingest(workspace, ingester.file("events.csv", [event(1, ts="2026-03-02"), event(2)]))
    later = [event(1, ts="2026-03-01"), event(1, ts="2026-03-02"), event(3), event(1, ts="2026-03-01")]
    report = ingester.ingest(workspace, ingester.file("events.jsonl", later))
    assert (report.stored, report.duplicates, report.quarantined) == (1, 1, 2)
    assert len(ingester.rows(workspace, "events")) == 3
    output = ingester.folder / "conflicts.jsonl"
    assert export_quarantine(workspace, workspace.current(), output, reason="test").rows == 2
    assert output.read_text().count("2026-03-01") == 2


@pytest.mark.parametrize("form", ["csv", "jsonl", "parquet", "csv.gz"])
def test_rows_in_conflict_are_found_again_in_every_format(ingester: Any, event: Event, form: str) -> None:
    rows = [event(n, prompt=f"words {n}") for n in range(50)] + [event(7, prompt="others", ts="2026-05-01")]
    workspace = ingester.workspace()
    ingester.ingest(workspace, ingester.file(f"events.{form}", rows))
    output = ingester.folder / "conflicts.jsonl"
    export_quarantine(workspace, workspace.current(), output, reason="test")
    assert '"prompt": "others"' in output.read_text()
    assert len(ingester.rows(workspace, "prompts")) == 50


def test_a_file_that_changes_under_the_reader_is_refused(
    ingester: Any, event: Event, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = ingester.file("events.csv", [event(1), event(1, ts="2026-04-01")])

    def changed(*args: Any) -> Any:
        path.write_bytes(encode([event(1)], "csv"))
        return dedupe.settle(*args)

    monkeypatch.setattr(batch, "settle", changed)
    with pytest.raises(DataError, match="changed while it was being read"):
        ingester.ingest(ingester.workspace(), path)


@pytest.mark.parametrize("writer", [(dedupe.Parts, "add"), (vault.VaultWriter, "keep")])
def test_a_batch_whose_last_write_in_the_background_fails_is_not_there(
    ingester: Any, event: Event, monkeypatch: pytest.MonkeyPatch, writer: tuple[type, str]
) -> None:
    workspace, path = (
        ingester.workspace(),
        ingester.file("events.csv", [event(1, ip="81.2.3.4", prompt="words of a prompt")]),
    )
    whole = getattr(*writer)
    calls: list[Any] = []

    def count(*args: Any) -> None:
        calls.append(args)
        whole(*args)

    monkeypatch.setattr(*writer, count)
    ingester.ingest(ingester.workspace(), path)
    left = iter(calls[1:])

    def full(*args: Any) -> None:
        if next(left, None) is None:
            raise OSError("the disk is full")
        whole(*args)

    monkeypatch.setattr(*writer, full)
    with pytest.raises(OSError, match="full"):
        ingester.ingest(workspace, path)
    monkeypatch.setattr(*writer, whole)
    assert ingester.ingest(workspace, path).stored == 1


def test_the_other_tables_are_identified_by_all_their_columns(ingester: Any) -> None:
    link = {"account_id": "a", "entity_type": "ip", "entity_id": "81.2.3.4", "ts": "2026-03-01", "count": 1}
    relation = {
        "src_account_id": "a",
        "dst_account_id": "b",
        "kind": "transfer",
        "ts": None,
        "count": 2,
        "amount": 0.9,
    }
    entity = {"entity_type": "ip", "entity_id": "81.2.3.4", "kind": "vpn", "note": "n"}
    label = {"account_id": "a", "label": "benign", "labelled_at": "2026-03-01", "group_id": None, "reviewer": "r"}
    account = {"account_id": "a", "email": "a@b.example", "x_v": 0.9, "updated_at": "2026-03-01"}
    same: dict[str, list[dict[str, Any]]] = {
        "links": [
            link,
            {**link, "ts": "2026-03-01T02:00:00+02:00", "count": None},
            {**link, "entity_id": "::ffff:81.2.3.4"},
        ],
        "relations": [relation, {**relation, "amount": "0.90"}],
        "entities": [entity, {**entity, "entity_id": " 81.2.3.4 "}],
        "labels": [label, dict(label)],
        "accounts": [account, {**account, "email": "A@B.example", "x_v": "0.90"}],
    }
    other = {
        "links": {**link, "count": 2}, "relations": {**relation, "amount": 1}, "entities": {**entity, "note": "m"},
        "labels": {**label, "reviewer": "s"}, "accounts": {**account, "x_v": 1},
    }  # fmt: skip
    workspace = ingester.workspace()
    tables = {table: [*rows, other[table]] for table, rows in same.items()}
    report = ingester.ingest(workspace, ingester.drop(tables))
    for table, rows in same.items():
        counts = report.tables[table]
        assert (counts["stored"], counts["duplicates"]) == (2, len(rows) - 1), table
    again = ingester.ingest(workspace, ingester.drop(tables, "jsonl"))
    assert (again.stored, again.duplicates) == (0, again.read)


def test_the_latest_row_of_an_account_stands_and_the_others_are_stored(ingester: Any) -> None:
    rows = [
        {"account_id": "a", "plan": "old", "updated_at": "2026-03-01"},
        {"account_id": "a", "plan": "new", "updated_at": "2026-03-03"},
        {"account_id": "a", "plan": "none", "updated_at": None},
        {"account_id": "b", "plan": "one", "updated_at": "2026-03-01"},
        {"account_id": "b", "plan": "two", "updated_at": "2026-03-01"},
    ]
    first = ingester.workspace()
    plans = set()
    for seed in range(4):
        workspace = ingester.workspace(keys_from=first)
        shuffled = random.Random(seed).sample(rows, 5)
        for part in (shuffled[:2], shuffled[2:]):
            report = ingester.ingest(workspace, ingester.file("accounts.csv", part))
            assert report.stored == report.read
        plans.add(tuple(row["plan"] for row in ingester.rows(workspace, "accounts")))
    assert len(plans) == 1
    assert plans.pop()[0] == "new"


def test_a_drop_once_more_has_no_effect(ingester: Any) -> None:
    workspace = ingester.workspace()
    tables = make_tables(5, loners=10)
    ingester.ingest(workspace, ingester.drop(tables))
    before = ingester.log(workspace)
    for form in ("csv", "parquet"):
        report = ingester.ingest(workspace, ingester.drop(tables, form))
        assert (report.stored, report.duplicates) == (0, report.read)
    assert ingester.log(workspace) == before
    assert sorted(path.name for path in (workspace.log_dir / "batch-3").iterdir()) == ["report.json"]


@settings(max_examples=8, deadline=None)
@given(st.integers(0, 2**32), st.integers(1, 3), st.sampled_from(["csv", "jsonl.zst", "parquet"]))
def test_order_split_and_format_leave_no_trace(
    tmp_path_factory: pytest.TempPathFactory, ingester_at: Any, seed: int, batches: int, form: str
) -> None:
    ingester = ingester_at(tmp_path_factory.mktemp("split"))
    tables = make_tables(3, loners=8)
    tables["events"][0] |= {"session_id": "s1", "user_agent": "curl/8", "amount": 0.9, "tokens": 3}
    for row in tables["events"][1:]:
        row |= {"session_id": None, "user_agent": None, "amount": None, "tokens": None}
    first = ingester.workspace()
    ingester.ingest(first, ingester.drop(tables))
    twin = ingester.workspace(keys_from=first)
    random_ = random.Random(seed)
    parts: list[dict[str, list[Any]]] = [{} for _ in range(batches)]
    for table, rows in tables.items():
        for row in random_.sample(rows, len(rows)):
            parts[random_.randrange(batches)].setdefault(table, []).append(row)
    for part in parts:
        if part:
            assert ingester.ingest(twin, ingester.drop(part, form)).violations == {}
    assert ingester.log(twin) == ingester.log(first)


def test_a_value_may_be_written_in_many_ways(ingester: Any, event: Event) -> None:
    """The same event as CSV and as JSON would write it: a duplicate, not a conflict."""
    csv = (
        "event_id,ts,account_id,kind,refused,harm_score,amount,tokens,prompt,tool_args,model\n"
        'e1,2026-03-01T10:00:00Z,a,chat,True,0.90,10.50,3,,"{""b"": 1, ""a"": [true]}",\n'
    )
    row = event(
        1, ts="2026-03-01T12:00:00+02:00", refused=True, harm_score=0.9, amount=10.5, tokens=3, prompt="",
        tool_args={"a": [True], "b": 1},
    )  # fmt: skip
    workspace = ingester.workspace()
    ingester.ingest(workspace, ingester.file("events.csv", csv))
    assert ingester.ingest(workspace, ingester.file("events.jsonl", [row])).duplicates == 1
    whole = {**row, "tool_args": '{"a":[true],"b":1}', "model": None, "ip": None}
    assert ingester.ingest(workspace, ingester.file("events.parquet", [whole])).duplicates == 1


def test_a_time_is_cut_off_below_microseconds_however_it_is_given(ingester: Any, event: Event) -> None:
    nanoseconds = pa.array([1772359200123456999, -1500], pa.int64())
    workspace = ingester.workspace()
    for kind in (pa.timestamp("ns"), pa.timestamp("ns", tz="UTC")):
        fields = {"event_id": ["e1", "e2"], "account_id": ["a", "a"], "kind": ["chat", "chat"]}
        path = ingester.file("events.parquet", b"")
        pq.write_table(pa.table(fields).append_column("ts", nanoseconds.view(kind)), path)
        ingester.ingest(workspace, path)
    times = ("2026-03-01T10:00:00.123456999z", "1969-12-31T23:59:59.9999985Z")
    text = ingester.file("events.csv", [event(number, ts=ts) for number, ts in enumerate(times, 1)])
    assert ingester.ingest(workspace, text).duplicates == 2
    stored = sorted(row["ts"] for row in ingester.rows(workspace, "events"))
    assert stored == ["1969-12-31 23:59:59.999998+00", "2026-03-01 10:00:00.123456+00"]
