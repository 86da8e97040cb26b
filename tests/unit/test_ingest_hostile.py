"""Whatever a file holds, its rows are stored, duplicates or quarantined, or one sentence says why not."""

from __future__ import annotations

import json
import shutil
import tempfile
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ringwatch import ingest
from ringwatch.config import make_config
from ringwatch.errors import DataError
from ringwatch.ingest.batch import Job, stage_here
from ringwatch.ingest.contract import tables
from ringwatch.metrics import Stopwatch
from ringwatch.workspace import Workspace

CONFIG = make_config(entity_types=("wallet",))
CONTRACT = tables(CONFIG)
PLAUSIBLE = (
    "", "a", "b", "e1", "chat", "tool_call", "ip", "wallet", "payment", "email", "vpn", "referral", "abusive",
    "2026-03-01T10:00:00Z", "2026-03-01 10:00:00+02", "1772359200", "0", "1", "-1", "0.5", "1e309", "nan", "true",
    "81.2.3.4", "::ffff:81.2.3.4", "2001:db8::1", "x+y@gmail.com", "+31612345678", "4111111111111111", "tok_1", "NL",
    '{"a": [1, "target"]}', "{", "[[[]]]", "words of a prompt", "\x00",
    "\x1f", "\u2028", "\ufdd0", "\ud7ff", "𝟺" * 16,
)  # fmt: skip

TEXT = st.one_of(st.sampled_from(PLAUSIBLE), st.text(st.characters(exclude_categories=["Cs"]), max_size=12))
SETTINGS = settings(max_examples=40, deadline=None, suppress_health_check=list(HealthCheck))


@pytest.fixture(scope="module")
def workspace(tmp_path_factory: pytest.TempPathFactory) -> Workspace:
    return Workspace.create(tmp_path_factory.mktemp("hostile") / "workspace", CONFIG)


def _goes_in(workspace: Workspace, name: str, data: bytes, mode: ingest.Mode) -> ingest.IngestReport | None:
    """The report of a file that was taken, None if it was refused: nothing else may happen."""
    with tempfile.TemporaryDirectory() as folder:
        (Path(folder) / name).write_bytes(data)
        staged = workspace.staging_dir / "batch"
        try:
            report, _ = stage_here(
                Job(workspace, workspace.current(), [Path(folder)], mode, staged, "batch", Stopwatch())
            )
        except DataError as error:
            assert error.message.endswith(".")
            assert not staged.exists()
            return None
        shutil.rmtree(staged)
        assert report.read == report.stored + report.duplicates + report.quarantined
        return report


def _columns(draw: st.DrawFn, table: str) -> list[str]:
    """The required columns, some others, and strangers."""
    known = [column.name for column in CONTRACT[table].columns]
    strangers = st.one_of(
        st.sampled_from(["x_age", "x_", "raw", "reason"]), st.text("abAB_ .'\"", min_size=1, max_size=6)
    )
    chosen = draw(st.lists(st.sampled_from(known), unique=True, max_size=6))
    more = draw(st.lists(strangers, unique_by=lambda name: name.strip().lower(), max_size=2))
    return list(dict.fromkeys([*CONTRACT[table].required, *chosen, *(name for name in more if name not in known)]))


@st.composite
def text_tables(draw: st.DrawFn) -> tuple[str, list[dict[str, str]]]:
    table = draw(st.sampled_from(list(CONTRACT)))
    names = _columns(draw, table)
    rows = draw(st.lists(st.fixed_dictionaries(dict.fromkeys(names, TEXT)), min_size=1, max_size=8))
    return table, rows


@SETTINGS
@given(text_tables(), st.sampled_from(["discard-row", "discard-value", "freeze"]))
def test_csv(workspace: Workspace, made: tuple[str, list[dict[str, str]]], mode: ingest.Mode) -> None:
    table, rows = made

    def line(cells: Any) -> str:
        return ",".join('"' + cell.replace('"', '""') + '"' for cell in cells) + "\n"

    data = line(rows[0]) + "".join(line(row.values()) for row in rows)
    report = _goes_in(workspace, f"{table}.csv", data.encode(), mode)
    assert report is None or report.read == len(rows)


JSON = st.recursive(
    st.one_of(TEXT, st.none(), st.booleans(), st.integers(), st.floats(), st.text(max_size=5)),
    lambda inner: st.one_of(st.lists(inner, max_size=3), st.dictionaries(st.text(max_size=4), inner, max_size=3)),
    max_leaves=6,
)


