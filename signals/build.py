"""From a run to signals: which things of suspects a newcomer would be known by.

A newcomer who shows a thing is taken for one of its users at random: the odds are those of their mean score, with
`STRANGERS` more who are as everybody. How much of that holds for who comes later is learnt from who came last: the
same is made of the log as it was a while ago, and the newcomers since are held to their scores of today. So a type of
thing that passes from hand to hand loses, by itself, what it seemed to say. Scores are not labels: `backtest` says
what signals are worth by labels.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

import duckdb
import numpy as np
import pandas as pd
import scipy.sparse as sp
from scipy.special import expit, logit

from ringwatch.clock import now
from ringwatch.graphs import Gathered, Incidence
from ringwatch.graphs.accounts import BoolArray, IntArray
from ringwatch.graphs.content import Prompts, sent_prompts
from ringwatch.graphs.layers import EMAIL_FAMILY, ENTITY_LAYERS, ORGANIZATION, PROMPT_FAMILY, TOOL_TARGET
from ringwatch.graphs.logistic import ridge_logistic
from ringwatch.ingest.tokens import code_digits
from ringwatch.metrics import Stopwatch
from ringwatch.pipeline import Rehearsal, Run, rehearse, rehearse_run
from ringwatch.signals.keys import ACCOUNT, CUSTOMER, KeyMaker
from ringwatch.signals.matcher import FAMILY, Matcher
from ringwatch.signals.pack import COLUMNS, Signals
from ringwatch.workspace import Workspace

WINDOW = timedelta(days=14)
SUSPECT = 0.5
"""Accounts of this score or more are suspects; what none of them uses is no signal."""

OF_ACCOUNT = ("phone", EMAIL_FAMILY.name, CUSTOMER)
"""What an account says of itself, not what it does."""

RESERVED = {ACCOUNT, FAMILY, EMAIL_FAMILY.name, TOOL_TARGET.name, CUSTOMER}
"""Declared types of these names are no signals: they would pass for others."""

STRANGERS = 2.0
LEAST_BITS = 0.5
LIFETIME = {"ip": timedelta(days=14)}
LIFETIME_ELSE = timedelta(days=90)
"""How long after a suspect's last use a thing is one: addresses are dealt out anew."""

RIDGE = 10.0
"""How many newcomers weigh as much as what is said without them: that lifts hold as they are."""

FIRST_DAY = timedelta(days=1)
LEAST_PIECES = 3
STRAY = 1e-4
"""A family is met by at most this share of the texts that are none of it."""

COMMON, FEW_TEXTS = 1e-3, 10
"""What a larger share of the texts of others has, and more of them than a few, is nobody's template."""

LEAST_MET = 0.2
"""A family that fewer of its own texts would meet has no template to be known by."""


def build_signals(
    workspace: Workspace, run: Run, *, window: timedelta = WINDOW, watch: Stopwatch | None = None
) -> Signals:
    """The signals of a run. `window` is how far back newcomers are learnt from. Commits nothing.

    Raises:
        UnavailableError: the workspace cannot be read.
    """
    with rehearse_run(workspace, run.record, watch=watch) as seen:
        return signals_of(seen, run.scores, run.record.run_id, window=window)


def signals_of(seen: Rehearsal, scores: pd.DataFrame, run_id: str, *, window: timedelta) -> Signals:
    """The signals of a log as it was seen, whose accounts have these scores (account_id, score, cluster_id)."""
    end = last_moment(seen.con)
    keys = KeyMaker(seen.workspace).keys
    if end is None:
        return Signals(COLUMNS.empty_table().to_pandas(), run_id, pd.Timestamp(now()), keys, 0.0, {}, 0)
    # Before the log as it is now is gathered: the two need not be in memory at once.
    with (
        seen.watch.stage("earlier"),
        rehearse(
            seen.workspace, as_of=end - window, seed=seen.seed, labels=seen.labels, batches=seen.batches
        ) as before,
    ):  # fmt: skip
        earlier = _things(before, before.detect().scores)
    with seen.watch.stage("newcomers"):
        learnt = _learn(seen.con, _packed(earlier, run_id, end - window, keys), scores)
    return _packed(_things(seen, scores), run_id, end, keys, learnt)


def last_moment(con: duckdb.DuckDBPyConnection) -> datetime | None:
    """The last moment of an event or a link of the attached log; where there is none, when its last account was made;
    None where nothing has a time."""
    found: datetime | None = con.execute(
        """SELECT coalesce((SELECT max(ts) FROM (SELECT ts FROM events UNION ALL SELECT ts FROM links)),
                           (SELECT max(created_at) FROM accounts))"""
    ).fetchall()[0][0]
    return found


