"""What the real-time path reads: one Parquet file, a row for each thing that suspects would be known by.

`type` and `key` name the thing: an account and an `org_id` by what they are called, anything else by 16 hex digits of
its keyed code, which say nothing to who has no key. `bits` is what it adds, as log2 odds, to `base`, those of
anybody (the mean of all accounts); of the things of one `group`, which are not independent, the strongest counts.
`accounts` use it, of which `suspects` are likelier abusive than not; `cluster_id` has most of these. It says nothing
from `expires_at` on. A family of prompts has `pieces`, hashed pairs of words of its template, and is met by a prompt
whose sketch holds `least` of them or more.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from ringwatch.errors import DataError, UsageError
from ringwatch.workspace import write_file

FORM = b"ringwatch.signals/1"
"""Under this key the metadata of the file says what it is of."""

_FIELDS: list[tuple[str, pa.DataType]] = [
    ("type", pa.string()), ("key", pa.string()), ("group", pa.string()), ("bits", pa.float64()),
    ("accounts", pa.int64()), ("suspects", pa.int64()), ("cluster_id", pa.string()),
    ("last_seen", pa.timestamp("us", "UTC")), ("expires_at", pa.timestamp("us", "UTC")),
    ("pieces", pa.list_(pa.uint32())), ("least", pa.int64()),
]  # fmt: skip
COLUMNS = pa.schema(_FIELDS)


@dataclass(frozen=True)
class Signals:
    """The rows (`COLUMNS`), and what they are of: `run_id`, `as_of` (the last event it saw), `keys` (which keys made
    its codes), `base` in bits, and what the bits of each group were multiplied by (`weights`), as learnt from
    `newcomers` accounts."""

    table: pd.DataFrame
    run_id: str
    as_of: pd.Timestamp
    keys: str
    base: float
    weights: dict[str, float]
    newcomers: int

    def about(self) -> dict[str, Any]:
        return {
            "run_id": self.run_id,
            "as_of": self.as_of.isoformat(),
            "keys": self.keys,
            "base": round(self.base, 4),
            "weights": {name: round(value, 4) for name, value in sorted(self.weights.items())},
            "newcomers": self.newcomers,
        }


def check_name(output: Path) -> None:
    """Whether signals can be written to a file of that name.

    Raises:
        UsageError: it does not end in .parquet.
    """
    if output.suffix.lower() != ".parquet":
        raise UsageError(f"{output} does not end in .parquet.", hint="Name a file FILE.parquet.")


def write_signals(signals: Signals, output: Path) -> None:
    """Writes the file, wholly or not at all: who reads it beside has the old one or the new one.

    Raises:
        UsageError: it cannot be written, or does not end in .parquet.
    """
    check_name(output)
    about = json.dumps(signals.about(), sort_keys=True).encode()
    table = pa.Table.from_pandas(signals.table, schema=COLUMNS, preserve_index=False)
    sink = pa.BufferOutputStream()
    pq.write_table(table.replace_schema_metadata({FORM: about}), sink, compression="zstd")
    write_file(output, sink.getvalue().to_pybytes())


def read_signals(path: Path) -> Signals:
    """Reads what `write_signals` wrote.

    Raises:
        UsageError: there is no such file.
        DataError: it holds no signals, or is damaged.
    """
    if not path.is_file():
        raise UsageError(f"There is no file {path}.", hint="Make one: `ringwatch signals build`.")
    try:
        table = pq.read_table(path)
        about = json.loads((table.schema.metadata or {})[FORM])
        return Signals(
            table.cast(COLUMNS).to_pandas(), about["run_id"], pd.Timestamp(about["as_of"]), about["keys"],
            float(about["base"]), dict(about["weights"]), int(about["newcomers"]),
        )  # fmt: skip
    except (OSError, pa.ArrowException, KeyError, TypeError, ValueError) as error:
        raise DataError(
            f"{path} holds no signals that can be read.", hint="Make it anew: `ringwatch signals build`."
        ) from error
