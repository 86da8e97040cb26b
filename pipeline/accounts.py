"""One account as a page: what the store, the log and the newest run know of it."""

from __future__ import annotations

import shlex
from contextlib import closing
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from ringwatch.errors import UnavailableError, UsageError
from ringwatch.graphs.accounts import HARMFUL
from ringwatch.graphs.store import GraphStore
from ringwatch.ingest import EventLog
from ringwatch.pipeline.runs import find_run, read_record
from ringwatch.pipeline.stores import log_connection, open_store
from ringwatch.queries import run as ask
from ringwatch.workspace import Workspace

_ROWS = 1000
_NAMED = 5
"""Other accounts that are named with an entity."""


@dataclass(frozen=True)
class Dossier:
    """All that is known of an account.

    `facts`: created_at, status, country, plan, label, org_id, events, harm_rate, refused_rate, score. `cluster`:
    cluster_id, score, membership and what else `clusters list` says, None where it is in none. `ties`: other_id,
    bits, layers, status, label, score, cluster_id. `shared`: entity, type, known_kind, accounts, bits (log2 of one
    account in how many has it: what sharing it can say at most), others (up to five), uses, first_seen, last_seen.
    `relations`: kind, direction, other_id, count, amount. `families`, `chains`: as the questions `account-prompts`
    and `account-tools`. `timeline`: day, events, harmful, refused. `harm`: category (as the data names it), events,
    refused, highest (score), first_seen, last_seen. `next`: commands to go on with.
    """

    account_id: str
    run_id: str
    facts: dict[str, Any]
    cluster: dict[str, Any] | None
    ties: pd.DataFrame
    shared: pd.DataFrame
    relations: pd.DataFrame
    families: pd.DataFrame
    chains: pd.DataFrame
    timeline: pd.DataFrame
    harm: pd.DataFrame
    next: list[str]


def load_account(workspace: Workspace, account_id: str, *, wait: float = 10.0) -> Dossier:
    """The account with all that is known of it.

    Raises:
        UsageError: there is no run yet, or no such account.
        UnavailableError, PolicyError: as `open_store`.
    """
    run_id = find_run(workspace)
    with closing(open_store(workspace, wait=wait)) as store:
        profile = _frame(store, "account-profile", account_id)
        if profile.empty:
            raise UsageError(
                f"There is no account {account_id}.", hint="`ringwatch find VALUE` knows what the graph knows."
            )
        ties = _frame(store, "account-ties", account_id)
        own = _frame(store, "account-entities", account_id)
        near = _frame(store, "shared-entities", account_id)
        families = _frame(store, "account-prompts", account_id)
        chains = _frame(store, "account-tools", account_id)
    row = profile.iloc[0].to_dict()
    cluster = _cluster(workspace, run_id, row["cluster_id"], row["membership"])
    timeline, harm, relations, org = _history(workspace, account_id)
    shared = _shared(own, near, read_record(workspace, run_id).accounts)
    names = ("created_at", "status", "country", "plan", "label", "events", "harm_rate", "refused_rate", "score")
    facts = {name: _value(row[name]) for name in names} | {"org_id": org}
    return Dossier(
        account_id, run_id, facts, cluster, ties, shared, relations, families, chains, timeline, harm,
        _next(account_id, cluster, shared, families),
    )  # fmt: skip


def _frame(store: GraphStore, name: str, account: str) -> pd.DataFrame:
    answer = ask(store, name, {"account": account}, limit=_ROWS)
    return pd.DataFrame(answer.rows, columns=answer.columns)


def _value(value: Any) -> Any:
    return None if value is None or (not isinstance(value, list) and pd.isna(value)) else value


def _cluster(workspace: Workspace, run_id: str, cluster: Any, membership: Any) -> dict[str, Any] | None:
    if _value(cluster) is None:
        return None
    clusters = pd.read_parquet(workspace.runs_dir / run_id / "clusters.parquet")
    rows = clusters[clusters["cluster_id"] == cluster]
    if rows.empty:
        raise UnavailableError("A newer run was stored in this moment.", hint="Ask again.")
    row = rows.iloc[0].to_dict()
    wanted = ("cluster_id", "size", "score", "bits", "coordination", "abuse", "status")
    return {name: _value(row[name]) for name in wanted} | {"membership": _value(membership)}


