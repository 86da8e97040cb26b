"""Reads the truth that a run is measured against: a labels table in any format of the contract, the operations."""

from __future__ import annotations

from pathlib import Path
from typing import IO, cast

import pandas as pd
import pyarrow as pa
import pyarrow.csv
import pyarrow.json
import pyarrow.parquet as pq

from ringwatch.errors import DataError, UsageError

_TEXT = ("account_id", "label", "labelled_at", "group_id")
_REQUIRED = ("account_id", "label", "labelled_at")
_FORMATS = ".parquet, .csv, .jsonl, .ndjson, the last three also .gz or .zst"


def read_labels(path: Path) -> pd.DataFrame:
    """The standing label of each account: account_id, label (abusive, benign), labelled_at (UTC), group_id (or null).

    Of several labels of an account the latest counts.

    Raises:
        UsageError: there is no such file, or its name ends in no format of the contract.
        DataError: the file cannot be read, lacks a required column or has a value that the contract refuses.
    """
    table = _read(path)
    missing = [name for name in _REQUIRED if name not in table.columns]
    if missing:
        raise DataError(
            f"{path} has no column '{missing[0]}'.", hint="A labels table has account_id, label and labelled_at."
        )
    if "group_id" not in table.columns:
        table["group_id"] = None
    frame = table[list(_TEXT)].copy()
    for name in ("account_id", "label", "group_id"):
        text = frame[name].astype("str").str.strip()
        frame[name] = text.mask(text == "")
    _refuse(path, frame["account_id"].isna(), "has no account_id", "Give every row an account_id.")
    wrong = ~frame["label"].isin(["abusive", "benign"])
    _refuse(path, wrong, "has a label that is neither abusive nor benign", "Correct the label.")
    if pd.api.types.is_numeric_dtype(frame["labelled_at"]):
        raise DataError(f"{path}: labelled_at holds bare integers.", hint="Write times like 2026-03-01T00:00:00Z.")
    moment = pd.to_datetime(frame["labelled_at"], utc=True, format="ISO8601", errors="coerce")
    _refuse(path, moment.isna(), "has a labelled_at that is no time", "Write times like 2026-03-01T00:00:00Z.")
    frame["labelled_at"] = moment
    frame = frame.sort_values(["account_id", "labelled_at", "label", "group_id"], kind="stable")
    return frame.drop_duplicates("account_id", keep="last").reset_index(drop=True)


def read_operations(labels: Path) -> pd.DataFrame | None:
    """`operations.parquet` beside a labels table: group_id, kind, attainable_f1; None where there is none.

    Raises:
        DataError: it is there and cannot be read, or lacks group_id or kind.
    """
    frame = _beside(labels, "operations.parquet", ("group_id", "kind"))
    if frame is None:
        return None
    if "attainable_f1" not in frame.columns:
        frame["attainable_f1"] = float("nan")
    return frame[["group_id", "kind", "attainable_f1"]].drop_duplicates("group_id")


def read_benign_groups(labels: Path) -> pd.DataFrame | None:
    """`benign_groups.parquet` beside a labels table: account_id, group_id, kind; None where there is none.

    Raises:
        DataError: it is there and cannot be read, or lacks one of the three.
    """
    names = ("account_id", "group_id", "kind")
    frame = _beside(labels, "benign_groups.parquet", names)
    return None if frame is None else frame[list(names)].drop_duplicates("account_id")


def _beside(labels: Path, name: str, required: tuple[str, ...]) -> pd.DataFrame | None:
    path = labels.parent / name
    if not path.is_file():
        return None
    frame = _read(path)
    missing = [column for column in required if column not in frame.columns]
    if missing:
        raise DataError(f"{path} has no column '{missing[0]}'.", hint="Move it away, or write it again.")
    return frame.astype(dict.fromkeys(required, "str"))


def _read(path: Path) -> pd.DataFrame:
    if not path.is_file():
        raise UsageError(f"There is no file {path}.", hint="Name a labels table.")
    suffixes = [suffix.lower() for suffix in path.suffixes]
    packed = bool(suffixes) and suffixes[-1] in (".gz", ".zst")
    kind = suffixes[-2] if packed and len(suffixes) > 1 else suffixes[-1] if suffixes else ""
    try:
        if kind == ".parquet" and not packed:
            table = pq.read_table(path)
        elif kind == ".csv":
            with pa.input_stream(str(path), compression="detect") as stream:
                table = pa.csv.read_csv(cast(IO[bytes], stream), convert_options=_csv_as_text())
        elif kind in (".jsonl", ".ndjson"):
            fields = pa.schema([(name, pa.string()) for name in _TEXT])
            options = pa.json.ParseOptions(explicit_schema=fields, unexpected_field_behavior="ignore")
            with pa.input_stream(str(path), compression="detect") as stream:
                table = pa.json.read_json(cast(IO[bytes], stream), parse_options=options)
        else:
            raise UsageError(f"{path} ends in no format that can be read.", hint=f"Use {_FORMATS}.")
    except (pa.ArrowInvalid, OSError) as error:
        reason = str(error).splitlines()[0]
        raise DataError(f"{path} cannot be read: {reason}.", hint="Correct the file.") from error
    twice = [name for name in table.column_names if table.column_names.count(name) > 1]
    if twice:
        raise DataError(f"{path} has the column '{twice[0]}' twice.", hint="Remove one.")
    # As text before it is a frame: whole numbers with gaps would become fractions there.
    for place, name in enumerate(table.column_names):
        if name in _TEXT and pa.types.is_integer(table.schema.field(place).type):
            table = table.set_column(place, name, table.column(place).cast(pa.string()))
    return table.to_pandas()


def _csv_as_text() -> pa.csv.ConvertOptions:
    return pa.csv.ConvertOptions(
        column_types={name: pa.string() for name in _TEXT}, null_values=[""], strings_can_be_null=True
    )


def _refuse(path: Path, wrong: pd.Series, what: str, hint: str) -> None:
    if wrong.any():
        row = int(wrong.to_numpy().argmax()) + 1
        raise DataError(f"{path}: data row {row} {what} ({int(wrong.sum())} such rows).", hint=hint)
