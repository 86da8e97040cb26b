"""Originals come back for a reason on record, from files that hold nothing readable and betray any change."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from drops import MARKS, make_tables

from ringwatch import audit
from ringwatch.errors import RingwatchError, UsageError
from ringwatch.ingest import export_quarantine, list_quarantine, reveal
from ringwatch.ingest.sealed import SealedReader, SealedWriter

CARD = "4111111111111111"


def _tokens(ingester: Any, workspace: Any, entity_type: str) -> list[str]:
    return [row["token"] for row in ingester.rows(workspace, "tokens") if row["entity_type"] == entity_type]


def test_every_original_comes_back_by_its_token(ingester: Any) -> None:
    workspace = ingester.workspace()
    tables = make_tables(3, loners=10)
    ingester.ingest(workspace, ingester.drop(tables))
    current = workspace.current()
    devices = {row["device_id"] for row in tables["events"]}
    found = [reveal(workspace, current, token, reason="test") for token in _tokens(ingester, workspace, "device")]
    assert {one.value for values in found for one in values} == devices
    assert all(len(values) == 1 and values[0].kind == "device" for values in found)
    [noted] = [row for row in tables["entities"] if row["note"]]
    notes = {
        one.value
        for token in _tokens(ingester, workspace, "ip")
        for one in reveal(workspace, current, token, reason="test")
        if one.kind == "entity-note"
    }
    assert notes == {noted["note"]}
    report = audit.verify(workspace.audit_path)
    assert report.lines == len(found) + len(_tokens(ingester, workspace, "ip"))


def test_exemplars_and_arguments_come_back_by_their_hashes(ingester: Any, event: Any) -> None:
    rows = [
        event(1, prompt="How do I… ?", tool="t", tool_args='{"a": "target"}'),
        event(2, prompt="how do I", tool=None),
    ]
    rows[1]["tool_args"] = None
    workspace = ingester.workspace()
    ingester.ingest(workspace, ingester.file("events.csv", rows))
    first = ingester.rows(workspace, "events")
    [prompt] = {row["prompt"] for row in first}
    [args] = {row["tool_args"] for row in first if row["tool_args"]}
    for kind, code, text in (("prompt", prompt, rows[0]["prompt"]), ("args", args, rows[0]["tool_args"])):
        token = f"{kind}_{code & (2**64 - 1):016x}"
        assert [one.value for one in reveal(workspace, workspace.current(), token, reason="test")] == [text]
    bare = ingester.workspace(keys_from=workspace, prompt_exemplars=False)
    ingester.ingest(bare, ingester.file("events.csv", rows))
    with pytest.raises(UsageError):
        reveal(bare, bare.current(), f"prompt_{prompt & (2**64 - 1):016x}", reason="test")


def test_several_ways_of_writing_one_value_are_all_kept(ingester: Any) -> None:
    workspace = ingester.workspace()
    names = ["a.b@gmail.com", "ab+1@gmail.com", "AB@googlemail.com"]
    rows = [{"account_id": str(n), "email": name} for n, name in enumerate(names)]
    for part in (rows[:2], rows[2:]):
        ingester.ingest(workspace, ingester.file("accounts.csv", part))
    [token] = _tokens(ingester, workspace, "email")
    values = [one.value for one in reveal(workspace, workspace.current(), token, reason="test")]
    assert values == sorted(names)


def test_a_reveal_without_reason_or_of_nothing_is_refused(ingester: Any) -> None:
    workspace = ingester.workspace()
    ingester.ingest(workspace, ingester.file("accounts.csv", [{"account_id": "a", "email": "a@b.example"}]))
    [token] = _tokens(ingester, workspace, "email")
    with pytest.raises(UsageError, match="needs a reason"):
        reveal(workspace, workspace.current(), token, reason=" ")
    assert not workspace.audit_path.exists()
    with pytest.raises(UsageError, match="does not know"):
        reveal(workspace, workspace.current(), "email_" + "0" * 32, reason="test")
    with pytest.raises(UsageError) as caught:
        reveal(workspace, workspace.current(), "a@b.example", reason="test")
    assert "a@b.example" not in str(caught.value) + workspace.audit_path.read_text()
    assert audit.verify(workspace.audit_path).lines == 2


@pytest.mark.parametrize("where", [0, 10, 40, -1, -5, -30])
def test_a_vault_that_was_touched_says_so(ingester: Any, where: int) -> None:
    workspace = ingester.workspace()
    ingester.ingest(workspace, ingester.file("accounts.csv", [{"account_id": "a", "email": "a@b.example"}]))
    [token] = _tokens(ingester, workspace, "email")
    path = workspace.log_dir / "batch-1" / "vault.bin"
    good = path.read_bytes()
    broken = bytearray(good)
    broken[where] ^= 1
    for data in (bytes(broken), good[:-3], good[: len(good) // 2], b""):
        path.write_bytes(data)
        with pytest.raises(RingwatchError, match=r"vault\.bin is damaged") as caught:
            reveal(workspace, workspace.current(), token, reason="test")
        assert caught.value.hint
    path.write_bytes(good)
    workspace.new_secret("vault")
    with pytest.raises(RingwatchError, match="damaged, or was sealed under another key"):
        reveal(workspace, workspace.current(), token, reason="test")


def test_chunks_are_read_alone_and_cannot_be_swapped(ingester: Any, tmp_path: Path) -> None:
    workspace = ingester.workspace()
    path = tmp_path / "sealed"
    with SealedWriter(workspace, path, "test") as writer:
        for number in range(5):
            writer.add(bytes([number]) * 1000, name=f"n{number}")
    reader = SealedReader(workspace, path, "test")
    assert [entry["name"] for entry in reader.entries] == [f"n{number}" for number in range(5)]
    assert reader.read(reader.entries[3]) == b"\x03" * 1000
    one, two = reader.entries[1], reader.entries[2]
    assert one["length"] == two["length"]
    data = bytearray(path.read_bytes())
    for entry, other in ((one, two), (two, one)):
        data[entry["offset"] :][: entry["length"]] = data[other["offset"] :][: other["length"]]
    swapped = path.read_bytes()
    first = swapped[one["offset"] : one["offset"] + one["length"]]
    second = swapped[two["offset"] : two["offset"] + two["length"]]
    path.write_bytes(
        swapped.replace(first, b"?" * len(first)).replace(second, first).replace(b"?" * len(first), second)
    )
    assert reader.read(reader.entries[0]) == b"\x00" * 1000
    with pytest.raises(RingwatchError, match="damaged"):
        reader.read(one)
    with pytest.raises(RingwatchError, match="damaged"):
        SealedReader(workspace, path, "other purpose")


# -- quarantine -------------------------------------------------------------------------------------------


def test_the_quarantine_is_corrected_and_ingested_again(ingester: Any, event: Any) -> None:
    workspace = ingester.workspace()
    rows = [event(1, ip="81.2.3.4"), event(2, ip="81.2.3.5", ts="never"), event(3, ip="nowhere")]
    tables = {"events": rows, "labels": [{"account_id": "a", "label": "odd", "labelled_at": "2026-03-01"}]}
    ingester.ingest(workspace, ingester.drop(tables, "jsonl"))
    ingester.ingest(workspace, ingester.drop({"events": [event(4)]}))
    [batch] = list_quarantine(workspace, workspace.current())
    assert (batch.batch_id, batch.rows) == ("batch-1", 3)
    assert batch.reasons == {"bad_ip": 1, "bad_time": 1, "unknown_label": 1}

    output = ingester.folder / "corrected"
    done = export_quarantine(workspace, workspace.current(), output, reason="to correct them", batch="batch-1")
    assert (done.rows, [path.name for path in done.files]) == (
        3,
        ["events-quarantine.jsonl", "labels-quarantine.jsonl"],
    )
    assert "to correct them" in workspace.audit_path.read_text()
    for path in done.files:
        text = path.read_text().replace("never", "2026-03-01T10:00:00Z").replace("nowhere", "81.2.3.6")
        path.write_text(text.replace("odd", "benign"))
    report = ingester.ingest(workspace, output)
    assert (report.stored, report.violations) == (3, {})
    whole = ingester.workspace(keys_from=workspace)
    good = [event(1, ip="81.2.3.4"), event(2, ip="81.2.3.5"), event(3, ip="81.2.3.6"), event(4, ip=None)]
    ingester.ingest(whole, ingester.drop({"events": good, "labels": [{**tables["labels"][0], "label": "benign"}]}))
    assert ingester.log(whole) == ingester.log(workspace)


def test_an_export_is_refused_without_reason_place_or_batch(ingester: Any, event: Any) -> None:
    workspace = ingester.workspace()
    ingester.ingest(workspace, ingester.file("events.csv", [event(1, ts="never")]))
    current = workspace.current()
    (ingester.folder / "full").mkdir()
    (ingester.folder / "full" / "x").write_text("x")
    for output, reason, batch in (
        ("new", " ", None), ("full", "r", None), ("full/x", "r", None), ("new", "r", "batch-9"),
    ):  # fmt: skip
        with pytest.raises(UsageError):
            export_quarantine(workspace, current, ingester.folder / output, reason=reason, batch=batch)
    assert not workspace.audit_path.exists()
    (workspace.log_dir / "batch-1" / "quarantine.bin").write_bytes(b"x" * 100)
    with pytest.raises(RingwatchError, match=r"quarantine\.bin is damaged"):
        list_quarantine(workspace, current)


@pytest.mark.parametrize("form", ["csv", "jsonl", "parquet"])
def test_a_card_is_in_no_file_not_even_an_encrypted_one(ingester: Any, event: Any, form: str) -> None:
    rows = [
        event(
            1, payment_id=CARD, prompt=f"my card {CARD}", tool_args=json.dumps({"n": 4111_1111_1111_1111}), note=CARD
        ),
        event(2, payment_id="4111-1111-1111-1111", prompt=None, tool_args=None, note=None),
    ]
    workspace = ingester.workspace()
    report = ingester.ingest(workspace, ingester.file(f"events.{form}", rows))
    assert report.violations == {"pan_refused": 2}
    output = ingester.folder / "all.jsonl"
    export_quarantine(workspace, workspace.current(), output, reason="test")
    text = output.read_text()
    assert text.count('"event_id"') == 2
    assert CARD not in text
    assert "1111-1111" not in text


def test_a_row_that_cannot_be_taken_apart_keeps_no_card_either(ingester: Any) -> None:
    text = f"event_id,ts,account_id,kind\ne1,2026-03-01,a,payment,{CARD},rest\n"
    workspace = ingester.workspace()
    ingester.ingest(workspace, ingester.file("events.csv", text))
    output = ingester.folder / "all.jsonl"
    export_quarantine(workspace, workspace.current(), output, reason="test")
    assert CARD not in output.read_text()
    assert "rest" in output.read_text()


@pytest.mark.parametrize("name", ["all.jsonl", "drop"])
def test_an_export_that_cannot_be_written_is_the_callers_mistake(ingester: Any, event: Any, name: str) -> None:
    workspace = ingester.workspace()
    path = ingester.file("events.csv", [event(1, ts="never")])
    ingester.ingest(workspace, path)
    with pytest.raises(UsageError, match="cannot be written"):
        export_quarantine(workspace, workspace.current(), path / name, reason="test")


def test_marks_are_in_no_file_of_a_batch(ingester: Any) -> None:
    workspace = ingester.workspace()
    tables = make_tables(3, loners=10)
    tables["events"][0] |= {"ts": "never"}
    ingester.ingest(workspace, ingester.drop(tables))
    files = [path for path in workspace.root.rglob("*") if path.is_file()]
    assert any(path.name == "quarantine.bin" for path in files)
    for path in files:
        assert not [mark for mark in MARKS if mark.encode() in path.read_bytes()], path
