"""What harmful texts say: how often a text with an account's words is flagged, where its own were not.

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
    """The mean chance of being flagged of the texts that each account sent and that were not; float64[accounts], NaN
    where there is none, or where nothing or everything is flagged.

    Args:
        bags: the codes of each text's words. family: of each text, evenly spread integers of any range. account,
            text, flagged: who sent which text, each pair once, and whether it was ever flagged there.
    """
    out = np.full(accounts, np.nan)
    if not 0 < flagged.sum() < len(flagged):
        return out
    chance = _chances(bags, family, text, flagged)
    let_by = account[~flagged]
    count = np.bincount(let_by, minlength=accounts)
    total = np.bincount(let_by, chance[text[~flagged]], minlength=accounts)
    return np.asarray(np.divide(total, count, out=out, where=count > 0))


def _chances(bags: Sets, family: IntArray, text: IntArray, flagged: BoolArray) -> FloatArray:
    """The chance of each text to be flagged, by the words it has and what families of other folds show of them."""
    n, rows, fold = len(bags), bags.rows(), family % FOLDS
    sent = np.bincount(text, minlength=n).astype(np.float64)
    caught = np.bincount(text[flagged], minlength=n).astype(np.float64)
    parts = [np.flatnonzero(fold == number) for number in range(FOLDS)]
    words = [rows[part] for part in parts]
    with_word = [[word.T @ many[part] for word, part in zip(words, parts, strict=True)] for many in (sent, caught)]
    score = np.zeros(n)
    for number, part in enumerate(parts):
        of_word, caught_word = (sum(by_fold) - by_fold[number] for by_fold in with_word)
        usual = (caught.sum() - caught[part].sum() + 1) / (sent.sum() - sent[part].sum() + 2)
        # Of the flagged, and of the others, the share that has a word: its ratio is what the word says.
        odds = np.log((caught_word + SMOOTHING * usual) / (of_word - caught_word + SMOOTHING * (1 - usual)))
        score[part] = words[number] @ (odds - np.log(usual / (1 - usual)))
    order = np.argsort(score, kind="stable")
    order = order[sent[order] > 0]
    rate = np.divide(caught, sent, out=np.zeros(n), where=sent > 0)
    chance = np.zeros(n)
    for number, part in enumerate(parts):
        # Else the curve would follow a large family to what was flagged of itself.
        by = order[fold[order] != number]
        if len(by):
            chance[part] = np.interp(score[part], score[by], isotonic_regression(rate[by], weights=sent[by]).x)
    return chance
