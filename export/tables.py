"""One table as one file for programs: CSV, Parquet or JSON Lines by the name's ending, values as they are."""

from __future__ import annotations

import io
from pathlib import Path

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from ringwatch.errors import UsageError
from ringwatch.workspace import write_file


def write_table(frame: pd.DataFrame, output: Path) -> None:
    """Writes a frame, wholly or not at all; the same frame, the same bytes.

    Raises:
        UsageError: the name ends in none of .csv, .parquet and .jsonl, or cannot be written.
    """
    writers = {".csv": _csv, ".parquet": _parquet, ".jsonl": _jsonl}
    if output.suffix not in writers:
        raise UsageError(f"{output} ends in none of {', '.join(writers)}.", hint="Name the format by the ending.")
    data = writers[output.suffix](frame)
    write_file(output, data)


def _csv(frame: pd.DataFrame) -> bytes:
    flags = {name: frame[name].map({True: "true", False: "false"}) for name in frame.select_dtypes("bool").columns}
    return frame.assign(**flags).to_csv(index=False, lineterminator="\n").encode()


def _parquet(frame: pd.DataFrame) -> bytes:
    out = io.BytesIO()
    table = pa.Table.from_pandas(frame, preserve_index=False).replace_schema_metadata(None)
    pq.write_table(table, out, compression="zstd")
    return out.getvalue()


def _jsonl(frame: pd.DataFrame) -> bytes:
    return frame.to_json(orient="records", lines=True, date_format="iso", double_precision=15).encode()
