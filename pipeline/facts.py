"""What the log says of a few accounts, for people who decide on them."""

from __future__ import annotations

from collections.abc import Sequence

import pandas as pd

from ringwatch.graphs.accounts import FLAGGED, HARMFUL
from ringwatch.pipeline.rehearsal import rehearse_run, seen_batches
from ringwatch.pipeline.runs import RunRecord
from ringwatch.workspace import Workspace

_FIELDS = ("ip", "device", "payment", "user_agent", "prompt", "tool", "harm")


def account_facts(workspace: Workspace, accounts: Sequence[str], record: RunRecord) -> pd.DataFrame:
    """What a run saw of each account, in the order given: account_id, status, org_id, events, harmful, refused, harm
    (the most frequent category of its harmful events, or null), and how many of its events have each of ip, device,
    payment, user_agent, prompt and tool (`with_ip` …).
    """
    wanted = pd.DataFrame({"account_id": list(accounts), "place": range(len(accounts))})
    given = ", ".join(f"count({name}) AS with_{name}" for name in _FIELDS)
    with rehearse_run(workspace, record) as seen:
        seen.con.register("wanted", wanted)
        return seen.con.execute(
            f"""SELECT account_id, a.status, a.org_id, coalesce(e.events, 0) AS events,
                       coalesce(e.harmful, 0) AS harmful, coalesce(e.refused, 0) AS refused, h.harm,
                       {", ".join(f"coalesce(with_{name}, 0) AS with_{name}" for name in _FIELDS)}
                FROM wanted LEFT JOIN accounts a USING (account_id)
                LEFT JOIN (SELECT account_id, count(*) AS events, count(*) FILTER ({HARMFUL}) AS harmful,
                                  count(*) FILTER (refused) AS refused, {given}
                           FROM events SEMI JOIN wanted USING (account_id) GROUP BY 1) e USING (account_id)
                LEFT JOIN (SELECT account_id, harm FROM events SEMI JOIN wanted USING (account_id)
                           WHERE harm IS NOT NULL AND {HARMFUL} GROUP BY 1, 2
                           QUALIFY row_number() OVER (PARTITION BY account_id ORDER BY count(*) DESC, harm) = 1) h
                USING (account_id)
                ORDER BY place"""
        ).df()


def later_batches(workspace: Workspace, record: RunRecord) -> int:
    """How many drops were ingested after a run; the batches of verdicts are not counted."""
    with workspace.reading() as current:
        after = set(current.batches) - set(seen_batches(current, record))
        return sum((workspace.log_dir / batch / "report.json").is_file() for batch in after)


def log_facts(workspace: Workspace, record: RunRecord) -> pd.DataFrame:
    """What a run read, a row for each kind of event: kind, events, accounts, first, last (times), flagged (events
    that a classifier found harm in or a safeguard refused), and how many have each of ip, device, payment,
    user_agent, prompt, tool, harm and refused (`with_ip` …)."""
    given = ", ".join(f"count({name}) AS with_{name}" for name in (*_FIELDS, "refused"))
    with rehearse_run(workspace, record) as seen:
        return seen.con.execute(
            f"""SELECT kind, count(*) AS events, count(DISTINCT account_id) AS accounts, min(ts) AS first,
                       max(ts) AS last, count(*) FILTER ({FLAGGED}) AS flagged, {given}
                FROM events GROUP BY kind ORDER BY events DESC, kind"""
        ).df()
