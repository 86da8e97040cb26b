"""Abuse: shrunk by how much was seen, of the whole cluster, and moved by labels along the evidence."""

from __future__ import annotations

import numpy as np
import pytest

from ringwatch.graphs.abuse import (
    RESOLD,
    USUAL_RATES,
    USUAL_SHARE,
    Harm,
    abuse_probability,
    account_harm,
    cluster_bits,
    learn_rates,
    purposeless,
    without_purpose,
)
from ringwatch.graphs.accounts import NO_CATEGORIES, Categories
from ringwatch.graphs.evidence import Model
from ringwatch.graphs.labels import (
    LABEL_BITS,
    NO_VERDICTS,
    VERDICT_BITS,
    Verdicts,
    spread,
    suspension_bits,
    with_verdicts,
)


def _world(seed: int = 1) -> Harm:
    """500 accounts: 460 with false alarms in 1 % of 20 events, 40 with harm in 40 %."""
    rng = np.random.default_rng(seed)
    harmful = np.r_[rng.binomial(20, 0.01, 460), rng.binomial(20, 0.4, 40)]
    return account_harm(harmful, np.full(500, 20))


def test_harm_is_told_from_false_alarms() -> None:
    harm = _world()
    assert harm.share == pytest.approx(0.08, abs=0.05)
    assert (harm.posterior[460:] > 0.5).mean() > 0.95
    assert (harm.posterior[:460] > 0.5).mean() < 0.02


def test_little_that_was_seen_says_little() -> None:
    rng = np.random.default_rng(2)
    harmful = np.r_[rng.binomial(20, 0.01, 460), rng.binomial(20, 0.4, 40), 1, 8, 0, 0]
    judged = np.r_[np.full(500, 20), 2, 16, 0, 40]
    bits = account_harm(harmful, judged).bits[500:]
    assert bits[0] < bits[1]
    assert bits[2] == pytest.approx(0.0)
    assert bits[3] < -2


def test_no_events_at_all_is_no_evidence() -> None:
    harm = account_harm(np.zeros(5, dtype=np.int64), np.zeros(5, dtype=np.int64))
    assert harm.bits == pytest.approx(np.zeros(5))


@pytest.mark.parametrize("harmful", [5, 10, 20])
def test_where_most_events_are_harmful_every_figure_is_a_number(harmful: int) -> None:
    harm = account_harm(np.full(50, harmful), np.full(50, 20))
    assert np.isfinite(harm.bits).all()
    assert 0 < harm.share < 1


def test_a_class_with_a_few_false_alarms_is_no_operation_and_one_red_teamer_makes_none() -> None:
    harm = _world()
    cluster = np.full(500, -1)
    cluster[:120] = 0  # honest
    cluster[460:480] = 1  # an operation
    cluster[120:139] = cluster[480] = 2  # honest, but for one
    rates = learn_rates(harm, cluster, 3)
    p, share = abuse_probability(cluster_bits(harm, cluster, 3, rates), rates.share), rates.share
    assert p[0] < 0.05
    assert p[1] > 0.99
    assert p[2] < 0.5
    assert 0 < share < 1


def test_nothing_known_of_a_cluster_is_the_usual_abuse() -> None:
    nothing = Harm(np.zeros(9), 0.02)
    rates = learn_rates(nothing, np.repeat([0, 1, 2], 3), 3)
    assert rates.share == pytest.approx(USUAL_SHARE)
    assert abuse_probability(cluster_bits(nothing, np.repeat([0, 1, 2], 3), 3, rates), rates.share) == pytest.approx(
        np.full(3, USUAL_SHARE)
    )
    assert learn_rates(nothing, np.full(9, -1), 0).share == pytest.approx(USUAL_SHARE)


