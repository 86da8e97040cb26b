"""What was flagged of some speaks of what others wrote unflagged; no family of texts vouches against itself."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest

from ringwatch.graphs.accounts import AccountTable, BoolArray, FloatArray, IntArray
from ringwatch.graphs.character import MOST_WORDING, likeness, worded, wording_trait
from ringwatch.graphs.content import Families, Prompts, prompt_families, texts_from, wording
from ringwatch.graphs.detection import Gathered
from ringwatch.graphs.frames import Content
from ringwatch.graphs.layers import PROMPT_FAMILY, incidence_from
from ringwatch.graphs.overlap import Sets
from ringwatch.graphs.wording import FOLDS, flagged_elsewhere
from ringwatch.signatures import normalise_text, sign_texts

ACCOUNTS, EACH, WORDS = 300, 8, 12


def _bags(rows: list[IntArray]) -> Sets:
    return Sets(np.concatenate(rows).astype(np.uint16), np.cumsum([0, *(len(row) for row in rows)]))


def _world(seed: int = 1, caught: float = 0.3) -> tuple[Sets, IntArray, IntArray, IntArray, BoolArray, BoolArray]:
    """Thirty accounts write with words of their own trade among those of everybody; a part of that is flagged, and
    one in two hundred of what others write. Each text is its account's and a family of its own."""
    rng = np.random.default_rng(seed)
    bad = np.arange(ACCOUNTS) < ACCOUNTS // 10
    account = np.repeat(np.arange(ACCOUNTS), EACH)
    rows = [
        np.unique(np.r_[rng.integers(0, 400, WORDS - 3), rng.integers(1000, 1040, 3) if bad[who] else []])
        for who in account.tolist()
    ]
    text = np.arange(len(rows))
    family = rng.integers(-(2**62), 2**62, len(rows))
    flagged = rng.random(len(rows)) < np.where(bad[account], caught, 0.005)
    return _bags(rows), family, account, text, flagged, bad


def test_who_was_never_flagged_is_told_by_the_words_of_those_who_were() -> None:
    bags, family, account, text, flagged, bad = _world()
    never = bad & (np.bincount(account, flagged, minlength=ACCOUNTS) == 0)
    assert never.sum() >= 1
    wording = flagged_elsewhere(bags, family, account, text, flagged, ACCOUNTS)
    assert wording[never].min() > 10 * np.nanmedian(wording[~bad])
    bits = worded(wording, np.where(bad & ~never, 0.8, 0.01))
    assert bits[never].min() > 1 and np.median(bits[~bad]) < 0 and np.abs(bits).max() <= MOST_WORDING


def test_chances_are_those_of_what_is_flagged() -> None:
    bags, family, account, text, flagged, _ = _world(caught=0.5)
    nothing = np.zeros(len(text), dtype=np.bool_)
    wording = flagged_elsewhere(bags, family, text, text, flagged, len(text))
    assert np.isnan(wording[flagged]).all(), "of what was flagged it is not said"
    unflagged = wording[~flagged]
    assert unflagged.min() >= 0 and unflagged.max() <= 1
    assert np.isnan(flagged_elsewhere(bags, family, account, text, nothing, ACCOUNTS)).all()
    assert np.isnan(flagged_elsewhere(bags, family, account, text, ~nothing, ACCOUNTS)).all()


def test_a_template_that_is_flagged_here_and_there_does_not_vouch_against_its_other_copies() -> None:
    rng = np.random.default_rng(3)
    template = np.arange(2000, 2012)
    count = 3000
    rows = [template if one < 100 else np.unique(rng.integers(0, 400, WORDS)) for one in range(count)]
    account = text = np.arange(count)
    flagged = rng.random(count) < np.where(account < 100, 0.4, 0.01)
    own = np.where(account < 100, 0, account * FOLDS + 1 + account % 2)
    apart = flagged_elsewhere(_bags(rows), own, account, text, flagged, count)
    strewn = flagged_elsewhere(_bags(rows), account, account, text, flagged, count)
    copies = (account < 100) & ~flagged
    assert strewn[copies].mean() > 0.2, "as texts of strangers its copies would"
    assert apart[copies].mean() < 0.05