@dataclass(frozen=True)
class _Things:
    """What suspects use, before anything is learnt: the rows of `Signals` with `lift`, natural log odds above `base`,
    in the place of bits."""

    rows: pd.DataFrame
    base: float


def _things(seen: Rehearsal, scores: pd.DataFrame) -> _Things:
    gathered = seen.gathered
    ids = gathered.accounts.frame["account_id"]
    scored = scores.set_index("account_id").reindex(ids)
    score = scored["score"].fillna(0.0).to_numpy(dtype=np.float64)
    base = float(logit(np.clip(score.mean() if len(score) else 0.0, 1e-5, 0.5)))
    suspect = score >= SUSPECT
    uses = _uses(gathered, seen.workspace.config.entity_types, suspect)
    uses = pd.concat([uses, _customers(seen.con)], ignore_index=True).astype({"i": np.int64})
    uses["score"], uses["suspect"] = score[uses["i"]], suspect[uses["i"]]
    # What an account says of itself is in use as long as the account is.
    last_seen = gathered.accounts.frame["last_seen"].to_numpy(dtype=np.float64)
    uses["last"] = np.where(uses["type"].isin(OF_ACCOUNT), np.fmax(uses["last"], last_seen[uses["i"]]), uses["last"])
    uses["cluster_id"] = scored["cluster_id"].to_numpy(dtype=object)[uses["i"]]
    named = ["type", "key"]
    uses = uses[uses.groupby(named)["suspect"].transform("any").astype(np.bool_)]
    rows = uses.groupby([*named, "group"], as_index=False).agg(
        total=("score", "sum"), accounts=("i", "nunique"), suspects=("suspect", "sum")
    )
    of_suspects = uses[uses["suspect"]]
    last = of_suspects.groupby(named)["last"].max()
    cluster = of_suspects.groupby([*named, "cluster_id"], dropna=True).size().reset_index(name="n")
    cluster = cluster.sort_values([*named, "n", "cluster_id"], ascending=[True, True, False, True])
    rows = rows.join(last, on=named).merge(
        cluster.drop_duplicates(named)[[*named, "cluster_id"]], on=named, how="left"
    )
    mean = (rows["total"] + STRANGERS * expit(base)) / (rows["accounts"] + STRANGERS)
    rows["lift"] = logit(mean.clip(1e-9, 1 - 1e-6)) - base
    with seen.watch.stage("templates"):
        rows = rows.merge(_templates(gathered, sent_prompts(seen.con), rows), on=named, how="left")
    rows = rows[(rows["type"] != FAMILY) | rows["pieces"].notna()]
    suspects = scored.reset_index()[suspect]
    accounts = pd.DataFrame(
        {
            "type": ACCOUNT, "key": suspects["account_id"], "group": ACCOUNT, "accounts": 1, "suspects": 1,
            "cluster_id": suspects["cluster_id"], "lift": logit(suspects["score"].clip(upper=1 - 1e-6)) - base,
            "last": last_seen[suspect],
        }
    )  # fmt: skip
    return _Things(pd.concat([rows, accounts], ignore_index=True), base)


def _uses(gathered: Gathered, declared: Sequence[str], suspect: BoolArray) -> pd.DataFrame:
    """i, type, key, group, last (µs) of who uses what a suspect uses; what is known to serve strangers is left out,
    and families of prompts of which a relative is common."""
    named = {spec.name for spec in (*ENTITY_LAYERS.values(), EMAIL_FAMILY, PROMPT_FAMILY, TOOL_TARGET)}
    named = (named | (set(declared) - RESERVED)) - {"email", "user_agent"}
    parts = [_rows(one, suspect) for one in gathered.shared if one.spec.name in named]
    empty = pd.DataFrame({name: pd.Series(dtype=kind) for name, kind in _USES.items()})
    return pd.concat([empty, *parts], ignore_index=True)


_USES = {"i": "int64", "type": "object", "key": "object", "group": "object", "last": "float64"}


def _rows(incidence: Incidence, suspect: BoolArray) -> pd.DataFrame:
    wanted = np.bincount(incidence.entity, suspect[incidence.account], len(incidence.code)) > 0
    wanted &= incidence.floor == 0
    keys = np.full(len(wanted), "", dtype=object)
    keys[wanted] = code_digits(incidence.code[wanted])
    rows = wanted[incidence.entity]
    return pd.DataFrame(
        {
            "i": incidence.account[rows], "type": incidence.spec.name, "key": keys[incidence.entity[rows]],
            "group": incidence.spec.group, "last": incidence.last[rows],
        }
    )  # fmt: skip


