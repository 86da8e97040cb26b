"""Organizations: clusters of one run that one party stands behind, by what ties them (`graphs.ties`).

Two clusters are of one organization where prior and evidence together are positive without what they write, and so
is whoever is tied to either. A cluster alone is an organization of one part where it is a customer: where its members
have one `org_id` and the accounts of that `org_id` are in it.

What a tie says is that one party stands behind both, not that the party does harm. The score of an organization is
the chance that its parts are one, times the highest score of a part; a part that is a customer is one whether or not
something is tied to it, so that by itself it is the least. A part whose people go in and out at the address
of a known institution is that institution as far as anybody can see, whatever share of its events comes from there:
its harm may be a task (docs/adr/0012), and no number of events can say more.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import duckdb
import numpy as np
import pandas as pd
import scipy.sparse as sp

from ringwatch.graphs.abuse import unauthorised
from ringwatch.graphs.accounts import AccountTable, FloatArray, IntArray
from ringwatch.graphs.clusters import HOST_LAYER, mean_hosted
from ringwatch.graphs.labels import Verdicts
from ringwatch.graphs.layers import ORGANIZATION, Incidence, LayerSpec, code_of, wider_incidence
from ringwatch.graphs.learning import probability
from ringwatch.graphs.naming import SYNDICATE, History, name_groups
from ringwatch.graphs.reasons import LEAST_TOLD, MIN_BITS
from ringwatch.graphs.resolve import tokens_of
from ringwatch.graphs.ties import ABSENT, PAIRS, SHARED, Ties

OWN_DOMAIN = LayerSpec("email_domain", "email", 0.3, "a mail domain")
IDENTITY = (ORGANIZATION.name, OWN_DOMAIN.name, "payment")
"""Layers by which an account outside all clusters is said to be an organization's: who has what ties its parts."""

SHARPNESS = 4
"""Of a cluster that is a customer, and of the customer, a share x is the other's with density SHARPNESS · x³; of a
cluster that is only inside one, or beside it, any share is as likely as another."""

LEAST_TASK = 0.1
"""A smaller share of accounts at an institution's addresses is worth no sentence."""


@dataclass(frozen=True)
class Syndicates:
    """The organizations of a run, as frames.

    `organizations` (highest score first): organization_id, clusters (ids, highest score first), accounts (in its
    clusters), outsiders (how many accounts in no cluster), score, bits (mean over ties, the prior included),
    coordination, abuse (the highest of a part; NaN without harm evidence), layers, first_seen, last_seen. `parts`:
    organization_id, cluster_id, size, score, bits (of its strongest tie), abuse, judged, harmful, refused (events),
    customer (the org_id that most of its members have, or null). `ties`: organization_id, src, dst (clusters), bits,
    layers. `grounds`: organization_id, against, layer, bits (mean over ties), text, entity, accounts. `outsiders`:
    organization_id, account_id, layer, entity (by which it is of the organization).
    """

    organizations: pd.DataFrame
    parts: pd.DataFrame
    ties: pd.DataFrame
    grounds: pd.DataFrame
    outsiders: pd.DataFrame

    def members(self, groups: pd.DataFrame) -> pd.DataFrame:
        """id (of the organization), account_id of all in its clusters; `groups`: id (of the cluster), account_id."""
        own = self.parts.rename(columns={"cluster_id": "id"})[["organization_id", "id"]].merge(groups, on="id")
        return own[["organization_id", "account_id"]].rename(columns={"organization_id": "id"})


def unit_of(ids: pd.Series | np.ndarray, accounts: AccountTable, groups: pd.DataFrame) -> IntArray:
    """The place in `ids` of the group of each account, -1 for none; `groups`: id, account_id."""
    out = np.full(len(accounts), -1, dtype=np.int64)
    at = pd.Index(accounts.ids).get_indexer(pd.Index(groups["account_id"]))
    place = pd.Index(ids).get_indexer(pd.Index(groups["id"]))
    out[at[at >= 0]] = place[at >= 0]
    return out


def with_domains(con: duckdb.DuckDBPyConnection, shared: Sequence[Incidence]) -> list[Incidence]:
    """The layers of accounts, and their mail domains but for those that give mailboxes to throw away. Needs `ix`."""
    kept = f"CASE WHEN NOT coalesce(disposable, false) THEN {code_of('parent')} END"
    return [*shared, wider_incidence(con, OWN_DOMAIN, "email", kept)]


