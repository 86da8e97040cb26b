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
from ringwatch.ingest.normalise import card_of
from ringwatch.ingest.quarantine import without_long_numbers
from ringwatch.ingest.readers import OURS
from ringwatch.ingest.validate import ROW_BITS

_ROWS = 10_000
_CARD_COLUMNS = ("payment_id", "entity_id")
_MOST_DIGITS = 4_000  # Python reads numbers of 4,300 at most
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
            cards = _cards(table, row)
            yield line, reason, _without_cards(table, row, cards) if cards or reason == "pan_refused" else row
    con.unregister("bad")


def _columns(text: str) -> dict[str, Any]:
    try:
        row = json.loads(text, parse_int=_whole)
    except (ValueError, RecursionError):  # the engine takes more for JSON than Python does
        return {"text": without_long_numbers(text)}
    # NaN, which JSON does not have, stands for null in frames.
    return {
        name: value
        for name, value in row.items()
        if value is not None and not (isinstance(value, float) and math.isnan(value))
    }


def _whole(digits: str) -> int | str:
    return int(digits) if len(digits) < _MOST_DIGITS else digits


def _cards(table: Table, row: dict[str, Any]) -> set[str]:
    """The digits of card numbers that stand where a payment token may, whatever else is wrong with the row."""
    kinds = {value for column in table.columns if column.name == "entity_type" for value in column.values}
    other = str(row.get("entity_type")) in kinds - {"payment"}
    columns = [name for name in _CARD_COLUMNS if name in row and not (other and name == "entity_id")]
    return {card for name in columns if (card := card_of(str(row[name])))}


def _without_cards(table: Table, row: dict[str, Any], cards: set[str]) -> dict[str, Any]:
    """The row without the refused values, and without what may be a card number wherever else there is free text.

    What is no text may be a long number of its own: there, only a number that is a refused one goes.
    """
    kept = {column.name for column in table.columns if column.kind in _NO_TEXT}
    clean: dict[str, Any] = {}
    for name, value in row.items():
        if name in _CARD_COLUMNS:
            continue
        text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
        blotted = without_long_numbers(text)
        if any(card in _digits(blotted) for card in cards):
            blotted = "[number]"
        same = any(card in _digits(text) for card in cards)
        clean[name] = value if blotted == text or (name in kept and not same) else blotted
    return clean


def _digits(text: str) -> str:
    """The digits of a text in ASCII, as the test for cards reads them."""
    return "".join(sign for sign in unicodedata.normalize("NFKC", text) if sign.isdecimal())