@st.composite
def json_lines(draw: st.DrawFn) -> tuple[str, list[dict[str, Any]]]:
    table = draw(st.sampled_from(list(CONTRACT)))
    names = _columns(draw, table)
    values = dict.fromkeys(names, st.one_of(TEXT, TEXT, JSON))
    needed = {name: values.pop(name) for name in CONTRACT[table].required if draw(st.integers(0, 9))}
    some = st.fixed_dictionaries(needed, optional=values)
    return table, draw(st.lists(some, min_size=1, max_size=8))


@SETTINGS
@given(json_lines(), st.sampled_from(["discard-row", "discard-value", "freeze"]))
def test_json_lines(workspace: Workspace, made: tuple[str, list[dict[str, Any]]], mode: ingest.Mode) -> None:
    table, rows = made
    data = "".join(json.dumps(row) + "\n" for row in rows)
    report = _goes_in(workspace, f"{table}.jsonl", data.encode(), mode)
    assert report is None or report.read == len(rows)


TYPES: list[tuple[pa.DataType, st.SearchStrategy[Any]]] = [
    (pa.string(), TEXT),
    (pa.int64(), st.integers(-(2**63), 2**63 - 1)),
    (pa.uint64(), st.integers(0, 2**64 - 1)),
    (pa.float64(), st.floats()),
    (pa.float32(), st.floats(width=32)),
    (pa.bool_(), st.booleans()),
    (pa.timestamp("us", tz="UTC"), st.integers(-(2**62), 2**62)),
    (pa.timestamp("ns"), st.integers(-(2**62), 2**62)),
    (pa.timestamp("s"), st.integers(-(2**40), 2**40)),
    (pa.date32(), st.integers(-700_000, 700_000)),
    (pa.decimal128(20, 4), st.decimals(-(10**15), 10**15, places=4)),
    (pa.binary(), st.binary(max_size=8)),
    (pa.list_(pa.string()), st.lists(TEXT, max_size=3)),
    (pa.struct([("k", pa.string())]), st.fixed_dictionaries({"k": TEXT})),
    (pa.time64("us"), st.integers(0, 86_399_999_999)),
    (pa.duration("us"), st.integers(-(2**40), 2**40)),
    (pa.dictionary(pa.int8(), pa.string()), TEXT),
    (pa.null(), st.none()),
]


@st.composite
def parquet_tables(draw: st.DrawFn) -> tuple[str, pa.Table]:
    table = draw(st.sampled_from(list(CONTRACT)))
    n = draw(st.integers(1, 6))
    columns = {}
    for name in _columns(draw, table):
        kind, values = draw(st.sampled_from(TYPES[:1] * 8 + TYPES))
        cells = draw(st.lists(st.one_of(st.none(), values), min_size=n, max_size=n))
        columns[name] = pa.array(cells, kind) if not pa.types.is_dictionary(kind) else pa.array(cells).cast(kind)
    return table, pa.table(columns)


@SETTINGS
@given(parquet_tables(), st.sampled_from(["discard-row", "discard-value", "freeze"]))
def test_parquet(workspace: Workspace, made: tuple[str, pa.Table], mode: ingest.Mode) -> None:
    name, table = made
    sink = pa.BufferOutputStream()
    pq.write_table(table, sink)
    report = _goes_in(workspace, f"{name}.parquet", sink.getvalue().to_pybytes(), mode)
    assert report is None or report.read == table.num_rows


PIECES = (
    b"event_id,ts,account_id,kind\n", b"e,2026-01-01,a,chat\n", b"\n", b"\r", b'"', b",", b"\xff", b"\x00",
    b'{"event_id":"e"', b"}", b"\xef\xbb\xbf", b"\xf0\x9f", b"PAR1",
)  # fmt: skip
NAMES = ("events.csv", "events.jsonl", "events.parquet", "events.csv.gz", "links.jsonl.zst", "labels.csv")


@SETTINGS
@given(
    st.sampled_from(NAMES),
    st.one_of(st.binary(max_size=200), st.lists(st.sampled_from(PIECES), max_size=30).map(b"".join)),
)
def test_bytes(workspace: Workspace, name: str, data: bytes) -> None:
    _goes_in(workspace, name, data, "discard-row")