def find_syndicates(
    con: duckdb.DuckDBPyConnection,
    accounts: AccountTable,
    layers: Sequence[Incidence],
    ties: Ties,
    clusters: pd.DataFrame,
    unit: IntArray,
    verdicts: Verdicts,
    history: History,
) -> Syndicates:
    """Finds the organizations among the clusters of a run.

    Args:
        con: with the tables of `collect_accounts`. layers: of `tie_layers`. ties: of `weigh_ties`, the units being
            the rows of `clusters`. clusters: as a run has them. unit: the row of each account, -1 for none.
        verdicts: what somebody has judged; an abusive member lifts the bound that an institution sets. history: what
        earlier runs found.
    """
    standing = ties.beyond_words()
    customers = _customers(layers, unit, len(clusters))
    group, count, alone = _groups(standing, customers, len(clusters))
    tied = group[standing["first"].to_numpy(dtype=np.int64)]
    parts = _parts(accounts, clusters, unit, group, standing, alone, customers)
    # Who goes in and out at an institution's address at all is its own: here people count, not their events.
    at_all = accounts.frame["hosted"].to_numpy(dtype=np.float64) > 0
    parts["hosted"] = mean_hosted(at_all.astype(np.float64), verdicts, unit, len(clusters))[parts["place"]]
    for name in ("score", "abuse"):
        parts[f"least_{name}"] = np.minimum(parts[name], _authorised(parts["hosted"].to_numpy()))
    whole = np.zeros(len(clusters))
    whole[customers["unit"].to_numpy(dtype=np.int64)] = probability(customers["bits"].to_numpy(dtype=np.float64))
    parts["by_itself"] = whole[parts["place"]] * parts["least_score"]
    ids = _names(accounts, unit, group, count, history)
    grounds = pd.concat(
        [
            _tie_grounds(ties, standing, tied),
            _customer_grounds(alone, group),
            _host_grounds(parts),
        ],
        ignore_index=True,
    )
    outside = _outsiders(layers, ties, standing, tied, customers, unit, group)

    by = parts.groupby("group")
    together = by["chance"].mean()
    strength = pd.concat([standing["bits"].groupby(tied).mean(), alone["bits"].groupby(group[alone["unit"]]).mean()])
    speaks = grounds[grounds["bits"] > 0].sort_values(["group", "bits", "layer"], ascending=[True, False, True])
    organizations = pd.DataFrame(
        {
            "organization_id": ids, "clusters": by["cluster_id"].agg(list), "accounts": by["size"].sum(),
            "outsiders": outside.groupby("group").size().reindex(range(count), fill_value=0),
            "score": np.maximum(together * by["least_score"].max(), by["by_itself"].max()).round(6),
            "bits": strength.round(3), "coordination": together.round(6), "abuse": by["least_abuse"].max(),
            "layers": speaks.groupby("group")["layer"].agg(list),
            "first_seen": by["first_seen"].min(), "last_seen": by["last_seen"].max(),
        },
        index=pd.RangeIndex(count),
    )  # fmt: skip
    named = clusters["cluster_id"].to_numpy(dtype=object)
    between = pd.DataFrame(
        {
            "organization_id": ids[tied], "src": named[standing["first"]], "dst": named[standing["second"]],
            "bits": standing["bits"].round(3), "layers": _layers_of_ties(ties, standing),
        }
    )  # fmt: skip
    order = np.lexsort((ids.astype(str), -organizations["accounts"], -organizations["score"]))
    columns = [
        "organization_id", "cluster_id", "size", "score", "bits", "abuse", "judged", "harmful", "refused", "customer",
    ]  # fmt: skip
    for frame, column in ((parts, "customer"), (grounds, "entity"), (outside, "entity")):
        frame[column] = tokens_of(con, frame["layer"], frame[column], accounts, layers)
        frame["organization_id"] = ids[frame["group"].to_numpy(dtype=np.int64)]
    outside["account_id"] = accounts.ids[outside["account"].to_numpy(dtype=np.int64)]
    return Syndicates(
        organizations.iloc[order].reset_index(drop=True),
        parts[columns],
        between,
        grounds[["organization_id", "against", "layer", "bits", "text", "entity", "accounts"]],
        outside[["organization_id", "account_id", "layer", "entity"]],
    )


# -- who belongs together --------------------------------------------------------------------------------------------


