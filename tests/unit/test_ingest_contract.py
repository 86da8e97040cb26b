"""Every way of breaking the contract has a reason of its own, and every mode does with it what it says."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest

from ringwatch.ingest import FrozenError, export_quarantine

Event = Callable[..., dict[str, Any]]

CARD = "4111 1111 1111 1111"

#: Table, columns beside the good ones, reason, and whether the mode discard-value keeps the row.
VIOLATIONS: list[tuple[str, dict[str, Any], str, bool]] = [
    ("events", {"event_id": None}, "missing_event_id", False),
    ("events", {"ts": None}, "missing_ts", False),
    ("events", {"account_id": ""}, "missing_account_id", False),
    ("events", {"kind": None}, "missing_kind", False),
    ("events", {"kind": "chatter"}, "unknown_kind", False),
    ("events", {"ts": "yesterday"}, "bad_time", False),
    ("events", {"ts": "2026-02-30T00:00:00Z"}, "bad_time", False),
    ("events", {"ts": "1772359200"}, "time_without_unit", False),
    ("events", {"ts": "2300-01-01"}, "bad_time", False),
    ("events", {"account_id": "a\x07b"}, "control_character", False),
    ("events", {"account_id": "a" * 513}, "identifier_too_long", False),
    ("events", {"model": "m\x1f"}, "control_character", True),
    ("events", {"session_id": "s" * 513}, "identifier_too_long", True),
    ("events", {"ip": "300.1.2.3"}, "bad_ip", True),
    ("events", {"ip": "81.2.3.04"}, "bad_ip", True),
    ("events", {"device_id": "d\x01"}, "control_character", True),
    ("events", {"device_id": " "}, "empty_identifier", True),
    ("events", {"payment_id": "4111111111111111"}, "pan_refused", False),
    ("events", {"payment_id": CARD}, "pan_refused", False),
    ("events", {"payment_id": "３７８２-822463-10005"}, "pan_refused", False),
    ("events", {"payment_id": "4111111111111111.0"}, "pan_refused", False),
    ("events", {"payment_id": "4.111111111111111e+15"}, "pan_refused", False),
    ("events", {"payment_id": '["4111 1111 1111 1111"]'}, "pan_refused", False),
    ("events", {"payment_id": '{"of": "a", "number": 4111111111111111}'}, "pan_refused", False),
    ("events", {"tool_args": "{"}, "bad_json", True),
    ("events", {"tool_args": '{"a": NaN}'}, "bad_json", True),
    ("events", {"tool_args": "[" * 40 + "]" * 40}, "json_too_deep", True),
    ("events", {"refused": "perhaps"}, "bad_bool", True),
    ("events", {"harm_score": "1.01"}, "score_out_of_range", True),
    ("events", {"harm_score": "high"}, "bad_number", True),
    ("events", {"tokens": "-1"}, "negative_count", True),
    ("events", {"tokens": "1.5"}, "bad_number", True),
    ("events", {"amount": "inf"}, "bad_number", True),
    ("events", {"x_size": "big"}, "bad_number", True),
    ("accounts", {"email": "nobody"}, "bad_email", True),
    ("accounts", {"phone": "12"}, "bad_phone", True),
    ("accounts", {"country": "XX"}, "bad_country", True),
    ("accounts", {"status": "asleep"}, "unknown_status", True),
    ("accounts", {"created_at": "20260301"}, "time_without_unit", True),
    ("links", {"entity_type": "purse"}, "unknown_entity_type", False),
    ("links", {"entity_type": "ip"}, "bad_ip", False),
    ("links", {"entity_type": "payment", "entity_id": CARD}, "pan_refused", False),
    ("links", {"count": "-2"}, "negative_count", True),
    ("relations", {"kind": "hate"}, "unknown_kind", False),
    ("relations", {"dst_account_id": None}, "missing_dst_account_id", False),
    ("entities", {"kind": "cafe"}, "unknown_kind", False),
    ("labels", {"label": "odd"}, "unknown_label", False),
    ("labels", {"labelled_at": None}, "missing_labelled_at", False),
]

GOOD: dict[str, dict[str, Any]] = {
    "events": {"event_id": "e", "ts": "2026-03-01T10:00:00Z", "account_id": "a", "kind": "chat"},
    "accounts": {"account_id": "a"},
    "links": {"account_id": "a", "entity_type": "wallet", "entity_id": "w1"},
    "relations": {"src_account_id": "a", "dst_account_id": "b", "kind": "transfer"},
    "entities": {"entity_type": "wallet", "entity_id": "w1", "kind": "exchange"},
    "labels": {"account_id": "a", "label": "benign", "labelled_at": "2026-03-01"},
}


def _rows(table: str, columns: dict[str, Any]) -> list[dict[str, Any]]:
    """A good row, and one with the columns."""
    blank = dict.fromkeys(columns)
    other = {"event_id": "other"} if table == "events" else {}
    return [{**blank, **GOOD[table]}, {**blank, **GOOD[table], **other, **columns}]


@pytest.mark.parametrize(("table", "columns", "reason", "kept"), VIOLATIONS)
def test_every_violation_by_mode(ingester: Any, table: str, columns: dict[str, Any], reason: str, kept: bool) -> None:
    # JSON holds what CSV cannot, and the other way round it makes no difference.
    path = ingester.file(f"{table}.jsonl", _rows(table, columns))
    strict, lenient, frozen = (ingester.workspace() for _ in range(3))
    report = ingester.ingest(strict, path)
    assert (report.stored, report.quarantined, report.violations) == (1, 1, {reason: 1})
    assert ingester.reasons(strict) == {reason: 1}

    report = ingester.ingest(lenient, path, mode="discard-value")
    assert report.violations == {reason: 1}
    # An account's or a link's row without its bad value is another row, or the same once more.
    assert (report.quarantined == 0) == kept
    if kept and table == "events":
        assert report.stored == 2

    with pytest.raises(FrozenError) as caught:
        ingester.ingest(frozen, path, mode="freeze")
    refused = caught.value.report
    assert (refused.read, refused.stored, refused.duplicates, refused.quarantined) == (2, 0, 0, 0)
    assert refused.violations == {reason: 1}
    assert caught.value.exit_code == 3


def test_a_bad_value_becomes_null_and_the_good_ones_stay(ingester: Any, event: Event) -> None:
    workspace = ingester.workspace()
    row = event(1, ip="nowhere", device_id="d1", tokens="7", harm_score="2", model="m")
    report = ingester.ingest(workspace, ingester.file("events.csv", [row]), mode="discard-value")
    assert report.violations == {"bad_ip": 1, "score_out_of_range": 1}
    [stored] = ingester.rows(workspace, "events")
    assert stored["ip"] is None
    assert stored["harm_score"] is None
    assert (stored["tokens"], stored["model"]) == (7, "m")
    assert stored["device"] is not None


@pytest.mark.parametrize(
    "row",
    [
        {"ip": "10.0.0.1"}, {"ip": "224.0.0.1"}, {"ip": "[2001:db8::1]"}, {"ip": "fe80::1%eth0"},
        {"tokens": "12.0"}, {"refused": "YES"}, {"amount": "-3.5"}, {"payment_id": "4111111111111112"},
        {"payment_id": "tok_4111111111111111"}, {"ts": "2026-03-01"}, {"ts": "2026-03-01T10:00:00.123456789+0530"},
        {"tool_args": '"text"'}, {"prompt": "\x00\x01 odd \n text"}, {"x_a": "1e5"},
        {"refused": "1.0"}, {"x_flag": "True"}, {"x_flag": True},
    ],
)  # fmt: skip
def test_what_is_odd_but_no_violation(ingester: Any, event: Event, row: dict[str, Any]) -> None:
    report = ingester.ingest(ingester.workspace(), ingester.file("events.jsonl", [event(1, **row)]))
    assert (report.stored, report.violations) == (1, {})


@pytest.mark.parametrize(
    ("unit", "text"), [("s", "1772359200"), ("ms", "1772359200000"), ("ns", "1772359200000000000")]
)
def test_a_bare_integer_is_a_time_where_its_unit_is_configured(
    ingester: Any, event: Event, unit: str, text: str
) -> None:
    workspace = ingester.workspace(time_unit=unit)
    ingester.ingest(workspace, ingester.file("events.csv", [event(1, ts=text), event(2, ts="2026-03-01T10:00:00Z")]))
    assert {row["ts"] for row in ingester.rows(workspace, "events")} == {"2026-03-01 10:00:00+00"}


@pytest.mark.parametrize("unit", ["s", "ms", "us", "ns"])
def test_a_number_beyond_all_time_costs_its_row_alone(ingester: Any, event: Event, unit: str) -> None:
    rows = [event(1, ts="1772359200" + {"s": "", "ms": "000", "us": "000000", "ns": "0" * 9}[unit])]
    rows += [event(2, ts="9" * 38), event(3, ts="9" * 19), event(4, ts="-" + "8" * 19), event(5, ts="9" * 400)]
    workspace = ingester.workspace(time_unit=unit)
    report = ingester.ingest(workspace, ingester.file("events.csv", rows))
    assert (report.stored, report.violations) == (1, {"bad_time": 4})


def test_declared_names_are_known_and_others_are_not(ingester: Any) -> None:
    workspace = ingester.workspace(entity_types=("wallet",), relation_kinds=("gift",), entity_kinds=("clinic",))
    tables = {
        "links": [GOOD["links"]],
        "relations": [{**GOOD["relations"], "kind": "gift"}],
        "entities": [{**GOOD["entities"], "kind": "clinic"}],
    }
    assert ingester.ingest(workspace, ingester.drop(tables)).stored == 3
    assert ingester.ingest(ingester.workspace(entity_types=()), ingester.drop(tables)).violations == {
        "unknown_entity_type": 2, "unknown_kind": 1,
    }  # fmt: skip


def test_several_faults_of_a_row_are_one_violation_and_a_card_is_the_first(ingester: Any, event: Event) -> None:
    rows = [event(1, ts="x", ip="y", tokens="-1"), event(2, ts="x", payment_id=CARD)]
    rows[1] |= {"ip": None, "tokens": None}
    rows[0]["payment_id"] = None
    report = ingester.ingest(ingester.workspace(), ingester.file("events.jsonl", rows))
    assert report.violations == {"bad_time": 1, "pan_refused": 1}
    assert report.quarantined == 2


def test_a_refused_card_is_in_no_other_column_either(ingester: Any, event: Event) -> None:
    digits, other = CARD.replace(" ", ""), "5500005555555559"
    row = event(1, account_id=digits, payment_id=CARD, session_id=other, prompt=f"it is {digits}")
    row["event_id"] = f"pay-{digits}"
    workspace = ingester.workspace()
    assert ingester.ingest(workspace, ingester.file("events.csv", [row])).violations == {"pan_refused": 1}
    output = ingester.folder / "all.jsonl"
    export_quarantine(workspace, workspace.current(), output, reason="test")
    assert digits not in output.read_text()
    assert other in output.read_text(), "an identifier of its own stays"


@pytest.mark.parametrize("grouped", ["  ", "--", " - ", "\u00a0", "\uff0d", "x"])
@pytest.mark.parametrize("form", ["csv", "jsonl", "parquet"])
def test_a_refused_card_is_not_kept_however_it_is_grouped(
    ingester: Any, event: Event, grouped: str, form: str
) -> None:
    text = f"it is {CARD.replace(' ', grouped)}, mine"
    workspace = ingester.workspace()
    row = event(1, payment_id=CARD, prompt=text)
    assert ingester.ingest(workspace, ingester.file(f"events.{form}", [row])).violations == {"pan_refused": 1}
    assert _digits_kept(ingester, workspace).count("1111") == 0


@pytest.mark.parametrize(
    ("table", "columns", "reason"),
    [
        ("links", {"entity_type": "purse", "entity_id": CARD}, "unknown_entity_type"),
        ("entities", {"entity_type": "Payment", "entity_id": float(CARD.replace(" ", ""))}, "unknown_entity_type"),
        ("accounts", {"country": "XX", "payment_id": CARD, "plan": "4111-1111"}, "bad_country"),
        ("accounts", {"country": "XX", "payment_id": int(CARD.replace(" ", "")), "n": [CARD]}, "bad_country"),
        ("links", {"entity_type": ["ip"], "entity_id": CARD}, "unknown_entity_type"),
    ],
)
def test_a_card_is_not_kept_whatever_its_row_is_refused_for(
    ingester: Any, table: str, columns: dict[str, Any], reason: str
) -> None:
    workspace = ingester.workspace()
    assert ingester.ingest(workspace, ingester.file(f"{table}.jsonl", [{**GOOD[table], **columns}])).violations == {
        reason: 1
    }
    assert "1111111111" not in _digits_kept(ingester, workspace)


def test_a_device_number_like_a_cards_is_kept(ingester: Any) -> None:
    workspace = ingester.workspace()
    row = {**GOOD["links"], "entity_type": "device", "entity_id": "490154203237518", "count": -1}
    assert ingester.ingest(workspace, ingester.file("links.csv", [row])).violations == {"negative_count": 1}
    assert "490154203237518" in _digits_kept(ingester, workspace)


def _digits_kept(ingester: Any, workspace: Any) -> str:
    """The digits of all rows in quarantine."""
    output = ingester.folder / "all.jsonl"
    export_quarantine(workspace, workspace.current(), output, reason="test")
    rows = [str(json.loads(line)["row"]) for line in output.read_text().splitlines()]
    return "".join(sign for sign in "".join(rows) if sign.isdigit())


def test_the_quarantine_knows_file_line_and_row(ingester: Any, event: Event) -> None:
    folder = ingester.file("events-7.csv", [event(1), event(2, ts="x")]).parent
    (folder / "labels.jsonl").write_text(json.dumps({**GOOD["labels"], "label": "odd", "stranger": [1]}) + "\n")
    workspace = ingester.workspace()
    ingester.ingest(workspace, folder)
    output = ingester.folder / "all.jsonl"
    assert export_quarantine(workspace, workspace.current(), output, reason="test").rows == 2
    first, second = map(json.loads, output.read_text().splitlines())
    assert first == {
        "batch_id": "batch-1", "table": "events", "file": "events-7.csv", "line": 3, "reason": "bad_time",
        "row": event(2, ts="x"),
    }  # fmt: skip
    assert second["row"] == {**GOOD["labels"], "label": "odd", "stranger": [1]}
    assert (second["file"], second["line"], second["reason"]) == ("labels.jsonl", 1, "unknown_label")


def test_the_conformance_case(ingester: Any) -> None:
    text = (
        "event_id,ts,account_id,kind,payment_id,ip\n"
        "x1,2026-01-01T00:00:00Z,a,chat,,81.2.3.4\nx1,2026-01-01T00:00:00Z,a,chat,,81.2.3.4\nx2,notatime,a,chat,,\n"
        "x3,2026-01-01T00:00:00Z,a,payment,4111111111111111,\nx4,2026-01-01T00:00:00Z,,chat,,\n"
        "x1,2026-01-02T00:00:00Z,a,chat,,81.2.3.4\n"
    )
    report = ingester.ingest(ingester.workspace(), ingester.file("events.csv", text))
    assert (report.read, report.stored, report.duplicates, report.quarantined) == (6, 1, 1, 4)
    assert {"pan_refused", "event_conflict"} <= set(report.violations)