def test_where_operations_are_seen_at_it_a_family_of_which_little_was_seen_is_no_operation() -> None:
    """A hundred homes of three with five clean events each, and four operations all of whose members do harm."""
    rng = np.random.default_rng(3)
    harmful = np.r_[rng.binomial(20, 0.01, 460), np.zeros(300, dtype=np.int64), rng.binomial(20, 0.5, 40)]
    harm = account_harm(harmful, np.r_[np.full(460, 20), np.full(300, 5), np.full(40, 20)])
    cluster = np.r_[np.full(460, -1), np.repeat(np.arange(100), 3), np.repeat(np.arange(100, 104), 10)]
    rates = learn_rates(harm, cluster, 104)
    p = abuse_probability(cluster_bits(harm, cluster, 104, rates), rates.share)
    assert rates.share == pytest.approx(4 / 104, abs=0.02)
    assert p[:100].max() < 0.02
    assert p[100:].min() > 0.99
    usual = abuse_probability(cluster_bits(harm, cluster, 104), USUAL_RATES.share)
    assert usual[:100].min() > 3 * p[:100].max(), "what is thought before any cluster was seen"


# -- labels ----------------------------------------------------------------------------------------------------------


def _path(bits: float) -> tuple[Model, np.ndarray]:
    """Accounts 0 to 4 in a row; 5 and 6 tied to each other alone."""
    first, second = np.array([0, 1, 2, 3, 5]), np.array([1, 2, 3, 4, 6])
    return Model(7, first, second, [], [], {}, 0.0), np.full(5, bits)


def _labels(abusive: list[int], benign: list[int] | None = None) -> Verdicts:
    sign = {**dict.fromkeys(abusive, LABEL_BITS), **dict.fromkeys(benign or [], -LABEL_BITS)}
    account = np.array(sorted(sign))
    n = len(account)
    return Verdicts(account, np.array([sign[one] for one in sorted(sign)]), np.ones(n, dtype=bool), np.full(n, -1))


def test_labels_spread_along_the_evidence_and_fade() -> None:
    model, bits = _path(8.0)
    found = spread(model, bits, _labels([0]))
    assert (np.diff(found[:5]) < 0).all()
    assert found[4] > 0
    assert found[5:].tolist() == [0.0, 0.0]


def test_benign_labels_lower_and_opposite_ones_meet() -> None:
    model, bits = _path(8.0)
    found = spread(model, bits, _labels([0], [4]))
    assert found[:5] == pytest.approx(-found[4::-1])
    assert found[1] > 0 > found[3]


def test_what_does_not_stand_passes_nothing_on_and_a_doubtful_tie_less_than_a_sure_one() -> None:
    sure, doubtful, fallen = (spread(model, bits, _labels([5]))[6] for model, bits in map(_path, (8.0, 0.5, -0.5)))
    assert sure > 1.2 * doubtful > 0
    assert fallen == 0


def test_a_hub_of_many_ties_says_no_more_than_anyone() -> None:
    n = 400
    model = Model(n, np.zeros(n - 1, dtype=np.int64), np.arange(1, n), [], [], {}, 0.0)
    found = spread(model, np.full(n - 1, 9.0), _labels([1]))
    assert found[0] < 0.1
    assert found[2] < 0.1


def test_no_verdicts_change_nothing() -> None:
    harm = _world()
    assert with_verdicts(harm, NO_VERDICTS).bits.tolist() == harm.bits.tolist()
    model, bits = _path(3.0)
    assert not spread(model, bits, NO_VERDICTS).any()


def test_labels_move_the_abuse_of_a_cluster() -> None:
    harm = account_harm(np.zeros(30, dtype=np.int64), np.zeros(30, dtype=np.int64))
    cluster = np.repeat([0, 1, 2], 10)
    verdicts = _labels([0, 1, 2], [10, 11, 12])
    bad, good, unknown = cluster_bits(with_verdicts(harm, verdicts), cluster, 3)
    assert bad > 3
    assert good < -0.5
    assert unknown == pytest.approx(0.0)


