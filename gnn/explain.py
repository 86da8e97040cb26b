"""Why a model scores an account as it does: shares of its log odds by theme and by relation, that add up.

A theme (what an account does, its harm, its ties, what one relation says, what labels say) is taken out by putting in
its place what is usual: the medians of all accounts. Shares are Shapley values over themes (Štrumbelj and Kononenko,
"Explaining prediction models and individual predictions with feature contributions", KAIS 2014), by antithetic
permutations; they add up to what sets the account apart from the usual one.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from scipy.special import expit

from ringwatch.gnn.graph import BoolArray, FloatArray, Graph
from ringwatch.gnn.models.propagation import OPINIONS
from ringwatch.gnn.neighbours import Block
from ringwatch.gnn.registry import Scorer
from ringwatch.gnn.task import View

PERMUTATIONS = 32

THEMES: Mapping[str, tuple[str, ...]] = {
    "its own harm": ("harm_", "log_harm", "refused"),
    "when it came and how long it stayed": (
        "created",
        "log_wait",
        "log_span",
        "log_idle",
        "log_days",
        "hour_entropy",
    ),
    "how much it does": ("log_events", "log_sessions", "log_tokens", "log_amount", "share_"),
    "what it sends": ("wording", "log_prompts", "fresh_prompts", "log_tools"),
    "what it connects from": ("log_ip", "log_device", "log_user_agent", "hosted"),
    "what it pays with": ("log_payment",),
    "who it says it is": ("plan", "country", "in_org"),
}
"""A theme of the account's own columns → how their names begin; `x_` features are themes of their own."""

EVIDENCE = "the evidence that ties it to a cluster"
LABELS = "labels of its neighbours"
MATES = "what those tied to it do"
REST = "other columns of its own"


@dataclass(frozen=True)
class Reason:
    """A theme with its share of the log odds (in bits), and the probability without it."""

    theme: str
    bits: float
    without: float


@dataclass(frozen=True)
class Explanation:
    """Why an account has its score. `usual` is the probability of an account of which everything is usual; `reasons`,
    the largest share first, lead from there to `probability`. `counterfactual` names the fewest themes (greedily)
    without which it would be below one half, none where it is already; `fidelity` is what taking the first three out
    (`necessity`), three at random, and all but the first three does to the log odds, as a share."""

    probability: float
    usual: float
    reasons: tuple[Reason, ...]
    counterfactual: tuple[str, ...]
    fidelity: dict[str, float]


def theme_of(block: str, name: str) -> str:
    """The theme that a column belongs to."""
    if block == "labels":
        return LABELS
    if block == "evidence":
        return EVIDENCE
    if block == OPINIONS:
        return MATES
    if block == "own":
        if name.startswith("x_"):
            return name
        return next((theme for theme, starts in THEMES.items() if name.startswith(starts)), REST)
    return f"neighbours by {block.split(' ', maxsplit=1)[0].replace('_', ' ')}"


class Game:
    """One account's themes as players: the log odds of any coalition, the others being usual."""

    def __init__(self, scorer: Scorer, view: View, account: int) -> None:
        self._scorer, self._view = scorer, scorer.still(view)
        self._own = [block.values[account] for block in self._view.blocks]
        self._usual = [_medians(block) for block in self._view.blocks]
        self._base = float(view.graph.base[account]), float(np.median(view.graph.base))
        theme = [[theme_of(block.name, name) for name in block.names] for block in self._view.blocks]
        differs = [
            ~((own == usual) | (np.isnan(own) & np.isnan(usual)))
            for own, usual in zip(self._own, self._usual, strict=True)
        ]
        found = {
            name for names, unlike in zip(theme, differs, strict=True)
            for name, one in zip(names, unlike.tolist(), strict=True) if one
        }  # fmt: skip
        self.themes = tuple(sorted(found | {EVIDENCE}))
        number = {name: place for place, name in enumerate(self.themes)}
        self._owner = [np.array([number.get(name, -1) for name in names], dtype=np.int64) for names in theme]

    def log_odds(self, coalitions: BoolArray) -> FloatArray:
        """bool[m, themes] → calibrated log odds float64[m]."""
        blocks = []
        for block, own, usual, owner in zip(self._view.blocks, self._own, self._usual, self._owner, strict=True):
            present = np.where(owner >= 0, coalitions[:, np.maximum(owner, 0)], True)
            blocks.append(Block(block.name, block.names, np.where(present, own, usual).astype(np.float32)))
        with_evidence = coalitions[:, self.themes.index(EVIDENCE)]
        graph = self._view.graph
        rows = Graph(
            np.arange(len(coalitions)).astype(object), graph.features[: len(coalitions)], graph.names, (),
            np.where(with_evidence, *self._base), graph.core, graph.own,
        )  # fmt: skip
        return self._scorer.log_odds(View(rows, tuple(blocks)))