def _customers(layers: Sequence[Incidence], unit: IntArray, units: int) -> pd.DataFrame:
    """unit, entity, have, size, all, bits: the org_id that most members of each cluster have, how many do and how
    many accounts in all, and the bits for the cluster to be that customer. One row at most for each cluster."""
    nothing = pd.DataFrame({name: np.zeros(0, np.int64) for name in ("unit", "entity", "have", "size", "all")})
    layer = next((one for one in layers if one.spec.name == ORGANIZATION.name), None)
    if layer is None or units == 0:
        return nothing.assign(bits=np.zeros(0))
    inside = unit[layer.account] >= 0
    rows = pd.DataFrame({"unit": unit[layer.account[inside]], "entity": layer.entity[inside]})
    rows = rows.groupby(["unit", "entity"]).size().rename("have").reset_index()
    rows["size"] = np.bincount(unit[unit >= 0], minlength=units)[rows["unit"]]
    rows["all"] = layer.degree[rows["entity"]]
    rows = rows[2 * rows["have"] > rows["size"]].reset_index(drop=True)
    worth = _wholeness(rows["have"], rows["size"]) + _wholeness(rows["have"], rows["all"])
    return rows.assign(bits=worth)


def _wholeness(have: pd.Series, of: pd.Series) -> FloatArray:
    """Bits of `have` out of `of`, for the beta-binomial of a density SHARPNESS · x³ against that of a flat one."""
    c, n = have.to_numpy(dtype=np.float64), of.to_numpy(dtype=np.float64)
    steps = np.arange(1, SHARPNESS)[:, None]
    return np.asarray(np.log2(SHARPNESS) + np.log2((c + steps) / (n + 1 + steps)).sum(axis=0))


def _groups(standing: pd.DataFrame, customers: pd.DataFrame, units: int) -> tuple[IntArray, int, pd.DataFrame]:
    """The organization of each cluster, from 0, -1 for none; how many there are; customers of one part."""
    ends = standing["first"].to_numpy(dtype=np.int64), standing["second"].to_numpy(dtype=np.int64)
    graph = sp.coo_matrix((np.ones(len(standing), dtype=np.int8), ends), shape=(units, units))
    label = sp.csgraph.connected_components(graph, directed=False)[1] if units else np.zeros(0, dtype=np.int64)
    several = np.zeros(units, dtype=np.bool_)
    several[np.concatenate(ends)] = True
    alone = customers[(customers["bits"] > 0) & ~several[customers["unit"].to_numpy(dtype=np.int64)]]
    kept = several.copy()
    kept[alone["unit"].to_numpy(dtype=np.int64)] = True
    group = np.full(units, -1, dtype=np.int64)
    present, group[kept] = np.unique(label[kept], return_inverse=True)
    return group, len(present), alone.reset_index(drop=True)


def _parts(
    accounts: AccountTable,
    clusters: pd.DataFrame,
    unit: IntArray,
    group: IntArray,
    standing: pd.DataFrame,
    alone: pd.DataFrame,
    customers: pd.DataFrame,
) -> pd.DataFrame:
    """The clusters of organizations, each organization's best first, with what harm each does and `chance`, that of
    being tied to another part at all (noisy or)."""
    units = len(clusters)
    miss, best = np.zeros(units), np.full(units, -np.inf)
    for end in ("first", "second"):
        at = standing[end].to_numpy(dtype=np.int64)
        np.add.at(miss, at, np.log1p(-probability(standing["bits"].to_numpy(dtype=np.float64))))
        np.maximum.at(best, at, standing["bits"].to_numpy(dtype=np.float64))
    at = alone["unit"].to_numpy(dtype=np.int64)
    best[at] = alone["bits"]
    miss[at] = np.log1p(-probability(best[at]))
    entity = np.full(units, -1, dtype=np.int64)
    entity[customers["unit"].to_numpy(dtype=np.int64)] = customers["entity"]
    inside = unit >= 0
    events = {
        name: np.bincount(unit[inside], accounts.frame[name].to_numpy()[inside], minlength=units).astype(np.int64)
        for name in ("judged", "harmful", "refused")
    }
    table = clusters.assign(
        group=group,
        place=np.arange(units),
        chance=-np.expm1(miss),
        bits=best.round(3),
        customer=entity,
        layer=ORGANIZATION.name,
        **events,
    )
    return table[group >= 0].sort_values("group", kind="stable").reset_index(drop=True)


