"""The presets: how much of an operation's tradecraft shows, and which tactics it spends on hiding."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Tactics:
    """What an operator does against detection, a field a tactic; all zero is no effort at all.

    `hidden` is the share of planted traces (a member's use of a shared entity, its copy of a template, its run of a
    chain, its referral) that leave nothing behind. `paraphrase` is the share of a template's words that each copy
    replaces. The rotations enlarge the pools of addresses, cards and devices: at 1 they are five times as large, so
    that fewer members meet on each. `cell` cuts an operation into cells of that many members which share nothing
    but one courier's traces (0: no cells). `signup_days` stretches the burst of sign-ups by days. `dilution` is the
    share of a member's sessions that are spent on looking like anybody.
    """

    hidden: float = 0.05
    paraphrase: float = 0.08
    ip_rotation: float = 0.0
    card_rotation: float = 0.0
    device_rotation: float = 0.0
    cell: int = 0
    signup_days: float = 0.0
    dilution: float = 0.15


@dataclass(frozen=True)
class Scenario:
    """A preset. `prevalence` is the share of accounts in operations unless the caller says otherwise."""

    name: str
    text: str
    tactics: Tactics
    accounts: int = 11_000
    prevalence: float = 0.05


_PRESETS = (
    Scenario("easy", "95 % of the tradecraft is left visible, copies change 8 % of the words", Tactics()),
    Scenario(
        "medium",
        "65 % of the tradecraft is left visible, copies change 18 % of the words",
        Tactics(hidden=0.35, paraphrase=0.18, dilution=0.25),
    ),
    Scenario(
        "hard",
        "40 % of the tradecraft is left visible, copies change 28 % of the words",
        Tactics(hidden=0.60, paraphrase=0.28, dilution=0.35),
    ),
    Scenario(
        "evasive",
        "as hard, with rotation, cells of three, slow sign-ups and dilution by benign traffic",
        Tactics(
            hidden=0.60, paraphrase=0.28, ip_rotation=0.5, card_rotation=0.5, device_rotation=0.5,
            cell=3, signup_days=60.0, dilution=0.55,
        ),
    ),
)  # fmt: skip

PRESETS = {preset.name: preset for preset in _PRESETS}
