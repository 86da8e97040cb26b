"""From dense codes back to what people read: tokens of entities, and when a cluster was at work."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import duckdb
import numpy as np
import pandas as pd

from ringwatch.graphs.accounts import AccountTable
from ringwatch.graphs.layers import PARTNER_LAYERS, Incidence, code_of, query_columns
from ringwatch.ingest.tokens import code_digits

EXEMPLARS = 40
"""Entities that are listed of one cluster, those that most of its members have first."""

_ROWS = ("cluster", "account", "layer", "entity", "count", "first_seen", "last_seen")

INFERRED = {"prompt_family": "p", "tool_chain": "t"}
"""Layers whose entities a run makes itself, and the letter that their ids begin with."""


_HOLDERS = {"network": "ip", "email_domain": "email"}
"""Layers of what holds entities, by the type of these: named by the `parent` of their tokens."""


def family_ids(layer: str, code: np.ndarray) -> np.ndarray:
    """Ids of prompt families or tool chains from their codes; object[n]."""
    letter = INFERRED[layer]
    return np.array([f"{letter}{digits}" for digits in code_digits(code)], dtype=object)


def resolve_entities(
    con: duckdb.DuckDBPyConnection, evidence: pd.DataFrame, accounts: AccountTable, incidences: Sequence[Incidence]
) -> pd.DataFrame:
    """Puts the token of the exemplar in the place of layer and dense entity; null where a reason has none."""
    named = evidence.assign(entity=tokens_of(con, evidence["entity_layer"], evidence["entity"], accounts, incidences))
    return named[["cluster_id", "against", "layer", "bits", "text", "entity", "accounts"]]


def tokens_of(
    con: duckdb.DuckDBPyConnection,
    layer: pd.Series[Any],
    entity: pd.Series[int],
    accounts: AccountTable,
    incidences: Sequence[Incidence],
) -> pd.Series[str]:
    """What dense entities are called, each of the layer beside it; null for those below 0. That of a relation is the
    account that has most of it."""
    by_name = {incidence.spec.name: incidence for incidence in incidences}
    out = np.full(len(entity), None, dtype=object)
    names, codes = layer.to_numpy(dtype=object), entity.to_numpy(dtype=np.int64)
    for name in sorted(set(names[codes >= 0])):
        at = np.flatnonzero((names == name) & (codes >= 0))
        out[at] = _tokens(con, by_name[name], codes[at], accounts) if name in by_name else accounts.ids[codes[at]]
    return pd.Series(out, index=entity.index, dtype="str")


def cluster_entities(
    con: duckdb.DuckDBPyConnection, members: pd.DataFrame, accounts: AccountTable, incidences: list[Incidence]
) -> pd.DataFrame:
    """What members of each cluster share: cluster_id, account_id, type, token, count, first_seen, last_seen; things
    only, so that who keeps or passes these on names no account but the members.

    At most `EXEMPLARS` entities a cluster, those that most members have; each has at least two of them.
    """
    ids = accounts.ids
    names = np.array(sorted(members["cluster_id"].unique()), dtype=object)
    number = np.full(len(ids), -1, dtype=np.int64)
    number[np.searchsorted(ids, members["account_id"].to_numpy(dtype=object))] = np.searchsorted(
        names, members["cluster_id"].to_numpy(dtype=object)
    )
    parts = []
    for place, incidence in enumerate(incidences):
        if incidence.spec.refines or incidence.spec.name in PARTNER_LAYERS:
            continue
        inside = np.flatnonzero(number[incidence.account] >= 0)
        parts.append(
            pd.DataFrame(
                {
                    "cluster": number[incidence.account[inside]], "account": incidence.account[inside],
                    "layer": place, "entity": incidence.entity[inside], "count": incidence.count[inside],
                    "first_seen": incidence.first[inside], "last_seen": incidence.last[inside],
                }
            )
        )  # fmt: skip
    if not parts:
        parts.append(pd.DataFrame({name: np.zeros(0, dtype=np.int64) for name in _ROWS}))
    rows = pd.concat(parts, ignore_index=True)
    held = rows.groupby(["cluster", "layer", "entity"], sort=True).size().rename("members").reset_index()
    held = held[held["members"] >= 2].sort_values(
        ["cluster", "members", "layer", "entity"], ascending=[True, False, True, True], kind="stable"
    )
    held = held[held.groupby("cluster").cumcount() < EXEMPLARS]
    rows = rows.merge(held[["cluster", "layer", "entity"]], on=["cluster", "layer", "entity"])
    rows = rows.sort_values(["cluster", "layer", "entity", "account"], kind="stable").reset_index(drop=True)
    token = np.full(len(rows), None, dtype=object)
    layer = rows["layer"].to_numpy(dtype=np.int64)
    for place in np.unique(layer).tolist():
        at = np.flatnonzero(layer == place)
        token[at] = _tokens(con, incidences[place], rows["entity"].to_numpy(dtype=np.int64)[at], accounts)
    kinds = np.array([incidence.spec.name for incidence in incidences], dtype=object)
    return pd.DataFrame(
        {
            "cluster_id": names[rows["cluster"].to_numpy(dtype=np.int64)],
            "account_id": ids[rows["account"].to_numpy(dtype=np.int64)],
            "type": kinds[layer],
            "token": token,
            "count": rows["count"].to_numpy(dtype=np.int64),
            "first_seen": pd.to_datetime(rows["first_seen"], unit="us", utc=True),
            "last_seen": pd.to_datetime(rows["last_seen"], unit="us", utc=True),
        }
    )


def _tokens(
    con: duckdb.DuckDBPyConnection, incidence: Incidence, entity: np.ndarray, accounts: AccountTable
) -> np.ndarray:
    """What each dense entity of a layer is called; object[n]."""
    name = incidence.spec.refines or incidence.spec.name
    distinct, back = np.unique(entity, return_inverse=True)
    code = incidence.code[distinct]
    if name in INFERRED:
        return family_ids(name, code)[back]
    if name in PARTNER_LAYERS:
        return np.asarray(accounts.ids[code][back])
    if incidence.spec.event and not incidence.spec.refines:
        return np.char.add(np.datetime_as_string(code.astype("datetime64[us]"), unit="s"), "Z").astype(object)[back]
    wanted = pd.DataFrame({"code": code, "place": np.arange(len(code))})
    con.register("wanted_codes", wanted)
    try:
        if name in _HOLDERS:
            sql = f"""SELECT place, min(parent) AS token FROM wanted_codes JOIN (
                          SELECT DISTINCT parent FROM tokens
                          WHERE entity_type = '{_HOLDERS[name]}' AND parent IS NOT NULL
                      ) ON code = {code_of("parent")} GROUP BY place"""
        elif name == "organization":
            sql = f"""SELECT place, min(org_id) AS token FROM wanted_codes
                      JOIN (SELECT DISTINCT org_id FROM accounts WHERE org_id IS NOT NULL)
                      ON code = {code_of("org_id")} GROUP BY place"""
        else:
            sql = f"""SELECT place, min(token) AS token FROM wanted_codes JOIN tokens ON entity = code
                      WHERE entity_type = '{name}' GROUP BY place"""
        rows = query_columns(con, sql)
    finally:
        con.unregister("wanted_codes")
    out = np.array([f"{name}_{digits}" for digits in code_digits(code)], dtype=object)
    out[np.asarray(rows["place"], dtype=np.int64)] = np.asarray(rows["token"], dtype=object)
    return out[back]


def cluster_timeline(con: duckdb.DuckDBPyConnection, members: pd.DataFrame) -> pd.DataFrame:
    """cluster_id, day (UTC), events, harmful, refused: what each cluster did by day. Needs `ix` and `ev`."""
    con.register("cluster_members", members[["cluster_id", "account_id"]])
    try:
        frame: pd.DataFrame = con.execute(
            """SELECT cluster_id, to_timestamp((ts // 86400000000) * 86400) AS day, count(*) AS events,
                      count(*) FILTER (harmful) AS harmful, count(*) FILTER (refused) AS refused
               FROM ev JOIN ix USING (i) JOIN cluster_members USING (account_id) GROUP BY 1, 2 ORDER BY 1, 2"""
        ).df()
    finally:
        con.unregister("cluster_members")
    return frame
