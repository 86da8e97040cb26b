"""DuckDB as ingest uses it: in memory, in UTC, bounded, and silent about values."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import duckdb

from ringwatch.errors import RingwatchError


def connect(memory_mb: int, spill: Path | None = None) -> duckdb.DuckDBPyConnection:
    """An in-memory DuckDB with exact types in Arrow; it spills to the folder `spill`, or not at all."""
    con = duckdb.connect(config={"temp_directory": str(spill) if spill else ""})
    if spill:
        con.execute("SET preserve_insertion_order = false")  # which would hold back what is to be written
    con.execute(
        f"SET memory_limit = '{memory_mb}MiB'; SET threads = {os.cpu_count() or 1}; SET TimeZone = 'UTC';"
        " SET arrow_lossless_conversion = true; SET enable_progress_bar = false"
    )
    return con


@contextmanager
def engine_errors() -> Iterator[None]:
    """Turns the engine's errors, whose messages may quote a value, into ours.

    Raises:
        RingwatchError: the engine failed.
    """
    try:
        yield
    except duckdb.OutOfMemoryException as error:
        raise RingwatchError(
            "The work does not fit into the memory it may take.", hint="Raise memory_mb in ringwatch.toml."
        ) from error
    except duckdb.Error as error:
        raise RingwatchError(
            f"The engine failed ({type(error).__name__}).", hint="Run again with --debug and report it."
        ) from error