def _authorised(hosted: FloatArray) -> FloatArray:
    """What abuse is bounded by: where most members are an institution's, the cluster is that institution."""
    return unauthorised(np.where(hosted > 0.5, 1.0, hosted))


def _names(accounts: AccountTable, unit: IntArray, group: IntArray, count: int, history: History) -> np.ndarray:
    """Ids of organizations, by their members."""
    member = np.flatnonzero(unit >= 0)
    member = member[group[unit[member]] >= 0]
    of = group[unit[member]]
    order = np.argsort(of, kind="stable")
    return name_groups(SYNDICATE, of[order], accounts.ids[member[order]], count, history)


def _outsiders(
    layers: Sequence[Incidence],
    ties: Ties,
    standing: pd.DataFrame,
    tied: IntArray,
    customers: pd.DataFrame,
    unit: IntArray,
    group: IntArray,
) -> pd.DataFrame:
    """group, account, layer, entity: accounts in no cluster that have a part's org_id, or what ties two parts. One
    row for each account of an organization."""
    of = customers.assign(group=group[customers["unit"].to_numpy(dtype=np.int64)], layer=ORGANIZATION.name)
    held = ties.reasons.merge(standing[["first", "second"]].assign(group=tied), on=["first", "second"])
    held = held[(held["kind"] == SHARED) & held["layer"].isin(IDENTITY)]
    columns = ["group", "layer", "entity"]
    wanted = pd.concat([of.loc[of["group"] >= 0, columns], held[columns]]).drop_duplicates()
    none = {name: np.zeros(0, np.int64) for name in ("group", "account", "place")}
    found = [pd.DataFrame({**none, "entity": -1, "layer": ""})]
    for place, name in enumerate(IDENTITY):
        for layer in layers:
            if layer.spec.name == name:
                loner = unit[layer.account] < 0
                holders = pd.DataFrame({"account": layer.account[loner], "entity": layer.entity[loner]})
                rows = wanted[wanted["layer"] == name].astype({"group": np.int64, "entity": np.int64})
                found.append(rows.merge(holders, on="entity").assign(place=place))
    table = pd.concat([frame for frame in found if len(frame)] or found[:1], ignore_index=True)
    table = table.sort_values(["group", "account", "place", "entity"], kind="stable")
    return table.drop_duplicates(["group", "account"]).reset_index(drop=True)


# -- why -------------------------------------------------------------------------------------------------------------


def _tie_grounds(ties: Ties, standing: pd.DataFrame, tied: IntArray) -> pd.DataFrame:
    """group, against, layer, bits (mean over the ties of the organization), text, entity (dense), accounts."""
    per = np.bincount(tied)
    table = ties.reasons.merge(standing[["first", "second"]].assign(group=tied), on=["first", "second"])
    table = table.sort_values(
        ["group", "layer", "bits", "entity"], ascending=[True, True, False, True], kind="stable"
    )
    by = table.groupby(["group", "layer"], sort=True)
    rows = by.agg(
        kind=("kind", "first"), bits=("bits", "sum"), entity=("entity", "first"), accounts=("accounts", "max"),
        most=("count", "max"), all=("count", "sum"), ties=("bits", "size"), things=("entity", "nunique"),
    ).reset_index()  # fmt: skip
    rows["others"] = _others(table, rows)
    rows["of"] = per[rows["group"].to_numpy(dtype=np.int64)]
    rows["bits"] /= rows["of"]
    rows["text"] = [_sentence(ties.texts, row) for row in rows.itertuples(index=False)]
    prior = (
        f"Of all pairs of clusters about one in 2^{-ties.prior:.1f} is of one organization ({ties.prior:+.1f} bits)."
    )
    rest = pd.DataFrame({"group": np.unique(tied), "layer": "prior", "bits": ties.prior, "text": prior})
    return _grounds(pd.concat([rows, rest.assign(entity=-1, accounts=0)], ignore_index=True))


def _others(table: pd.DataFrame, rows: pd.DataFrame) -> IntArray:
    """Who has the entity of each row besides the parts of the organization that it ties; int64[rows]."""
    held = table.merge(rows[["group", "layer", "entity"]], on=["group", "layer", "entity"])
    ends = pd.concat([held.assign(part=held[end])[["group", "layer", "part"]] for end in ("first", "second")])
    parts = ends.drop_duplicates().groupby(["group", "layer"]).size()
    have = held.groupby(["group", "layer"])["others"].max() + 2
    by = pd.MultiIndex.from_frame(rows[["group", "layer"]])
    return (have - parts).reindex(by).fillna(0).clip(lower=0).to_numpy(dtype=np.int64)