def _shared(own: pd.DataFrame, near: pd.DataFrame, accounts: int) -> pd.DataFrame:
    """Entities, the rarest first among those that others have."""
    users = own["other_accounts"].to_numpy(dtype=np.int64) + 1
    others = near.groupby("entity", sort=False)["other_id"].agg(lambda ids: list(ids)[:_NAMED])
    found = pd.DataFrame(
        {
            "entity": own["entity"],
            "type": [entity.rpartition("_")[0] for entity in own["entity"]],
            "known_kind": own["known_kind"],
            "accounts": users,
            "bits": np.where(users > 1, np.log2(max(accounts, 1) / users), 0.0).round(1),
            "others": [others.get(entity, []) for entity in own["entity"]],
            "uses": own["uses"],
            "first_seen": own["first_seen"],
            "last_seen": own["last_seen"],
        }
    )
    return found.sort_values(["bits", "entity"], ascending=[False, True], ignore_index=True)


def _history(workspace: Workspace, account: str) -> tuple[pd.DataFrame, pd.DataFrame, pd.DataFrame, str | None]:
    harmful = f"{HARMFUL} OR coalesce(refused, false)"
    with log_connection(workspace) as con:
        EventLog(workspace, workspace.current()).attach(con)
        con.execute(
            f"CREATE TEMP TABLE own AS SELECT *, {harmful} AS bad FROM events WHERE account_id = $1", [account]
        )
        timeline = con.execute(
            """SELECT date_trunc('day', ts) AS day, count(*) AS events, count(*) FILTER (bad) AS harmful,
                      count(*) FILTER (refused) AS refused
               FROM own GROUP BY 1 ORDER BY 1"""
        ).df()
        harm = con.execute(
            """SELECT coalesce(lower(harm), 'refused') AS category, count(*) AS events,
                      count(*) FILTER (refused) AS refused, max(harm_score) AS highest, min(ts) AS first_seen,
                      max(ts) AS last_seen
               FROM own WHERE bad GROUP BY 1 ORDER BY 2 DESC, 1"""
        ).df()
        relations = con.execute(
            """SELECT kind, direction, other_id, sum(coalesce(count, 1))::BIGINT AS count, sum(amount) AS amount
               FROM (SELECT kind, 'to' AS direction, dst_account_id AS other_id, count, amount
                     FROM relations WHERE src_account_id = $1
                     UNION ALL
                     SELECT kind, 'from', src_account_id, count, amount FROM relations WHERE dst_account_id = $1)
               GROUP BY 1, 2, 3 ORDER BY 1, 2, 3""",
            [account],
        ).df()
        org = con.execute("SELECT org_id FROM accounts WHERE account_id = $1", [account]).fetchone()
    return timeline, harm, relations, org[0] if org else None


def _next(account: str, cluster: dict[str, Any] | None, shared: pd.DataFrame, families: pd.DataFrame) -> list[str]:
    """What one would ask next, the most telling first."""
    said = []
    if cluster is not None:
        said += [
            f"ringwatch clusters show {cluster['cluster_id']}",
            f"ringwatch query run cluster-outsiders --param cluster={cluster['cluster_id']}",
        ]
    rare = shared[(shared["accounts"] > 1) & shared["known_kind"].isna()]
    said += [f"ringwatch query run entity-accounts --param entity={rare['entity'].iloc[0]}"] if len(rare) else []
    common = families[families["accounts"] > 1] if len(families) else families
    said += [f"ringwatch query run family-accounts --param family={common['family'].iloc[0]}"] if len(common) else []
    named = shlex.quote(f"account={account}")  # what it is called was chosen by who is looked at
    said += [f"ringwatch query run {name} --param {named}" for name in ("near-suspects", "two-hops")]
    return said