def test_paraphrases_of_one_account_alone_are_a_family_too() -> None:
    rng = np.random.default_rng(6)
    words = np.array([f"w{k}" for k in range(500)])
    template = [" ".join([*words[:20], rng.choice(words)]) for _ in range(60)]
    texts = template + [" ".join(rng.choice(words[30:], 20)) for _ in range(1500)]
    signed = sign_texts(normalise_text(pa.array(texts, pa.string())), bytes(range(32)))
    order = np.argsort(signed.ids, kind="stable")
    chosen = pa.array(order)
    account = np.where(np.arange(len(texts)) < 60, 0, np.arange(len(texts)))[order]
    flagged = (rng.random(len(texts)) < np.where(np.arange(len(texts)) < 60, 0.3, 0.01))[order]
    uses = pd.DataFrame(
        {"i": account, "entity": signed.ids[order], "n": 1, "first": 0, "last": 0, "flagged": flagged}
    )
    prompts = Prompts(signed.ids[order], texts_from(signed.sketches.take(chosen), signed.bags.take(chosen)), uses)
    found = wording(prompts, prompt_families(prompts), len(texts))
    assert found[0] < 0.05, "what was flagged of it is counted already"


def test_the_order_of_what_was_sent_changes_nothing() -> None:
    bags, family, account, text, flagged, _ = _world()
    before = flagged_elsewhere(bags, family, account, text, flagged, ACCOUNTS)
    order = np.random.default_rng(0).permutation(len(account))
    place = np.argsort(order)
    moved = _bags([bags.values[bags.offsets[k] : bags.offsets[k + 1]] for k in order.tolist()])
    after = flagged_elsewhere(moved, family[order], account, place[text], flagged, ACCOUNTS)
    assert after == pytest.approx(before, nan_ok=True)


def test_where_there_is_nothing_to_learn_from_nothing_is_said() -> None:
    one = np.zeros(4, dtype=np.int64)
    who, flagged = np.arange(4), np.array([True, False, False, False])
    words = _bags([np.arange(5)] * 4)
    assert np.isnan(flagged_elsewhere(words, one, who, np.arange(4), flagged, 4)).all(), "one family"
    dumb = Sets(np.zeros(0, dtype=np.uint16), np.zeros(5, dtype=np.int64))
    assert np.isnan(flagged_elsewhere(dumb, who, who, np.arange(4), flagged, 4)).all(), "no words"
    assert not worded(np.zeros(50), np.full(50, 0.1)).any(), "nothing is ever flagged of that kind"


def test_a_cluster_is_what_its_median_member_writes() -> None:
    count = 40
    cluster = np.repeat(np.arange(count), 5)
    wording = np.full(len(cluster), 0.01)
    wording[cluster < 10] = 0.2
    wording[cluster == 39] = np.nan
    wording[np.flatnonzero(cluster == 20)[:2]] = 0.9
    (trait,) = wording_trait(wording, cluster, count)
    assert trait.shown[[0, 20]] == pytest.approx([0.2, 0.01]), "two of five who try things out are not the cluster"
    abuse: FloatArray = np.where(np.arange(count) < 5, 0.9, 0.02)
    bits, reasons = likeness([trait], abuse, most=MOST_WORDING)
    assert bits[5:10].min() > 1 and bits[20] < 0, "five that nothing was seen at write as those it was seen at"
    assert set(reasons["layer"]) == {"wording"} and "20.0%" in reasons["text"].iloc[0]
    assert bits[39] == pytest.approx(0, abs=1e-9) and 39 not in set(reasons["cluster"]), "nothing is known of it"
    assert wording_trait(np.full(len(cluster), np.nan), cluster, count) == []


def test_conduct_is_harm_and_words_unless_words_are_left_out() -> None:
    bad = np.arange(ACCOUNTS) < ACCOUNTS // 10
    frame = pd.DataFrame({"account_id": [f"a{k:03}" for k in range(ACCOUNTS)], "judged": 20, "harmful": 0})
    frame.loc[bad & (np.arange(ACCOUNTS) % 2 == 0), "harmful"] = 12
    empty = np.zeros(0, dtype=np.int64)
    nobody = incidence_from(PROMPT_FAMILY, dict.fromkeys(("i", "entity", "n", "first", "last"), empty))
    nothing = Families(nobody, [], (empty, empty, np.zeros(0)), (empty, empty), empty)
    accounts = AccountTable(frame, harm_known=True).with_wording(np.where(bad, 0.2, 0.01))
    gathered = Gathered(accounts, [], [], Content(nothing, nothing), [], [])
    plain, conduct = gathered.conduct(["wording"]), gathered.conduct()
    assert plain is gathered.harm and conduct is not None
    unseen = bad & (frame["harmful"] == 0).to_numpy()
    assert (conduct.bits[unseen] > gathered.harm.bits[unseen] + 1).all()
    assert (conduct.bits[~bad] <= gathered.harm.bits[~bad]).all()
    silent = Gathered(AccountTable(accounts.frame, harm_known=False), [], [], Content(nothing, nothing), [], [])
    assert silent.conduct() is None
