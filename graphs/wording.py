"""What harmful texts say: how often texts with the words of an account's unflagged ones are flagged.

A classifier flags a part of what is harmful, and what it misses of one account often says what it flagged of
another. Which words go with flags is counted over all texts (naive Bayes: Maron, "Automatic indexing", JACM 1961), of
words as codes (`ringwatch.signatures`): no text is read. What comes out is made a chance by isotonic regression
(Zadrozny and Elkan, "Transforming classifier scores into accurate multiclass probability estimates", KDD 2002). Both
are learnt from other families of texts than that which is judged: no template vouches against itself.
"""

from __future__ import annotations

import numpy as np
from scipy.optimize import isotonic_regression

from ringwatch.graphs.accounts import BoolArray, FloatArray, IntArray
from ringwatch.graphs.overlap import Sets

FOLDS = 8
SMOOTHING = 10.0
"""So many uses at the usual rate are added to those of each word."""


def flagged_elsewhere(
    bags: Sets, family: IntArray, account: IntArray, text: IntArray, flagged: BoolArray, accounts: int
) -> FloatArray:
    """The mean chance of being flagged, by its words, of what each account sent and what was not; float64[accounts],
    NaN where there is none that has words, or where nothing or everything is flagged.

    Args:
        bags: the codes of each text's words. family: the family of each text, codes that are spread evenly over the
            remainders of `FOLDS`. account, text, flagged: who sent which text, each pair once, and whether it was
            ever flagged there.
    """
    out = np.full(accounts, np.nan)
    if not 0 < flagged.sum() < len(flagged):
        return out
    chance = _chances(bags, family, text, flagged)[text]
    use = ~flagged & np.isfinite(chance)
    count = np.bincount(account[use], minlength=accounts)
    total = np.bincount(account[use], chance[use], minlength=accounts)
    return np.asarray(np.divide(total, count, out=out, where=count > 0))


def _chances(bags: Sets, family: IntArray, text: IntArray, flagged: BoolArray) -> FloatArray:
    """The chance of each text to be flagged, by the words it has and what families of other folds show of them; NaN
    where it has none, or there are no others."""
    n, fold = len(bags), family % FOLDS
    sent = np.bincount(text, minlength=n).astype(np.float64)
    caught = np.bincount(text[flagged], minlength=n).astype(np.float64)
    said = (bags.sizes > 0) & (sent > 0)
    parts = [np.flatnonzero(said & (fold == number)) for number in range(FOLDS)]
    rows = bags.rows()
    words = [rows[part] for part in parts]
    del rows
    with_word = [[word.T @ many[part] for word, part in zip(words, parts, strict=True)] for many in (sent, caught)]
    every, flags = sent[said].sum(), caught[said].sum()
    score = np.zeros(n)
    for number, part in enumerate(parts):
        of_word, caught_word = (sum(by_fold) - by_fold[number] for by_fold in with_word)
        usual = (flags - caught[part].sum() + 1) / (every - sent[part].sum() + 2)
        # Of the flagged, and of the others, the share that has a word: its ratio is what the word says.
        odds = np.log((caught_word + SMOOTHING * usual) / (of_word - caught_word + SMOOTHING * (1 - usual)))
        score[part] = words[number] @ (odds - np.log(usual / (1 - usual)))
    chance = np.full(n, np.nan)
    place, at = np.unique(score[said], return_inverse=True)
    all_sent, all_caught = (np.bincount(at, many[said], minlength=len(place)) for many in (sent, caught))
    for part in parts:
        # Else the curve would follow a large family to what was flagged of itself.
        own = np.searchsorted(place, score[part])
        many = all_sent - np.bincount(own, sent[part], minlength=len(place))
        bad = all_caught - np.bincount(own, caught[part], minlength=len(place))
        some = many > 0
        if some.any():
            level = isotonic_regression(bad[some] / many[some], weights=many[some]).x
            chance[part] = np.interp(score[part], place[some], level)
    return chance
