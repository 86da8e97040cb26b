"""What is the same for equal values, worked out once for each: tokens, shapes of tool calls, identities of prompts.

The dictionaries are tables that the staging query joins: `dict_TYPE`, `dict_typed`, `dict_tool`, `dict_prompt`. They
hold raw values, so their connection never spills; they are emptied where they grow beyond their share of memory, and
what was lost is worked out again.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import Executor
from typing import Any

import duckdb
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from ringwatch.config import Config
from ringwatch.ingest.contract import Table
from ringwatch.ingest.log import literal
from ringwatch.ingest.normalise import normalise
from ringwatch.ingest.tokens import CALLS, Tokeniser, code_digits
from ringwatch.ingest.tools import describe_call
from ringwatch.ingest.validate import text_of
from ringwatch.ingest.vault import NOTE, PROMPT, TOOL_ARGS
from ringwatch.signatures import Signatures, normalise_text, sign_texts
from ringwatch.workspace import Workspace, derive_key

_kernels: Any = pc

_FIELDS: list[tuple[str, pa.DataType]] = [
    ("entity_type", pa.string()), ("entity", pa.int64()), ("token", pa.string()), ("parent", pa.string()),
    ("family", pa.int64()), ("shape", pa.int64()), ("label", pa.string()), ("disposable", pa.bool_()),
]  # fmt: skip
TOKENS = pa.schema(_FIELDS)
"""The columns of tokens.parquet."""


class TokenMaker:
    """Codes and tokens of entities under one token secret."""

    def __init__(self, secret: bytes, config: Config) -> None:
        self._secret = secret
        self._config = config
        self._made: dict[str, Tokeniser] = {}

    def _tokeniser(self, purpose: str) -> Tokeniser:
        if purpose not in self._made:
            self._made[purpose] = Tokeniser(derive_key(self._secret, purpose))
        return self._made[purpose]

    def make(self, entity_type: str, raw: Any) -> tuple[Any, Any, Any]:
        """Of n raw values of a type: rows of `TOKENS` (entity and token null where a value is bad), the normal forms,
        and why a value is bad."""
        limit, region = self._config.limits.identifier_chars, self._config.default_region
        found = normalise(entity_type, raw, limit=limit, region=region)
        code, token = self._hashed(self._tokeniser(entity_type), found.form)
        family, _ = self._hashed(self._tokeniser(f"{entity_type}-family"), found.family)
        shape, _ = self._hashed(self._tokeniser(f"{entity_type}-shape"), found.shape)
        named = _kernels.binary_join_element_wise(f"{entity_type}_", token, "")
        kinds = pa.repeat(entity_type, len(raw))
        columns: Any = [kinds, code, named, found.parent, family, shape, found.label, found.disposable]
        rows = pa.table(
            [column.cast(field.type) for column, field in zip(columns, TOKENS, strict=True)], schema=TOKENS
        )
        return rows, found.form, found.bad

    @staticmethod
    def _hashed(tokeniser: Tokeniser, values: Any) -> tuple[Any, Any]:
        given = _kernels.drop_null(values)
        codes, tokens = tokeniser.tokens([value.encode() for value in given.to_pylist()])
        if len(given) == len(values):
            return pa.array(codes), tokens.cast(pa.string())
        there = _kernels.is_valid(values)
        places = _kernels.if_else(there, _kernels.subtract(_kernels.cumulative_sum(there.cast(pa.int64())), 1), None)
        return pa.array(codes).take(places), tokens.cast(pa.string()).take(places)


class Dictionaries:
    """The dictionaries of one batch in `con`. New values go to `keep` (kind, tokens, originals), and `fill` yields
    their tokens. Prompts are signed in `pool`.

    `salt` keys what a rotation of tokens must not change; `budget` is the memory that raw values may take, in bytes.
    """

    def __init__(
        self,
        con: duckdb.DuckDBPyConnection,
        workspace: Workspace,
        keep: Callable[[str, Any, Any], None],
        maker: TokenMaker,
        *,
        salt: str,
        budget: int,
        pool: Executor,
    ) -> None:
        self._con = con
        self._config = workspace.config
        self._keep = keep
        self._pool = pool
        self._salt = salt
        self._budget = budget
        self._maker = maker
        self._calls = Tokeniser(derive_key(workspace.secret("signatures"), CALLS))
        self._prompt_key = workspace.secret("signatures")
        self._size = 0
        self._prompts = np.zeros(0, dtype=np.int64)
        self._empty()

    def _empty(self) -> None:
        entity = "(raw VARCHAR, code BIGINT, stable UBIGINT, bad VARCHAR)"
        for entity_type in self._config.all_entity_types:
            self._con.execute(f"CREATE OR REPLACE TABLE dict_{entity_type} {entity}")
        self._con.execute(
            "CREATE OR REPLACE TABLE dict_typed"
            " (entity_type VARCHAR, raw VARCHAR, code BIGINT, stable UBIGINT, bad VARCHAR, token VARCHAR);"
            "CREATE OR REPLACE TABLE dict_tool"
            " (tool VARCHAR, raw VARCHAR, shape BIGINT, vals BIGINT[], args BIGINT, bad VARCHAR)"
        )
        self._size = 0

    def fill(self, table: Table, types: dict[str, str]) -> Iterator[pa.Table]:
        """Adds what the relation `chunk` (columns of `types`) has besides; yields rows of `TOKENS`."""
        if self._size > self._budget:
            self._empty()
        for column in table.columns:
            if column.name in types and column.kind == "entity":
                yield from self._entities(column.entity, text_of(column.name, types[column.name]))
        if table.name in ("links", "entities"):
            kind, text = (text_of(name, types[name]) for name in ("entity_type", "entity_id"))
            for entity_type in self._config.all_entity_types:
                yield from self._entities(entity_type, text, kind)
            if "note" in types:
                self._notes(kind, text, text_of("note", types["note"]))
        if table.name == "events" and ("tool" in types or "tool_args" in types):
            tool, args = (text_of(name, types[name]) if name in types else "NULL" for name in ("tool", "tool_args"))
            self._tools(tool, args)

    # -- entities -----------------------------------------------------------------------------------------

    def _entities(self, entity_type: str, text: str, kind: str | None = None) -> Iterator[pa.Table]:
        """Adds the values of the SQL `text`: of all rows, to `dict_TYPE`; of those where the SQL `kind` is the type,
        to `dict_typed`."""
        name = literal(entity_type)
        where = f" WHERE {kind} = {name}" if kind else ""
        known = f"(SELECT raw FROM dict_typed WHERE entity_type = {name})" if kind else f"dict_{entity_type}"
        found = self._con.sql(
            f"SELECT DISTINCT raw FROM (SELECT {text} AS raw FROM chunk{where}) ANTI JOIN {known} USING (raw)"
            " WHERE raw IS NOT NULL"
        ).to_arrow_table()
        if not len(found):
            return
        raw: Any = found["raw"].combine_chunks()
        made, form, bad = self._maker.make(entity_type, raw)
        good = _kernels.is_null(bad)
        tokens = made.filter(good)
        self._keep(entity_type, tokens["token"], raw.filter(good))
        rows = pa.table({"raw": raw, "code": made["entity"], "form": form, "bad": bad, "token": made["token"]})
        self._con.register("incoming", rows)
        columns = f"raw, code, md5_number_lower({literal(self._salt)} || form) AS stable, bad"
        into = f"dict_typed BY NAME SELECT {name} AS entity_type, token," if kind else f"dict_{entity_type} SELECT"
        self._con.execute(f"INSERT INTO {into} {columns} FROM incoming")
        self._con.unregister("incoming")
        self._size += 2 * rows.nbytes
        yield tokens

    def _notes(self, kind: str, text: str, note: str) -> None:
        rows = self._con.sql(
            "SELECT DISTINCT d.token, c.note"
            f" FROM (SELECT {kind} AS kind, {text} AS raw, {note} AS note FROM chunk) c"
            " JOIN dict_typed d ON d.entity_type = c.kind AND d.raw = c.raw"
            " WHERE c.note IS NOT NULL AND d.bad IS NULL"
        ).to_arrow_table()
        self._keep(NOTE, rows["token"], rows["note"])

    # -- tool calls ---------------------------------------------------------------------------------------

    def _tools(self, tool: str, args: str) -> None:
        new = self._con.sql(
            "SELECT DISTINCT tool, raw"
            f" FROM (SELECT coalesce({tool}, '') AS tool, coalesce({args}, '') AS raw FROM chunk)"
            " ANTI JOIN dict_tool USING (tool, raw) WHERE tool != '' OR raw != ''"
        ).to_arrow_table()
        if not len(new):
            return
        depth = self._config.limits.json_depth
        calls = [
            describe_call(tool, raw, self._calls, depth=depth)
            for tool, raw in zip(new["tool"].to_pylist(), new["raw"].to_pylist(), strict=True)
        ]
        rows = {
            **{name: new[name] for name in ("tool", "raw")},
            "shape": pa.array([call.shape for call in calls], pa.int64()),
            "vals": pa.array([call.values for call in calls], pa.list_(pa.int64())),
            "args": pa.array([call.args for call in calls], pa.int64()),
            "bad": pa.array([call.bad for call in calls], pa.string()),
        }
        table = pa.table(rows)
        self._con.register("incoming", table)
        self._con.execute("INSERT INTO dict_tool BY NAME SELECT * FROM incoming")
        self._con.unregister("incoming")
        self._size += table.nbytes
        kept = table.filter(_kernels.is_valid(table["args"]))
        self._keep(TOOL_ARGS, named_codes("args", np.asarray(kept["args"])), kept["raw"].combine_chunks())

    # -- prompts ------------------------------------------------------------------------------------------

    def prompts(self, types: dict[str, str]) -> Callable[[], pa.Table | None]:
        """Begins to sign the prompts of `chunk`, beside whatever else is done. What it returns ends that: it gives
        every row with a prompt the prompt's identity, in `dict_prompt`, and returns those seen for the first time as
        rows of prompts.parquet; None where the chunk has no such column."""
        if "prompt" not in types:
            return lambda: None
        text = text_of("prompt", types["prompt"])
        rows = self._con.sql(
            f"SELECT __row AS row, text FROM (SELECT __row, {text} AS text FROM chunk) WHERE text IS NOT NULL"
        ).to_arrow_table()
        signing = self._pool.submit(_sign_distinct, rows["text"].combine_chunks(), self._prompt_key)
        return lambda: self._add_prompts(rows["row"], *signing.result())

    def _add_prompts(self, row: Any, encoded: Any, signed: Signatures) -> pa.Table:
        given = pa.array(signed.ids).take(encoded.indices)
        self._con.register("dict_prompt", pa.table({"row": row, "id": given}))
        ids, first = np.unique(signed.ids, return_index=True)
        place = np.searchsorted(self._prompts, ids)
        known = np.zeros(len(ids), dtype=bool)
        inside = place < len(self._prompts)
        known[inside] = self._prompts[place[inside]] == ids[inside]
        new = first[~known]
        self._prompts = np.sort(np.concatenate([self._prompts, ids[~known]]), kind="stable")
        if self._config.prompt_exemplars:
            self._keep(PROMPT, named_codes("prompt", signed.ids[new]), encoded.dictionary.take(pa.array(new)))
        return _prompt_rows(signed, new)


def _sign_distinct(texts: Any, key: bytes) -> tuple[Any, Signatures]:
    """Texts as a dictionary, and the signatures of its values."""
    encoded = texts.dictionary_encode()
    return encoded, sign_texts(normalise_text(encoded.dictionary), key)


def _prompt_rows(signed: Signatures, which: np.ndarray[Any, Any]) -> pa.Table:
    places = pa.array(which)
    return pa.table(
        {
            "prompt": pa.array(signed.ids[which]),
            "sketch": signed.sketches.take(places),
            "bag": signed.bags.take(places),
            "words": pa.array(signed.words[which]),
        }
    )


def named_codes(kind: str, codes: np.ndarray[Any, Any]) -> Any:
    """Tokens of 64-bit codes: the kind and 16 hex digits; what the vault calls prompts and tool arguments."""
    return pa.array([f"{kind}_{digits}" for digits in code_digits(codes)], pa.string())
