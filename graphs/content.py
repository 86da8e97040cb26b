"""What accounts send and what their agents do: families of prompts, chains and targets of tool calls."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import duckdb
import numpy as np
import numpy.typing as npt
import pandas as pd
import pyarrow as pa

from ringwatch.graphs.accounts import FloatArray, IntArray
from ringwatch.graphs.families import Texts, find_families
from ringwatch.graphs.layers import (
    PROMPT_FAMILY,
    TOOL_CHAIN,
    TOOL_TARGET,
    Incidence,
    LayerSpec,
    incidence_from,
    query_columns,
)
from ringwatch.graphs.overlap import Sets
from ringwatch.graphs.wording import flagged_elsewhere
from ringwatch.signatures import sign_sequences

MIN_CHAIN = 3

PHRASE, GRADES = 12.0, 9
"""Families are judged beside those whose texts have about as much in common: by half octaves above so many bits."""


@dataclass(frozen=True)
class Families:
    """Families that at least two accounts share.

    `incidence` says who has which; its `code` is the family's identity. `names` describes each family where there is
    something to say without raw text; `similar` holds first code, second code and score of related families;
    `members` the code of each text (or session) in a shared family, and that of its family; `of_text` the code of the
    family of every text, shared or not, in the order of their codes.
    """

    incidence: Incidence
    names: list[str]
    similar: tuple[IntArray, IntArray, FloatArray]
    members: tuple[IntArray, IntArray]
    of_text: IntArray


@dataclass(frozen=True)
class Prompts:
    """The prompts of a run: their codes, rising, with what ingest signed of each, and who sent which (i, entity, n,
    first, last, flagged: whether it was harmful or refused there)."""

    code: IntArray
    texts: Texts
    uses: pd.DataFrame


def sent_prompts(con: duckdb.DuckDBPyConnection) -> Prompts:
    """Reads the prompts of the run. Needs `ev`."""
    table = con.sql(
        """SELECT prompt, sketch, bag FROM prompts
           WHERE prompt IN (SELECT prompt FROM ev WHERE prompt IS NOT NULL) ORDER BY prompt"""
    ).to_arrow_table()
    uses = con.execute(
        """SELECT i, prompt AS entity, count(*) AS n, min(ts) AS first, max(ts) AS last, bool_or(harmful) AS flagged
           FROM ev WHERE prompt IS NOT NULL GROUP BY 1, 2 ORDER BY 1, 2"""
    ).df()
    texts = texts_from(table.column("sketch"), table.column("bag"))
    return Prompts(table.column("prompt").to_numpy(), texts, uses)


def prompt_families(prompts: Prompts) -> Families:
    """Joins the paraphrases among the prompts."""
    return _families(PROMPT_FAMILY, prompts.code, prompts.texts, prompts.uses)


def wording(prompts: Prompts, families: Families, accounts: int) -> FloatArray:
    """How often the like of what accounts sent unflagged is flagged (`graphs.wording`); float64[accounts]."""
    uses = prompts.uses
    return flagged_elsewhere(
        prompts.texts.bags, families.of_text, uses["i"].to_numpy(dtype=np.int64),
        np.searchsorted(prompts.code, uses["entity"].to_numpy()), uses["flagged"].to_numpy(dtype=np.bool_), accounts,
    )  # fmt: skip


def tool_chains(con: duckdb.DuckDBPyConnection, *, key: bytes) -> Families:
    """Joins agentic sessions that run the same tools with the same shapes of arguments in nearly the same order; a
    call that is left out, put in or replaced is what a word is in a prompt."""
    sessions = con.sql(
        f"""SELECT i, count(*) AS n, min(ts) AS first, max(ts) AS last,
                   list(coalesce(tool_shape, 0) ORDER BY ts, tool, tool_shape) AS shapes,
                   list(tool ORDER BY ts, tool, tool_shape) AS tools
            FROM ev WHERE tool IS NOT NULL GROUP BY i, coalesce(session, ts // 86400000000)
            HAVING count(*) >= {MIN_CHAIN} ORDER BY i, first, shapes"""
    ).to_arrow_table()
    signed = sign_sequences(sessions.column("shapes").combine_chunks(), key)
    # A chain is its content: sessions that are alike to the letter are one item, whichever came first.
    known, at = np.unique(signed.ids, return_index=True)
    uses = sessions.select(["i", "n", "first", "last"]).to_pandas().assign(entity=signed.ids)
    chosen = pa.array(at)
    found = _families(TOOL_CHAIN, known, texts_from(signed.sketches.take(chosen), signed.bags.take(chosen)), uses)
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


def texts_from(sketches: Any, bags: Any) -> Texts:
    """Texts from Arrow columns (list<uint32>, list<uint16>)."""
    return Texts(_sets(sketches, np.uint32), _sets(bags, np.uint16))


def _sets(column: Any, kind: npt.DTypeLike) -> Sets:
    array: Any = column
    if isinstance(column, pa.ChunkedArray) and column.num_chunks:
        array = pa.concat_arrays(column.chunks)
    if len(array) == 0:
        return Sets(np.zeros(0, dtype=kind), np.zeros(1, dtype=np.int64))
    offsets = np.asarray(array.offsets, dtype=np.int64)
    values = np.asarray(array.values, dtype=kind)
    return Sets(values[offsets[0] : offsets[-1]], offsets - offsets[0])


def _families(spec: LayerSpec, known: IntArray, texts: Texts, uses: pd.DataFrame) -> Families:
    if len(known) == 0:
        empty = np.zeros(0, dtype=np.int64)
        nobody = incidence_from(spec, _columns(uses.iloc[:0]))
        return Families(nobody, [], (empty, empty, np.zeros(0)), (empty, empty), empty)
    found = find_families(texts)
    code = known[found.family]
    uses = uses.assign(entity=code[np.searchsorted(known, uses["entity"].to_numpy())])
    grouped = (
        uses.groupby(["i", "entity"], sort=True)
        .agg(n=("n", "sum"), first=("first", "min"), last=("last", "max"))
        .reset_index()
    )
    accounts = grouped.groupby("entity")["i"].transform("size")
    first, second, alike = found.related
    a, b = known[first], known[second]
    incidence = incidence_from(spec, _columns(grouped[accounts >= 2]))
    incidence = _crowded(incidence, a, b, _spread(grouped))
    usual = np.bincount(found.family, found.common) / np.maximum(np.bincount(found.family), 1)
    incidence = replace(incidence, grade=_grade(usual[np.searchsorted(known, incidence.code)]))
    kept = np.isin(a, incidence.code) & np.isin(b, incidence.code)
    order = np.lexsort((np.maximum(a, b)[kept], np.minimum(a, b)[kept]))
    return Families(
        incidence,
        [],
        (np.minimum(a, b)[kept][order], np.maximum(a, b)[kept][order], alike[kept][order]),
        (known[np.isin(code, incidence.code)], code[np.isin(code, incidence.code)]),
        code,
    )


def _grade(common: FloatArray) -> IntArray:
    """Half octaves of the bits that two texts of a family have in common: a stock phrase, a name, or a template."""
    octaves = np.log2(np.maximum(common, 1.0) / PHRASE)
    return np.asarray(np.clip(2 * octaves, 0, GRADES - 1).astype(np.int64))


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
