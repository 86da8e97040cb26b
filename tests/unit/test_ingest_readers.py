"""Every format, plain and packed, gives the same rows; what is damaged or too much is refused in one sentence."""

from __future__ import annotations

import gzip
import io
import json
from collections.abc import Callable
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import zstandard
from drops import encode, make_tables

from ringwatch.config import Limits
from ringwatch.errors import DataError
from ringwatch.ingest import export_quarantine, find_sources

Event = Callable[..., dict[str, Any]]

FORMS = ("parquet", "csv", "csv.gz", "csv.zst", "jsonl", "jsonl.gz", "jsonl.zst", "ndjson")


@pytest.mark.parametrize("form", FORMS[1:])
def test_every_format_gives_the_log_that_parquet_gives(ingester: Any, form: str) -> None:
    tables = make_tables(3, loners=12)
    first = ingester.workspace()
    report = ingester.ingest(first, ingester.drop(tables, "parquet"))
    assert report.stored == report.read == sum(len(rows) for rows in tables.values())
    twin = ingester.workspace(keys_from=first)
    assert ingester.ingest(twin, ingester.drop(tables, form)).stored == report.stored
    assert ingester.log(twin) == ingester.log(first)


def test_a_subfolder_and_named_files_are_read_and_truth_is_not(ingester: Any, event: Event) -> None:
    folder = ingester.file("events-1.csv", [event(1)]).parent
    (folder / "events").mkdir()
    (folder / "events" / "part.jsonl").write_bytes(encode([event(2)], "jsonl"))
    (folder / "truth").mkdir()
    (folder / "truth" / "labels.csv").write_text("nonsense")
    (folder / "ABOUT.md").write_text("x")
    (folder / "eventsource.csv").write_text("x")
    workspace = ingester.workspace()
    report = ingester.ingest(workspace, folder)
    assert report.stored == 2
    assert len(report.warnings) == 1
    assert "ABOUT.md" in report.warnings[0]
    assert "eventsource.csv" in report.warnings[0]
    assert "truth" not in report.warnings[0]
    assert ingester.ingest(workspace, folder / "events-1.csv", folder / "events" / "..").duplicates == 2