def _customers(con: duckdb.DuckDBPyConnection) -> pd.DataFrame:
    """The same of customers. Needs `ix`."""
    return con.execute(
        f"""SELECT i, '{CUSTOMER}' AS type, org_id AS key, '{ORGANIZATION.group}' AS "group",
                   epoch_us(created_at)::DOUBLE AS last
            FROM accounts JOIN ix USING (account_id) WHERE org_id IS NOT NULL ORDER BY 1"""
    ).df()


def _templates(gathered: Gathered, sent: Prompts, rows: pd.DataFrame) -> pd.DataFrame:
    """type, key, pieces, least of the families among `rows` that have a template to be known by.

    A template is what two texts of a family or more have in common (all of a text that is the only one) and few
    others have. So many pieces are asked for that hardly any text of others has as many (`STRAY`), and three or more.
    """
    codes, families = gathered.content.prompts.members
    wanted = rows.loc[rows["type"] == FAMILY, "key"].to_list()
    known, family = np.unique(families, return_inverse=True)
    asked = np.isin(code_digits(known), wanted)[family]
    named, family = np.unique(families[asked], return_inverse=True)
    names = code_digits(named)
    if not names:
        return pd.DataFrame({name: pd.Series(dtype="object") for name in ("type", "key", "pieces", "least")})
    sketches = sent.texts.sketches
    pieces, column = np.unique(sketches.values, return_inverse=True)
    ones = np.ones(len(column), np.int64)
    has = sp.csr_array((ones, column, sketches.offsets), shape=(len(sketches), len(pieces)))
    # Rows: families; columns: texts.
    of = sp.csr_array(
        (np.ones(len(family), np.int64), (family, np.searchsorted(sent.code, codes[asked]))),
        shape=(len(names), len(sketches)),
    )
    common = (of @ has).tocoo()
    at, piece = common.coords
    kept = common.data >= np.minimum(2, np.bincount(family, minlength=len(names)))[at]
    elsewhere = np.bincount(column, minlength=len(pieces))[piece] - common.data
    kept &= elsewhere <= max(FEW_TEXTS, COMMON * len(sketches))
    template = sp.csr_array((np.ones(kept.sum(), np.int64), (at[kept], piece[kept])), shape=(len(names), len(pieces)))
    texts = has.T.tocsr()
    found = []
    for number, name in enumerate(names):
        own = of.indices[of.indptr[number] : of.indptr[number + 1]]
        hits = (template[[number]] @ texts).tocoo()
        counts, mine = hits.data, np.isin(hits.coords[1], own)
        least = max(LEAST_PIECES, _beyond(counts[~mine], len(sketches) - len(own)) + 1)
        if (counts[mine] >= least).sum() >= LEAST_MET * len(own):
            own_pieces = template.indices[template.indptr[number] : template.indptr[number + 1]]
            found.append((name, pieces[own_pieces], least))
    return pd.DataFrame(found, columns=["key", "pieces", "least"]).assign(type=FAMILY)


def _beyond(counts: IntArray, others: int) -> int:
    """What a share of at most `STRAY` of `others` texts, of which these have any, have more than."""
    allowed = int(STRAY * others)
    return int(np.sort(counts)[::-1][allowed]) if len(counts) > allowed else 0


@dataclass(frozen=True)
class _Learnt:
    """What newcomers taught: how many there were, and what lifts of each group are to be multiplied by."""

    newcomers: int
    weights: dict[str, float]


_NOTHING = _Learnt(0, {})


def _packed(things: _Things, run_id: str, end: datetime, keys: str, learnt: _Learnt = _NOTHING) -> Signals:
    rows = things.rows
    weights = dict.fromkeys(sorted(set(rows["group"])), 1.0) | learnt.weights
    lift = rows["lift"] * rows["group"].map(weights)
    seen = pd.to_datetime(rows["last"].fillna(end.timestamp() * 1e6), unit="us", utc=True)
    life = rows["type"].map(LIFETIME).fillna(pd.Timedelta(LIFETIME_ELSE))
    table = rows.assign(bits=lift / np.log(2), last_seen=seen, expires_at=seen + life)
    table = table[(table["bits"] >= LEAST_BITS) & (table["expires_at"] > end)]
    table = table.sort_values(["type", "key"], kind="stable").reset_index(drop=True)[COLUMNS.names]
    table["pieces"] = table["pieces"].astype(object).where(table["pieces"].notna(), None)
    table["cluster_id"] = table["cluster_id"].astype(object).where(table["cluster_id"].notna(), None)
    table["least"] = table["least"].astype("Int64")
    base = things.base / float(np.log(2))
    return Signals(table, run_id, pd.Timestamp(end), keys, base, weights, learnt.newcomers)


