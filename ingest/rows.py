"""The original row behind a judgement, as it came: for the quarantine, and nowhere else."""

from __future__ import annotations

import json
import math
import unicodedata
from collections.abc import Iterator
from typing import Any

import duckdb
import pyarrow as pa

from ringwatch.ingest.contract import Table
from ringwatch.ingest.log import literal, quoted
from ringwatch.ingest.quarantine import without_long_numbers
from ringwatch.ingest.readers import OURS
from ringwatch.ingest.validate import ROW_BITS

_ROWS = 10_000
_CARD_COLUMNS = ("payment_id", "entity_id")
_NO_TEXT = ("id", "enum", "time", "session")


def original_rows(
    con: duckdb.DuckDBPyConnection, table: Table, bad: pa.Table
) -> Iterator[tuple[int, str, dict[str, Any]]]:
    """Line, reason and columns of those rows of the relation `chunk` that `bad` (`rid`, `reason`) names."""
    con.register("bad", bad)
    names = [row[0] for row in con.sql("DESCRIBE SELECT * FROM chunk").fetchall()]
    if "__raw" in names:
        whole = "c.__raw"
    else:
        whole = (
            "to_json({" + ", ".join(f"{literal(n)}: c.{quoted(n)}" for n in names if n not in OURS) + "})::VARCHAR"
        )
    found = con.execute(
        f"SELECT c.__line, b.reason, {whole} FROM chunk c"
        f" JOIN bad b ON c.__row = b.rid & {(1 << ROW_BITS) - 1} ORDER BY c.__row"
    )
    while rows := found.fetchmany(_ROWS):
        for line, reason, text in rows:
            row = _columns(text)
            yield line, reason, _without_card(table, row) if reason == "pan_refused" else row
    con.unregister("bad")


def _columns(text: str) -> dict[str, Any]:
    try:
        row = json.loads(text)
    except (ValueError, RecursionError):  # valid, and more than Python takes: an integer of thousands of digits
        return {"text": text}
    # NaN, which JSON does not have, stands for null in frames.
    return {
        name: value
        for name, value in row.items()
        if value is not None and not (isinstance(value, float) and math.isnan(value))
    }


def _without_card(table: Table, row: dict[str, Any]) -> dict[str, Any]:
    """The row without the refused value, and without what may be a card number wherever else there is free text.

    What is no text may be a long number of its own: there, only a number that is the refused one goes.
    """
    kept = {column.name for column in table.columns if column.kind in _NO_TEXT}
    refused = {_digits(row[name]) for name in _CARD_COLUMNS if name in row}
    clean: dict[str, Any] = {}
    for name, value in row.items():
        if name in _CARD_COLUMNS:
            continue
        text = value if isinstance(value, str) else json.dumps(value)
        blotted = without_long_numbers(text)
        same = any(card in _digits(value) for card in refused)
        clean[name] = value if blotted == text or (name in kept and not same) else blotted
    return clean


def _digits(value: Any) -> str:
    """The digits of a value in ASCII, as the test for cards reads them."""
    return "".join(sign for sign in unicodedata.normalize("NFKC", str(value)) if sign.isdecimal())