_THINGS = {
    "payment": "payment instrument", "network": "address", "email": "mail domain or mailbox pattern",
    "phone": "phone number", "prompts": "family of prompts", "tools": "tool chain or target",
    "organization": "organization id",
}  # fmt: skip


def _sentence(texts: dict[str, str], row: Any) -> str:
    which = "The two parts" if row.of == 1 else f"{row.ties} of {row.of} pairs of parts"
    worth = f"({row.bits:+.1f} bits a tie)."
    if row.kind == ABSENT:
        group = row.layer.removeprefix("no_")
        return (
            f"{which} have no {_THINGS.get(group, group.replace('_', ' '))} in common though both have some {worth}"
        )
    if row.kind == PAIRS:
        return f"{which} have {row.all} pairs of accounts that may have one operator, by all they share {worth}"
    several = f" ({row.most} different ones)" if row.most > 1 else ""
    others = {0: "nobody else", 1: "1 other"}.get(row.others, f"{row.others} others")
    rarest = ", the rarest" if row.things > 1 else ""
    return f"{which} share {texts[row.layer]}{several}{rarest} with {others} {worth}"


def _customer_grounds(alone: pd.DataFrame, group: IntArray) -> pd.DataFrame:
    text = [
        f"{have} of its {size} accounts have one organization id, and of the {all_} accounts that have it {have} are "
        f"in it ({bits:+.1f} bits)."
        for have, size, all_, bits in zip(alone["have"], alone["size"], alone["all"], alone["bits"], strict=True)
    ]
    return _grounds(
        alone[["bits", "entity"]].assign(
            group=group[alone["unit"].to_numpy(dtype=np.int64)],
            layer=ORGANIZATION.name,
            accounts=alone["have"],
            text=text,
        )
    )


def _host_grounds(parts: pd.DataFrame) -> pd.DataFrame:
    """What speaks for organizations whose people sit at a known institution's addresses, their parts together."""
    weight = (parts["hosted"] * parts["size"]).groupby(parts["group"]).sum()
    share = (weight / parts.groupby("group")["size"].sum()).to_numpy(dtype=np.float64)
    at = np.flatnonzero(share >= LEAST_TASK)
    bits = np.log2(_authorised(share[at]))
    text = [
        f"{one:.0%} of its accounts use addresses of a known company or campus, where harm may be a task "
        f"({worth:+.1f} bits for abuse)."
        for one, worth in zip(share[at].tolist(), bits.tolist(), strict=True)
    ]
    table = pd.DataFrame({"group": at, "bits": bits, "text": pd.Series(text, dtype=object)})
    return _grounds(table.assign(layer=HOST_LAYER, entity=-1, accounts=0))


def _grounds(rows: pd.DataFrame) -> pd.DataFrame:
    weak = rows[rows["bits"].abs() < MIN_BITS].groupby("group")["bits"].agg(["sum", "size"]).reset_index()
    weak = weak[weak["sum"].abs() >= LEAST_TOLD]
    text = [
        f"{n} weaker reasons together ({bits:+.1f} bits a tie)."
        for n, bits in zip(weak["size"], weak["sum"], strict=True)
    ]
    others = weak.rename(columns={"sum": "bits"}).assign(layer="others", text=text, entity=-1, accounts=0)
    told = rows[rows["bits"].abs() >= MIN_BITS]
    rows = pd.concat([told, others], ignore_index=True) if len(others) else told
    rows = rows.assign(against=rows["bits"] < 0)
    order = np.lexsort((rows["layer"].astype(str), -rows["bits"].abs(), rows["group"]))
    kinds = {"group": np.int64, "bits": np.float64, "entity": np.int64, "accounts": np.int64}
    table = rows.iloc[order][["group", "against", "layer", "bits", "text", "entity", "accounts"]].astype(kinds)
    return table.round({"bits": 3}).reset_index(drop=True)


def _layers_of_ties(ties: Ties, standing: pd.DataFrame) -> list[list[str]]:
    speaks = ties.reasons[ties.reasons["bits"] > 0].sort_values(["bits", "layer"], ascending=[False, True])
    lists = speaks.groupby(["first", "second"])["layer"].agg(list).to_dict()
    return [lists.get(pair, []) for pair in zip(standing["first"], standing["second"], strict=True)]