def test_a_truth_folder_is_not_read_by_any_name(
    ingester: Any, event: Event, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    folder = tmp_path / "truth"
    folder.mkdir()
    (folder / "events.csv").write_bytes(encode([event(1)], "csv"))
    monkeypatch.chdir(folder)
    with pytest.raises(DataError, match="no table"):
        ingester.ingest(ingester.workspace(), Path())


def test_the_same_file_twice_is_read_once(ingester: Any, event: Event) -> None:
    path = ingester.file("events.csv", [event(1)])
    assert ingester.ingest(ingester.workspace(), path, path, path.parent).read == 1


def test_unknown_columns_are_one_warning_and_features_are_kept(ingester: Any, event: Event) -> None:
    workspace = ingester.workspace()
    folder = ingester.file("events.csv", [event(1, diary="x", x_age=3)]).parent
    (folder / "events-2.jsonl").write_bytes(encode([event(2, diary="x", Diary="y", x_size=0.5)], "jsonl"))
    (folder / "accounts.csv").write_text("account_id,nick,x_volume\na,n,1.50\n")
    report = ingester.ingest(workspace, folder)
    assert [warning for warning in report.warnings if "diary" in warning] == report.warnings
    assert len(report.warnings) == 1
    assert "accounts.nick" in report.warnings[0]
    features = {row["event_key"]: (row.get("x_age"), row.get("x_size")) for row in ingester.rows(workspace, "events")}
    assert sorted(features.values(), key=str) == [(3.0, None), (None, 0.5)]
    assert ingester.rows(workspace, "accounts")[0]["x_volume"] == 1.5


def test_names_of_unknown_columns_do_not_meet_ours(ingester: Any, event: Event) -> None:
    """Columns that are called like those of our own queries."""
    names = (
        "raw",
        "row",
        "reason",
        "code",
        "bad",
        "text",
        "kind_",
        "r_ip",
        "v_ip",
        "tool_shape",
        "line",
        "content",
        "c",
    )
    extra = dict.fromkeys(names, "x")
    rows = [event(1, ip="81.2.3.4", prompt="p q r", tool="t", **extra), event(2, ip="bad", **extra)]
    for row in rows:
        row.setdefault("prompt", None)
        row.setdefault("tool", None)
    for form in ("csv", "jsonl", "parquet"):
        workspace = ingester.workspace()
        report = ingester.ingest(workspace, ingester.file(f"events.{form}", rows))
        assert (report.stored, report.violations) == (1, {"bad_ip": 1})
        [row] = ingester.rows(workspace, "events")
        assert row["ip"] is not None
        assert row["prompt"] is not None
        assert row["tool_shape"] is not None


def test_lines_are_named_as_an_editor_counts_them(ingester: Any) -> None:
    text = (
        "\ufeffevent_id,ts,account_id,kind,prompt\r\n"
        'e1,2026-01-01,a,chat,"two\r\nlines"\r\n'
        "e2,never,a,chat,\r\n"
        "e3,2026-01-01,a,chat\r\n"
        "e4,never,a,chat,x\r\n"
        "e5,never,a,chat,x,y,z\r\n"
    )
    workspace = ingester.workspace()
    ingester.ingest(workspace, ingester.file("events.csv", text))
    assert _lines(ingester, workspace) == {
        ("bad_time", 4), ("bad_time", 6), ("malformed_row", 5), ("malformed_row", 7),
    }  # fmt: skip

    text = "event_id,ts,account_id,kind\ne1,2026-01-01,a,chat\n\n\ne2,never,a,chat\n"
    workspace = ingester.workspace()
    ingester.ingest(workspace, ingester.file("events.csv", text))
    assert _lines(ingester, workspace) == {("bad_time", 5)}

    text = (
        "event_id,ts,account_id,kind,prompt\n"
        '\ne1,2026-01-01,a,chat,"two\n\n\nlines"\n\n\n'
        'e2,never,a,chat,"x\n\n"\ne3,never,a,chat,x\n\ne4,never,a,chat,x\n'
    )
    workspace = ingester.workspace()
    ingester.ingest(workspace, ingester.file("events.csv", text))
    assert _lines(ingester, workspace) == {("bad_time", 9), ("bad_time", 12), ("bad_time", 14)}

    lines = '{"event_id":"e1","ts":"2026-01-01","account_id":"a","kind":"chat"}\n\n{"event_id":"e2"}\n[1]\n{"x":\n'
    workspace = ingester.workspace()
    report = ingester.ingest(workspace, ingester.file("events.jsonl", lines))
    assert _lines(ingester, workspace) == {("missing_ts", 3), ("malformed_row", 4), ("malformed_row", 5)}
    assert report.read == 4


def _lines(ingester: Any, workspace: Any) -> set[tuple[str, int]]:
    output = ingester.folder / "lines.jsonl"
    export_quarantine(workspace, workspace.current(), output, reason="test")
    return {(row["reason"], row["line"]) for row in map(json.loads, output.read_text().splitlines())}


@pytest.mark.parametrize("kind", [pa.date32(), pa.timestamp("us"), pa.timestamp("us", tz="UTC"), pa.timestamp("ns")])
@pytest.mark.parametrize("column", ["ts", "account_id", "stranger"])
def test_a_time_of_a_far_year_costs_its_row_alone(
    ingester: Any, event: Event, kind: pa.DataType, column: str
) -> None:
    largest, whole = (2**31 - 2, pa.int32()) if kind == pa.date32() else (2**63 - 2, pa.int64())
    values = [largest, -largest, 400_000 * 365, 20_000, None]
    rows = [event(n) for n in range(len(values))]
    fields = {name: pa.array([row[name] for row in rows]) for name in rows[0]}
    fields["ts"] = pa.array(["never"] + ["2026-03-01"] * 4)
    fields[column] = pa.array(values, whole).view(kind)
    sink = io.BytesIO()
    pq.write_table(pa.table(fields), sink)
    report = ingester.ingest(ingester.workspace(), ingester.file("events.parquet", sink.getvalue()))
    assert report.read == report.stored + report.quarantined
    assert report.quarantined >= 1


@pytest.mark.parametrize("form", ["csv", "jsonl"])
def test_what_is_not_utf8_is_set_aside_row_by_row(ingester: Any, event: Event, form: str) -> None:
    data = encode([event(1), event(2, account_id="bÿd"), event(3)], form)
    data = data.replace("ÿ".encode(), b"\xff").replace(b"\\u00ff", b"\xff")
    workspace = ingester.workspace()
    report = ingester.ingest(workspace, ingester.file(f"events.{form}", data))
    assert (report.stored, report.violations) == (2, {"not_utf8": 1})


def test_types_of_parquet_mean_what_their_text_means(ingester: Any) -> None:
    moment = datetime(2026, 3, 1, 10, tzinfo=UTC)
    table = pa.table(
        {
            "event_id": pa.array(["e1", "e2"]).dictionary_encode(),
            "ts": pa.array([moment, moment], pa.timestamp("ns", tz="UTC")),
            "account_id": pa.array([17.0, 18.0]),
            "kind": pa.array(["chat", "chat"], pa.large_string()),
            "ip": pa.array([b"81.2.3.4", None], pa.binary()),
            "tokens": pa.array([12.0, float("nan")]),
            "harm_score": pa.array([0.9, float("nan")]),
            "amount": pa.array([Decimal("1.50"), None], pa.decimal128(9, 2)),
            "refused": pa.array([True, None]),
            "tool_args": pa.array([{"a": 1}, None]),
            "x_volume": pa.array([3, None], pa.int16()),
            "model": pa.nulls(2),
        }
    )
    sink = io.BytesIO()
    pq.write_table(table, sink)
    first = ingester.workspace()
    assert ingester.ingest(first, ingester.file("events.parquet", sink.getvalue())).stored == 2
    csv = (
        "event_id,ts,account_id,kind,ip,tokens,harm_score,amount,refused,tool_args,x_volume\n"
        "e2,2026-03-01T11:00:00+01:00,18,chat,,,,,,,\n"
        'e1,2026-03-01 10:00:00,17,chat,81.2.3.4,12,0.90,1.5,True,"{""a"": 1}",3.0\n'
    )
    twin = ingester.workspace(keys_from=first)
    assert ingester.ingest(twin, ingester.file("events.csv", csv)).stored == 2
    assert ingester.log(twin) == ingester.log(first)


@pytest.mark.parametrize("form", ["csv", "jsonl", "parquet"])
@pytest.mark.parametrize("mode", ["discard-row", "discard-value", "freeze"])
def test_a_missing_required_column_refuses_the_drop_in_every_mode(ingester: Any, form: str, mode: Any) -> None:
    path = ingester.file(f"events.{form}", [{"event_id": "x", "account_id": "y"}])
    with pytest.raises(DataError, match=r"lacks the required columns ts, kind"):
        ingester.ingest(ingester.workspace(), path, mode=mode)


def test_a_drop_of_nothing_is_refused_and_an_empty_table_is_not(ingester: Any) -> None:
    with pytest.raises(DataError, match="does not exist"):
        ingester.ingest(ingester.workspace(), ingester.folder / "nowhere")
    with pytest.raises(DataError, match="There is no table"):
        ingester.ingest(ingester.workspace(), ingester.file("readme.txt", "x").parent)
    header = "event_id,ts,account_id,kind\n"
    for name, data in (
        ("events.csv", header),
        ("events.csv", header.strip()),
        ("events.jsonl", ""),
        ("events.jsonl", "\n"),
    ):
        report = ingester.ingest(ingester.workspace(), ingester.file(name, data))
        assert report.read == 0
    with pytest.raises(DataError, match="no header"):
        ingester.ingest(ingester.workspace(), ingester.file("events.csv", ""))


def test_damaged_files_are_refused(ingester: Any, event: Event) -> None:
    rows = [event(n, prompt=f"words of prompt {n}") for n in range(3000)]
    for form in ("csv.gz", "jsonl.gz", "csv.zst", "jsonl.zst", "parquet"):
        data = encode(rows, form)
        for broken in (data[: len(data) // 2], data[:40] + bytes(len(data) - 40), b"nothing of the kind"):
            with pytest.raises(DataError, match=r"cannot be read|lacks|no header|compressed"):
                ingester.ingest(ingester.workspace(), ingester.file(f"events.{form}", broken))


def test_a_damaged_page_inside_a_good_parquet_file_is_refused(ingester: Any, event: Event) -> None:
    data = bytearray(encode([event(n, prompt=f"words of prompt {n}") for n in range(3000)], "parquet"))
    data[2000:3000] = b"\xff" * 1000
    with pytest.raises(DataError, match="cannot be read as Parquet") as caught:
        ingester.ingest(ingester.workspace(), ingester.file("events.parquet", bytes(data)))
    assert "prompt" not in caught.value.message


def _prompts(*prompts: str) -> bytes:
    rows = (f"e{n},2026-01-01,a{n},chat,{prompt}\n" for n, prompt in enumerate(prompts))
    return ("event_id,ts,account_id,kind,prompt\n" + "".join(rows)).encode()


@pytest.mark.parametrize(
    ("prompts", "line"),
    [
        (("one", '"two', "three", "four"), 3),
        (("one", '"two', "three", '"four"', "five"), 3),
        (("one", '"two\n\n2"', '"3 ""three"""', '"four', "five", '"six", "six"'), 7),
        (("one", "two", '"cut ""off""'), 4),
        (("w " * (1 << 20), '"' + "w " * (1 << 20), "w " * (1 << 20)), 3),
    ],
)
@pytest.mark.parametrize("compressed", [False, True])
def test_a_quote_that_is_not_closed_refuses_the_file(
    ingester: Any, prompts: tuple[str, ...], line: int, compressed: bool
) -> None:
    data = _prompts(*prompts)
    says = f"a quote that begins on line {line} is never closed"
    if compressed:
        _refused(ingester, "events.csv.zst", zstandard.compress(data), says, line_bytes=8 << 20)
    else:
        _refused(ingester, "events.csv", data[:-1], says, line_bytes=8 << 20)


def test_quotes_that_take_in_no_other_line_are_read(ingester: Any) -> None:
    prompts = (
        '5" by 6', '6"', ' "x', '"a "b" c"', '"a ""b"""', '""', '"one\n""two""\n"', '"' + '""' * (2 << 20) + '"', "a",
    )  # fmt: skip
    workspace = ingester.workspace(limits={"line_bytes": 8 << 20})
    data = _prompts(*prompts).replace(b"\n", b"\r\n")
    assert ingester.ingest(workspace, ingester.file("events.csv.gz", gzip.compress(data))).stored == len(prompts)


# -- bounds -----------------------------------------------------------------------------------------------


def _refused(ingester: Any, name: str, data: Any, says: str, **limits: int) -> None:
    workspace = ingester.workspace(limits=limits)
    with pytest.raises(DataError, match=says) as caught:
        ingester.ingest(workspace, ingester.file(name, data))
    assert caught.value.hint
    assert name in caught.value.message


def test_the_bounds_on_size(ingester: Any, event: Event) -> None:
    rows = [event(n) for n in range(500)]
    for form in ("csv", "jsonl", "parquet"):
        _refused(ingester, f"events.{form}", rows, "more than the limit of 999", file_bytes=999)
    for form in ("csv.gz", "jsonl.zst"):
        _refused(ingester, f"events.{form}", rows, "when decompressed", file_bytes=9000)


@pytest.mark.parametrize("pack", [gzip.compress, zstandard.compress])
def test_the_bound_on_the_ratio_stops_a_bomb(ingester: Any, pack: Callable[[bytes], bytes]) -> None:
    bomb = pack(b"event_id,ts,account_id,kind\n" + b"e,2026-01-01,a,chat\n" * 2_000_000)
    suffix = "gz" if pack is gzip.compress else "zst"
    _refused(ingester, f"events.csv.{suffix}", bomb, "grows to more than 50 times", compression_ratio=50)


def test_the_bound_on_the_ratio_holds_for_parquet(ingester: Any) -> None:
    sink = io.BytesIO()
    text = pa.array(["x" * 1000]).take(pa.array([0] * 200_000))
    fields = {
        name: pa.array(["e"]).take(pa.array([0] * 200_000)) for name in ("event_id", "ts", "account_id", "kind")
    }
    pq.write_table(pa.table({**fields, "prompt": text}), sink, use_dictionary=False, compression="zstd")
    _refused(ingester, "events.parquet", sink.getvalue(), "grows to", compression_ratio=50)


@pytest.mark.parametrize("form", ["csv", "jsonl", "csv.gz"])
def test_the_bound_on_lines(ingester: Any, event: Event, form: str) -> None:
    _refused(ingester, f"events.{form}", [event(1, prompt="x" * 5000)], "more than 4000 bytes", line_bytes=4000)


def test_a_line_within_the_bound_is_read(ingester: Any, event: Event) -> None:
    rows = [event(1, prompt="x"), event(2, prompt="say\n" + "x " * (1 << 20)), event(3, prompt="")]
    assert ingester.ingest(ingester.workspace(), ingester.file("events.csv", rows)).stored == 3


def test_the_bound_on_depth(ingester: Any, event: Event) -> None:
    deep = '{"a":' * 9 + "1" + "}" * 9
    line = json.dumps(event(1))[:-1] + ', "tool_args": ' + deep + "}\n"
    flat = json.dumps(event(2, tool_args=[[1]] * 9)) + "\n"
    workspace = ingester.workspace(limits={"json_depth": 8})
    report = ingester.ingest(workspace, ingester.file("events.jsonl", flat + line + flat.replace("e2", "e3")))
    assert (report.stored, report.violations) == (2, {"json_too_deep": 1})
    assert _lines(ingester, workspace) == {("json_too_deep", 2)}
    quoted = ingester.file("events.csv", [event(1, tool_args=deep), event(2, tool_args='{"a": "[[[[[[[[[[["}')])
    report = ingester.ingest(ingester.workspace(limits={"json_depth": 8}), quoted)
    assert report.violations == {"json_too_deep": 1}
    assert report.stored == 1


def test_the_bound_on_columns(ingester: Any, event: Event) -> None:
    wide = event(1, **{f"c{n}": 1 for n in range(30)})
    for form in ("csv", "parquet"):
        _refused(ingester, f"events.{form}", [wide], "34 columns, more than the limit of 20", columns=20)
    _refused(ingester, "events.jsonl", [wide], "more than 20 different keys", columns=20)


def test_the_bound_on_identifiers(ingester: Any, event: Event) -> None:
    rows = [
        event(1, account_id="a" * 21),
        event(2, ip="1" * 21),
        event(3, session_id="s" * 21),
        event(4, device_id="d" * 20),
    ]
    rows = [{"ip": None, "session_id": None, "device_id": None, **row} for row in rows]
    workspace = ingester.workspace(limits={"identifier_chars": 20})
    report = ingester.ingest(workspace, ingester.file("events.csv", rows))
    assert report.violations == {"identifier_too_long": 3}
    assert report.stored == 1


@pytest.mark.parametrize(
    ("header", "says"),
    [
        ("event_id,ts,account_id,kind,kind", "column 'kind' twice"),
        ("event_id,ts,account_id,kind,Kind", "column 'Kind' beside 'kind'"),
        ("event_id,ts,account_id,kind,__row", "name is ours"),
        ('"event_id" ,ts', "header"),
        ('event_id,"ts', "line 1 is never closed"),
    ],
)
def test_headers_that_mean_two_things_are_refused(ingester: Any, header: str, says: str) -> None:
    with pytest.raises(DataError, match=says):
        ingester.ingest(ingester.workspace(), ingester.file("events.csv", header + "\n"))


def test_nested_values_have_no_place_in_plain_columns(ingester: Any, event: Event) -> None:
    row = event(1, ip=["81.2.3.4"])
    with pytest.raises(DataError, match=r"Column 'ip' .* nested"):
        ingester.ingest(ingester.workspace(), ingester.file("events.parquet", [row]))
    workspace = ingester.workspace()
    assert ingester.ingest(workspace, ingester.file("events.jsonl", [row])).violations == {"bad_ip": 1}


def test_numbers_that_are_too_much_for_python_are_kept_as_text(ingester: Any, event: Event) -> None:
    digits = "1" * 5000
    lines = [json.dumps(event(n, ts="never"))[:-1] + f', "x_size": {digits}}}\n' for n in (1, 2)]
    workspace = ingester.workspace()
    report = ingester.ingest(workspace, ingester.file("events.jsonl", "".join(lines)))
    assert report.violations == {"bad_time": 2}
    output = ingester.folder / "all.jsonl"
    assert export_quarantine(workspace, workspace.current(), output, reason="test").rows == 2
    assert digits in output.read_text()


def test_a_bound_of_find_sources_is_the_size_of_a_file(tmp_path: Path) -> None:
    (tmp_path / "events.csv").write_text("x" * 100)
    with pytest.raises(DataError, match="100 bytes"):
        find_sources([tmp_path], Limits(file_bytes=99))