def shown_after(con: duckdb.DuckDBPyConnection, since: datetime, matcher: Matcher) -> pd.DataFrame:
    """account_id, ts, type, key of what events after `since` show of what the matcher knows, each thing of an account
    once, when it was first shown; what an account says of itself is shown by its first event."""
    coded = con.execute(
        """WITH late AS (SELECT * FROM events WHERE ts > $since),
                 came AS (SELECT account_id, min(ts) AS ts FROM late GROUP BY 1)
            SELECT account_id, type, code, min(ts) AS ts FROM (
                SELECT account_id, ts, 'ip' AS type, ip AS code FROM late
                UNION ALL SELECT account_id, ts, 'device', device FROM late
                UNION ALL SELECT account_id, ts, 'payment', payment FROM late
                UNION ALL SELECT account_id, ts, 'prompt', prompt FROM late
                UNION ALL SELECT account_id, ts, 'tool_target', unnest(tool_values) FROM late
                UNION ALL SELECT account_id, came.ts, 'phone', phone FROM accounts JOIN came USING (account_id)
                UNION ALL SELECT account_id, came.ts, 'email_family', family
                          FROM accounts JOIN came USING (account_id)
                          JOIN tokens ON entity_type = 'email' AND entity = email
                UNION ALL SELECT account_id, ts, entity_type, entity FROM links
                          WHERE ts > $since AND entity_type <> 'email'
                UNION ALL SELECT account_id, ts, 'email_family', family
                          FROM links JOIN tokens USING (entity_type, entity)
                          WHERE ts > $since AND entity_type = 'email'
            ) WHERE code IS NOT NULL GROUP BY ALL ORDER BY ALL""",
        {"since": since},
    ).df()
    named = con.execute(
        """WITH came AS (SELECT account_id, min(ts) AS ts FROM events WHERE ts > $since GROUP BY 1)
           SELECT account_id, 'account' AS type, account_id AS key, ts FROM came
           UNION ALL SELECT account_id, 'org_id', org_id, ts FROM accounts JOIN came USING (account_id)
                     WHERE org_id IS NOT NULL""",
        {"since": since},
    ).df()
    texts = coded["type"] == "prompt"
    families = coded[texts].merge(_met(con, coded.loc[texts, "code"].unique(), matcher), on="code")
    things = coded[~texts].assign(key=code_digits(coded.loc[~texts, "code"].to_numpy(dtype=np.int64)))
    found = pd.concat([things, families.assign(type=FAMILY), named], ignore_index=True).drop(columns="code")
    known = pd.MultiIndex.from_frame(found[["type", "key"]]).isin(list(matcher.keys))
    return found[known].sort_values(["account_id", "ts", "type", "key"], kind="stable").reset_index(drop=True)


def _met(con: duckdb.DuckDBPyConnection, prompts: IntArray, matcher: Matcher) -> pd.DataFrame:
    """code, key of the families that each prompt meets."""
    con.register("asked", pd.DataFrame({"prompt": prompts.astype(np.int64)}))
    rows = con.execute("SELECT prompt, sketch FROM prompts JOIN asked USING (prompt) ORDER BY 1").fetchall()
    con.unregister("asked")
    found = [(code, family) for code, sketch in rows for family in matcher.families(sketch)]
    return pd.DataFrame(found, columns=["code", "key"])


def _learn(con: duckdb.DuckDBPyConnection, earlier: Signals, scores: pd.DataFrame) -> _Learnt:
    """What is learnt from who came after `earlier` was made: by a logistic regression of their scores on what each
    showed on its first day, that draws to what is said without them."""
    since = earlier.as_of.to_pydatetime()
    came = con.execute(
        "SELECT account_id, min(ts) AS came FROM events GROUP BY 1 HAVING min(ts) > $since ORDER BY 1",
        {"since": since},
    ).df()
    target = came["account_id"].map(scores.set_index("account_id")["score"]).fillna(0.0).to_numpy(dtype=np.float64)
    shown = shown_after(con, since, Matcher(earlier)).merge(came, on="account_id")
    shown = shown.merge(earlier.table[["type", "key", "group", "bits", "expires_at"]], on=["type", "key"])
    shown = shown[(shown["ts"] <= shown["came"] + FIRST_DAY) & (shown["ts"] < shown["expires_at"])]
    shown = shown[shown["group"] != ACCOUNT]
    groups = sorted(set(shown["group"]))
    best = shown.groupby(["account_id", "group"])["bits"].max().unstack().reindex(came["account_id"])
    lifts = best.reindex(columns=groups).fillna(0.0).to_numpy(dtype=np.float64) * np.log(2)
    start = np.append(earlier.base * np.log(2), np.ones(len(groups)))
    x = np.column_stack([np.ones(len(came)), lifts])
    found = ridge_logistic(x, target, np.full(len(start), RIDGE), start=start)
    weights = np.maximum(found[1:], 0.0).tolist()
    return _Learnt(len(came), dict(zip(groups, weights, strict=True)))