def _medians(block: Block) -> FloatArray:
    """What is usual by column: the median of those known, unknown where most are."""
    values = block.values
    known = ~np.isnan(values)
    out = np.full(values.shape[1], np.nan)
    for column in np.flatnonzero(known.mean(axis=0) >= 0.5).tolist():  # columns, not accounts
        out[column] = np.median(values[known[:, column], column])
    return out


def explain_account(scorer: Scorer, view: View, account: int, *, seed: int = 0) -> Explanation:
    """Shares by theme, what turns the score, and how far the shares can be believed.

    `signed` passes messages over the whole graph and cannot be asked about coalitions; it must be no part.
    """
    game = Game(scorer, view, account)
    shares = shapley(game, seed=seed)
    k = len(game.themes)
    order = np.argsort(-np.abs(shares), kind="stable")
    everything, nothing = np.ones((1, k), dtype=np.bool_), np.zeros((1, k), dtype=np.bool_)
    full, empty = float(game.log_odds(everything)[0]), float(game.log_odds(nothing)[0])
    alone = game.log_odds(~np.eye(k, dtype=np.bool_))
    reasons = tuple(
        Reason(game.themes[place], round(float(shares[place] / np.log(2)), 4), round(float(expit(alone[place])), 6))
        for place in order.tolist()
    )
    return Explanation(
        round(float(expit(full)), 6), round(float(expit(empty)), 6), reasons,
        turned(game, shares, full), fidelity(game, shares, full, empty, seed=seed),
    )  # fmt: skip


def shapley(game: Game, *, seed: int) -> FloatArray:
    """Shares of the log odds, natural; float64[themes]. Each permutation is walked in both directions."""
    k = len(game.themes)
    rng = np.random.default_rng([seed, 92])
    orders = [rng.permutation(k) for _ in range(PERMUTATIONS)]
    orders += [order[::-1] for order in orders]
    steps = np.zeros((len(orders), k + 1, k), dtype=np.bool_)
    for number, order in enumerate(orders):
        for place, theme in enumerate(order.tolist()):
            steps[number, place + 1 :, theme] = True
    value = game.log_odds(steps.reshape(-1, k)).reshape(len(orders), k + 1)
    gains = np.diff(value, axis=1)
    shares = np.zeros(k)
    for number, order in enumerate(orders):
        shares[order] += gains[number]
    return shares / len(orders)


def turned(game: Game, shares: FloatArray, full: float) -> tuple[str, ...]:
    """The fewest themes, the largest share first, without which the account is below one half."""
    if full <= 0:
        return ()
    gone = np.ones(len(shares), dtype=np.bool_)
    named = []
    for place in np.argsort(-shares, kind="stable").tolist():
        if shares[place] <= 0:
            break
        gone[place] = False
        named.append(game.themes[place])
        if game.log_odds(gone[None, :])[0] <= 0:
            return tuple(named)
    return ()


def fidelity(
    game: Game, shares: FloatArray, full: float, empty: float, *, seed: int, top: int = 3
) -> dict[str, float]:
    """Of what sets the account apart (log odds), how much is lost without the `top` largest shares (`necessity`),
    without as many at random (`random`, mean of 30 draws), and there with them alone (`sufficiency`)."""
    k = len(shares)
    apart = full - empty
    sign = 1.0 if apart >= 0 else -1.0
    scale = max(abs(apart), 1e-9)
    best = np.argsort(-sign * shares, kind="stable")[:top]
    rng = np.random.default_rng([seed, 93])
    without = np.ones((31, k), dtype=np.bool_)
    without[0, best] = False
    for draw in range(1, 31):
        without[draw, rng.permutation(k)[:top]] = False
    lost = sign * (full - game.log_odds(without)) / scale
    alone = np.zeros((1, k), dtype=np.bool_)
    alone[0, best] = True
    return {
        "top": float(min(top, k)),
        "necessity": round(float(lost[0]), 4),
        "random": round(float(lost[1:].mean()), 4),
        "sufficiency": round(float(sign * (game.log_odds(alone)[0] - empty) / scale), 4),
    }


def sentence(account: str, found: Explanation, ties: Sequence[str]) -> str:
    """The explanation in a few words."""
    for_it = [one for one in found.reasons if one.bits > 0.05][:3]
    against = [one for one in found.reasons if one.bits < -0.05][:2]
    said = (
        f"{account} is abusive with a probability of {found.probability:.1%}; a usual account with {found.usual:.2%}."
    )
    if for_it:
        said += " What speaks for it: " + ", ".join(f"{one.theme} ({one.bits:+.1f} bits)" for one in for_it) + "."
    if against:
        said += " Against it: " + ", ".join(f"{one.theme} ({one.bits:+.1f} bits)" for one in against) + "."
    if ties:
        said += f" It is tied by {', '.join(ties[:3])}."
    if found.counterfactual:
        said += f" Without {' and '.join(found.counterfactual)} it would be below one half."
    return said
