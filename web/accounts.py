"""The page of an account: what `ringwatch investigate` prints, with what leads on from it."""

from __future__ import annotations

from typing import Any

import pandas as pd
from fastapi import APIRouter
from fastapi.responses import HTMLResponse
from markupsafe import Markup

from ringwatch.export import records, timeline_svg
from ringwatch.web.visits import Visiting

router = APIRouter()

_ROWS = 50


@router.get("/accounts/{account_id:path}")
def account(v: Visiting, account_id: str) -> HTMLResponse:
    found = v.desk.account(v.workspace, account_id)
    cases = v.book.of_cluster(found.cluster["cluster_id"]) if found.cluster is not None else []
    case = cases[-1] if cases and account_id in cases[-1].members else None
    return v.page(
        "account", at="", found=found, facts=found.facts, cluster=found.cluster, case=case,
        why=case.excluded.get(account_id) if case is not None else None,
        ties=_first(found.ties, "bits"), shared=_first(found.shared, "bits"), harm=_first(found.harm),
        relations=_first(found.relations), families=_first(found.families), chains=_first(found.chains),
        harmful=int(found.timeline["harmful"].sum()), events=int(found.timeline["events"].sum()),
        days=Markup(timeline_svg(found.timeline)) if len(found.timeline) else "",  # noqa: S704 (made of numbers and days)
    )  # fmt: skip


def _first(table: pd.DataFrame, measure: str | None = None) -> dict[str, Any]:
    """The first rows of a table, how many there are, and the highest of a column of it."""
    high = float(table[measure].max()) if measure is not None and len(table) else 0.0
    rows = records(table.head(_ROWS))
    return {"rows": rows, "all": len(table), "more": len(table) - len(rows), "high": high}
