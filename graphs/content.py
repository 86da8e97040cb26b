"""What accounts send and what their agents do: families of prompts, chains and targets of tool calls."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import duckdb
import numpy as np
import pandas as pd
import pyarrow as pa

from ringwatch.graphs.accounts import FloatArray, IntArray
from ringwatch.graphs.families import Sketches, find_families
from ringwatch.graphs.layers import (
    PROMPT_FAMILY,
    TOOL_CHAIN,
    TOOL_TARGET,
    Incidence,
    LayerSpec,
    incidence_from,
    query_columns,
)
from ringwatch.signatures import sequence_sketches, sketch_ids

RELATED = 0.12
"""Families with members this similar, though not enough to be joined, are linked by `SIMILAR_TO`."""

CHAIN_SIMILARITY = 0.6
MIN_CHAIN = 3


@dataclass(frozen=True)
class Families:
    """Families that at least two accounts share.

    `incidence` says who has which; its `code` is the family's identity. `names` describes each family where there is
    something to say without raw text; `similar` holds first code, second code and score of related families;
    `members` the code of each text (or session) in a shared family, and that of its family.
    """

    incidence: Incidence
    names: list[str]
    similar: tuple[IntArray, IntArray, FloatArray]
    members: tuple[IntArray, IntArray]


def prompt_families(con: duckdb.DuckDBPyConnection) -> Families:
    """Joins the near-duplicate prompts of the run. Needs `ev`; reads the sketches that ingest made."""
    table = con.sql(
        """SELECT prompt, any_value(sketch) AS sketch FROM prompts
           WHERE prompt IN (SELECT prompt FROM ev WHERE prompt IS NOT NULL) GROUP BY prompt ORDER BY prompt"""
    ).to_arrow_table()
    uses = con.execute(
        """SELECT i, prompt AS entity, count(*) AS n, min(ts) AS first, max(ts) AS last FROM ev
           WHERE prompt IS NOT NULL GROUP BY 1, 2 ORDER BY 1, 2"""
    ).df()
    known = table.column("prompt").to_numpy()
    return _families(PROMPT_FAMILY, known, _sketches(table.column("sketch")), uses, similarity=None)


def tool_chains(con: duckdb.DuckDBPyConnection, *, key: bytes) -> Families:
    """Joins agentic sessions that run the same tools with the same shapes of arguments in (nearly) the same order."""
    sessions = con.sql(
        f"""SELECT i, count(*) AS n, min(ts) AS first, max(ts) AS last,
                   list(coalesce(tool_shape, 0) ORDER BY ts, tool, tool_shape) AS shapes,
                   list(tool ORDER BY ts, tool, tool_shape) AS tools
            FROM ev WHERE tool IS NOT NULL GROUP BY i, coalesce(session, ts // 86400000000)
            HAVING count(*) >= {MIN_CHAIN} ORDER BY i, first, shapes"""
    ).to_arrow_table()
    sketch = sequence_sketches(sessions.column("shapes").combine_chunks(), key)
    # A chain is its content: sessions that are alike to the letter are one item, whichever came first.
    content = sketch_ids(sketch, key)
    known, at = np.unique(content, return_index=True)
    uses = sessions.select(["i", "n", "first", "last"]).to_pandas().assign(entity=content)
    found = _families(TOOL_CHAIN, known, _sketches(sketch.take(pa.array(at))), uses, similarity=CHAIN_SIMILARITY)
    tools = sessions.column("tools").take(pa.array(at[np.searchsorted(known, found.incidence.code)]))
    return replace(found, names=[" > ".join(chain[:8]) for chain in tools.to_pylist()])


def tool_targets(con: duckdb.DuckDBPyConnection) -> Incidence:
    """Accounts and the argument values that their tool calls named."""
    rows = query_columns(
        con,
        """SELECT i, value AS entity, count(*) AS n, min(ts) AS first, max(ts) AS last
           FROM (SELECT i, ts, unnest(tool_values) AS value FROM ev WHERE tool_values IS NOT NULL)
           WHERE value IS NOT NULL GROUP BY 1, 2 ORDER BY 1, 2""",
    )
    return incidence_from(TOOL_TARGET, rows)


def _sketches(column: Any) -> Sketches:
    """The sketches of an Arrow column (list<uint32>)."""
    array: Any = column
    if isinstance(column, pa.ChunkedArray) and column.num_chunks:
        array = pa.concat_arrays(column.chunks)
    if len(array) == 0:
        return Sketches(np.zeros(0, dtype=np.uint32), np.zeros(1, dtype=np.int64))
    offsets = np.asarray(array.offsets, dtype=np.int64)
    values = np.asarray(array.values, dtype=np.uint32)
    return Sketches(values[offsets[0] : offsets[-1]], offsets - offsets[0])


def _families(
    spec: LayerSpec,
    known: IntArray,
    sketches: Sketches,
    uses: pd.DataFrame,
    *,
    similarity: float | None,
) -> Families:
    threshold = {} if similarity is None else {"similarity": similarity}
    family, first, second, score = find_families(sketches, related=RELATED, **threshold)
    if len(known) == 0:
        empty = np.zeros(0, dtype=np.int64)
        nobody = incidence_from(spec, _columns(uses.iloc[:0]))
        return Families(nobody, [], (empty, empty, np.zeros(0)), (empty, empty))
    code = known[family]
    uses = uses.assign(entity=code[np.searchsorted(known, uses["entity"].to_numpy())])
    grouped = (
        uses.groupby(["i", "entity"], sort=True)
        .agg(n=("n", "sum"), first=("first", "min"), last=("last", "max"))
        .reset_index()
    )
    accounts = grouped.groupby("entity")["i"].transform("size")
    a, b = code[first], code[second]
    apart = a != b
    incidence = incidence_from(spec, _columns(grouped[accounts >= 2]))
    incidence = _crowded(incidence, a[apart], b[apart], _spread(grouped))
    apart &= np.isin(a, incidence.code) & np.isin(b, incidence.code)
    similar = (
        pd.DataFrame({"a": np.minimum(a, b)[apart], "b": np.maximum(a, b)[apart], "score": score[apart]})
        .groupby(["a", "b"], sort=True)["score"]
        .max()
        .reset_index()
    )
    return Families(
        incidence,
        [],
        (similar["a"].to_numpy(), similar["b"].to_numpy(), similar["score"].to_numpy(dtype=float)),
        (known[np.isin(code, incidence.code)], code[np.isin(code, incidence.code)]),
    )


def _spread(grouped: pd.DataFrame) -> pd.Series:
    """Share of all accounts with any text that has each family."""
    return grouped.groupby("entity").size() / max(grouped["i"].nunique(), 1)


def _crowded(incidence: Incidence, a: IntArray, b: IntArray, spread: pd.Series) -> Incidence:
    """A family is at least as common as any that it resembles: offshoots of a text that went viral are viral."""
    near = pd.concat([pd.DataFrame({"of": a, "by": b}), pd.DataFrame({"of": b, "by": a})])
    most = near.assign(spread=spread.reindex(near["by"]).to_numpy()).groupby("of")["spread"].max()
    return replace(incidence, floor=most.reindex(incidence.code).fillna(0.0).to_numpy())


def _columns(frame: pd.DataFrame) -> dict[str, np.ndarray]:
    return {name: frame[name].to_numpy() for name in ("i", "entity", "n", "first", "last")}