def test_a_suspension_is_worth_how_much_more_of_the_abusive_are_suspended() -> None:
    score = np.r_[np.full(100, 0.95), np.full(4_900, 0.001)]
    honest, debtors = np.arange(90), np.arange(100, 4_900, 50)
    said = suspension_bits(score, honest)
    assert said == VERDICT_BITS
    assert suspension_bits(score, debtors) == 0.0
    mixed = suspension_bits(score, np.r_[np.arange(5), debtors])
    exact = np.log2((5 * 0.95 + 20 * 101 / 5_000) / (95 + 20) / ((101 - 5 * 0.95) / 4_900))
    assert mixed == pytest.approx(exact, abs=0.05)
    assert 0 < mixed < 2
    assert suspension_bits(score, honest[:0]) == 0.0


def _categories(rows: list[list[int]]) -> Categories:
    """What each account has of each category, one row an account."""
    counts = np.array(rows)
    account, kind = np.nonzero(counts)
    return Categories(account, kind, counts[account, kind])


RINGS = [[4, 0, 0, 0, 0], [3, 0, 0, 0, 0], [5, 0, 0, 0, 0], [0, 4, 0, 0, 0], [0, 3, 0, 0, 0], [0, 5, 0, 0, 1]]
TESTERS = [[2, 1, 0, 3, 1], [0, 1, 2, 1, 1], [1, 2, 1, 0, 3]]


def test_harm_of_all_categories_is_a_test_where_abuse_has_a_purpose() -> None:
    harm = Harm(np.full(9, 4.0), 0.1)
    cluster, abuse = np.repeat([0, 1, 2], 3), np.ones(3)
    account, bits = without_purpose(harm, _categories(RINGS + TESTERS), abuse, cluster)
    assert bits[:2].max() < -0.5
    assert bits[2] > 1
    assert account[:6].max() < account[6:].min()
    # Where what all operations do is of all categories, that tells nobody from them.
    _, everywhere = without_purpose(harm, _categories(TESTERS * 3), abuse, cluster)
    assert everywhere.max() < bits[2] / 2
    # Testers who have favourites each are of all categories together.
    favourites = [[3, 1, 0, 0, 0], [0, 0, 3, 1, 0], [1, 0, 0, 0, 3]]
    _, together = without_purpose(harm, _categories(RINGS + favourites), abuse, cluster)
    assert 0 < together[2] < bits[2]
    # Whatever members who do no harm were once flagged for counts for nothing.
    calm = Harm(np.where(np.arange(9) < 6, 4.0, -1.0), 0.1)
    assert without_purpose(calm, _categories(RINGS + TESTERS), abuse, cluster)[1][2] == pytest.approx(0)


def test_customers_of_a_reseller_have_a_purpose_each() -> None:
    n = 12
    cluster = np.repeat([0, 1], n // 2)
    each = [[8 * (kind == account % 6) for kind in range(6)] for account in range(n // 2)]
    mixed = [[2, 1, 1, 1, 2, 1] for _ in range(n // 2)]
    categories = _categories(each + mixed)
    resold, testers = without_purpose(Harm(np.full(n, 4.0), 0.1), categories, np.ones(2), cluster)[1]
    assert purposeless(categories, cluster, 2).min() > 2, "both are of all categories together"
    assert resold < testers - 1
    assert resold < -np.log2(RESOLD)


def test_what_one_account_repeats_is_said_once() -> None:
    group = np.zeros(4, dtype=int)
    few, many, most = (purposeless(_categories([[n, 0], [0, 2], [0, 2], [0, 2]]), group, 1)[0] for n in (2, 20, 2000))
    assert few > many > 0, "three of four do another thing than the busy one"
    assert most > -1, "which does not speak for all, all day as it may"


def test_harm_that_nobody_named_says_nothing_of_purpose() -> None:
    harm, cluster = Harm(np.full(3, 4.0), 0.1), np.zeros(3, dtype=int)
    account, by_cluster = without_purpose(harm, NO_CATEGORIES, np.ones(1), cluster)
    assert account.tolist() == [0.0, 0.0, 0.0]
    assert by_cluster.tolist() == pytest.approx([0.0])
