"""What the log says of a few accounts, for people who decide on them."""

from __future__ import annotations

from collections.abc import Sequence

import pandas as pd

from ringwatch.clock import parse_time
from ringwatch.graphs.accounts import HARM_THRESHOLD, NO_HARM_NAMES
from ringwatch.ingest import EventLog
from ringwatch.pipeline.runs import RunRecord
from ringwatch.pipeline.stores import log_connection
from ringwatch.workspace import Workspace

_NAMES = ", ".join(f"'{name}'" for name in NO_HARM_NAMES)
_HARMFUL = f"coalesce(harm_score >= {HARM_THRESHOLD}, harm IS NOT NULL AND lower(harm) NOT IN ({_NAMES}))"
_FIELDS = ("ip", "device", "payment", "user_agent", "prompt", "tool", "harm")


def account_facts(workspace: Workspace, accounts: Sequence[str], record: RunRecord) -> pd.DataFrame:
    """What a run saw of each account, in the order given: account_id, status, org_id, events, harmful, refused, harm
    (the most frequent category of its harmful events, or null), and how many of its events have each of ip, device,
    payment, user_agent, prompt and tool (`with_ip` …).
    """
    wanted = pd.DataFrame({"account_id": list(accounts), "place": range(len(accounts))})
    given = ", ".join(f"count({name}) AS with_{name}" for name in _FIELDS)
    with log_connection(workspace) as con:
        as_of = parse_time(record.as_of) if record.as_of else None
        EventLog(workspace, workspace.current()).attach(con, as_of=as_of, batches=_seen(workspace, record))
        con.register("wanted", wanted)
        return con.execute(
            f"""SELECT account_id, a.status, a.org_id, coalesce(e.events, 0) AS events,
                       coalesce(e.harmful, 0) AS harmful, coalesce(e.refused, 0) AS refused, h.harm,
                       {", ".join(f"coalesce(with_{name}, 0) AS with_{name}" for name in _FIELDS)}
                FROM wanted LEFT JOIN accounts a USING (account_id)
                LEFT JOIN (SELECT account_id, count(*) AS events, count(*) FILTER ({_HARMFUL}) AS harmful,
                                  count(*) FILTER (refused) AS refused, {given}
                           FROM events SEMI JOIN wanted USING (account_id) GROUP BY 1) e USING (account_id)
                LEFT JOIN (SELECT account_id, harm FROM events SEMI JOIN wanted USING (account_id)
                           WHERE harm IS NOT NULL AND {_HARMFUL} GROUP BY 1, 2
                           QUALIFY row_number() OVER (PARTITION BY account_id ORDER BY count(*) DESC, harm) = 1) h
                USING (account_id)
                ORDER BY place"""
        ).df()


def later_batches(workspace: Workspace, record: RunRecord) -> int:
    """How many drops were ingested after a run; the batches of verdicts are not counted."""
    after = set(workspace.current().batches) - set(_seen(workspace, record))
    return sum((workspace.log_dir / batch / "report.json").is_file() for batch in after)


def _seen(workspace: Workspace, record: RunRecord) -> list[str]:
    # A rotation of keys renames batches behind their number.
    seen = {batch.partition("-")[0] for batch in record.batches}
    return [batch for batch in workspace.current().batches if batch.partition("-")[0] in seen]
