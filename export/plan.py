"""In what order a takedown is carried out: a canary, waves, and hold-outs that show what it changed."""

from __future__ import annotations

import hashlib
import math

import pandas as pd

COLUMNS = ("account_id", "action", "wave", "role", "day", "why")
CANARY, FIRST_WAVE, HOLD_OUT = 0.05, 0.3, 0.1
"""Shares of the accounts that are acted on: of the canary, of the first wave, and of the hold-outs."""
LEAST_FOR_HOLD_OUT = 20
DAYS = {"canary": 0, "first": 2, "rest": 7, "hold-out": 28}

STOP = (
    "Stop before the next wave when an appeal of this one is overturned, when its accounts turn out to be of one"
    " institution, or when support hears from more of them than the estimate of collateral has in its interval."
)


def stage(accounts: pd.DataFrame, digest: str) -> pd.DataFrame:
    """COLUMNS, a row for each account, in the order of the waves.

    Args:
        accounts: account_id, action, confidence, membership. Who is only monitored is so from day 0. digest: the
            cluster's; with the account's id it draws the hold-outs, so that nobody chooses them.
    """
    watched = accounts[accounts["action"] == "monitor"]
    acted = accounts[accounts["action"] != "monitor"].sort_values(
        ["confidence", "membership", "account_id"], ascending=[False, False, True], ignore_index=True
    )
    held = 0 if len(acted) < LEAST_FOR_HOLD_OUT else math.floor(HOLD_OUT * len(acted))
    draw = acted["account_id"].map(lambda name: hashlib.sha256(f"{digest}\n{name}".encode()).hexdigest())
    out = acted.index.isin(draw.sort_values().index[:held])
    rest = acted[~out]
    canary = max(1, math.ceil(CANARY * len(rest))) if len(rest) else 0
    first = math.ceil(FIRST_WAVE * len(rest))
    rank = pd.Series(range(len(rest)), index=rest.index)
    role = rank.map(lambda place: "canary" if place < canary else "first" if place < canary + first else "rest")
    rows = [
        watched.assign(role="watched", wave=0, day=0, why="Only watched; nothing changes for it."),
        rest.assign(role=role, wave=role.map({"canary": 0, "first": 1, "rest": 2}), day=role.map(DAYS)).assign(
            why=role.map(
                {
                    "canary": "Most certain: shows early whether the action is right and does what it should.",
                    "first": "Next in certainty.",
                    "rest": "The others.",
                }
            )
        ),
        acted[out].assign(
            role="hold-out", wave=3, day=DAYS["hold-out"],
            why="Drawn by lot: watched until then, to measure what the action changes; act at once if it does harm.",
        ),
    ]  # fmt: skip
    found = [part.reindex(columns=list(COLUMNS)) for part in rows if len(part)]
    return pd.concat(found, ignore_index=True)
