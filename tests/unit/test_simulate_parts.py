"""The parts of the generator on their own: text, ids, uses, traces, and the sample of the real network."""

from __future__ import annotations

import importlib.resources
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ringwatch.data.draws import V6, address, hex_text, ip_text, mix
from ringwatch.data.names import REFERRAL
from ringwatch.data.plant import Operation
from ringwatch.data.prompts import STOCK, new_templates, prompt_text
from ringwatch.data.scenarios import Tactics
from ringwatch.data.slice_hop import components, slice_hop
from ringwatch.data.uses import Uses
from ringwatch.data.world import populate

SAMPLE = importlib.resources.files("ringwatch.data") / "sample" / "hop"


def rng(seed: int = 0) -> np.random.Generator:
    return np.random.default_rng(seed)


# -- draws ------------------------------------------------------------------------------------------------


@given(st.lists(st.integers(-(2**62), 2**62), unique=True, min_size=1, max_size=50), st.integers(0, 2**40))
def test_mixing_loses_no_value(values: list[int], key: int) -> None:
    assert len(np.unique(mix(np.array(values), key))) == len(values)


def test_ids_are_hex_of_the_length_asked_for() -> None:
    ids = hex_text(np.arange(1000), 5, prefix="acct_", digits=14).to_pylist()
    assert len(set(ids)) == 1000
    assert all(len(text) == 19 and text.startswith("acct_") and int(text[5:], 16) >= 0 for text in ids)
    assert hex_text(np.arange(0), 5).to_pylist() == []


def test_addresses_of_a_network_share_its_first_three_parts() -> None:
    text = ip_text(address(np.array([7, 7, 8]), np.array([1, 254, 1]), 3), rng(), 1).to_pylist()
    assert text[0].rsplit(".", 1)[0] == text[1].rsplit(".", 1)[0] != text[2].rsplit(".", 1)[0]
    assert [int(value.rsplit(".", 1)[1]) for value in text] == [1, 254, 1]


def test_a_home_with_ipv6_keeps_its_network_and_changes_its_interface() -> None:
    first, second = ip_text(np.array([V6 + 5, V6 + 5]), rng(), 1).to_pylist()
    assert first.split(":")[:4] == second.split(":")[:4]
    assert first.split(":")[4:] != second.split(":")[4:]


# -- prompts ----------------------------------------------------------------------------------------------


def test_a_template_has_the_same_words_whoever_copies_it() -> None:
    template = new_templates(20, rng())
    copies = [prompt_text(template, np.zeros(20), rng(seed)).to_pylist() for seed in (1, 2)]
    assert copies[0] == copies[1]
    assert len(set(copies[0])) == 20


@pytest.mark.parametrize("share", [0.08, 0.18, 0.28])
def test_a_copy_changes_the_share_of_words_that_it_should(share: float) -> None:
    template = new_templates(400, rng())
    plain = prompt_text(template, np.zeros(400), rng(1)).to_pylist()
    copy = prompt_text(template, np.full(400, share), rng(2)).to_pylist()
    words = [
        (a, b) for one, two in zip(plain, copy, strict=True) for a, b in zip(one.split(), two.split(), strict=True)
    ]
    # Now and then the new word is the old one.
    assert np.mean([a != b for a, b in words]) == pytest.approx(share, abs=0.02)


def test_words_follow_zipf_and_prompts_differ_in_length() -> None:
    texts = prompt_text(new_templates(4000, rng()), np.zeros(4000), rng()).to_pylist()
    words = pd.Series(" ".join(texts).split()).value_counts()
    assert words.iloc[0] > 8 * words.iloc[30] > 0
    assert (words < 20).sum() > 1000
    lengths = [len(text.split()) for text in texts]
    assert min(lengths) >= 8
    assert max(lengths) > 40


def test_stock_phrases_are_copied_as_they_are() -> None:
    assert prompt_text(np.array([0, 1]), np.array([0.9, 0.9]), rng()).to_pylist() == STOCK[:2]


# -- uses -------------------------------------------------------------------------------------------------


@given(
    st.lists(st.tuples(st.integers(0, 5), st.integers(0, 99)), max_size=40),
    st.lists(st.tuples(st.integers(0, 5), st.integers(0, 20)), min_size=1, max_size=30),
)
def test_a_pick_is_one_of_the_accounts_own(held: list[tuple[int, int]], asked: list[tuple[int, int]]) -> None:
    uses = Uses()
    for account, code in held:
        uses.add(account, code)
    index = uses.index(6)
    whose, number = (np.array(column) for column in zip(*asked, strict=True))
    for who, which, at in zip(whose, number, index.pick(whose, number, rng()), strict=True):
        own = [code for owner, code in held if owner == who]
        if not own:
            assert at == -1
        elif which < len(own):
            assert index.code[at] == own[which]
        else:
            assert index.code[at] in own


# -- traces -----------------------------------------------------------------------------------------------


def operation(size: int, **tactics: float) -> Operation:
    world = populate(300, 1)
    return Operation(world, Tactics(**{"hidden": 0.0, **tactics}), "test", world.take(size))  # type: ignore[arg-type]


def test_attainable_is_the_largest_part_that_traces_connect() -> None:
    op = operation(6)
    op.use("ip", np.array([0, 1, 2]), np.array([0, 0, 0]), op.world.new)
    assert op.attainable() == pytest.approx(2 * 3 / (3 + 6))
    op.link(np.array([2]), np.array([3]), REFERRAL, np.array([0]))
    assert op.attainable() == pytest.approx(2 * 4 / (4 + 6))
    op.use("device", np.array([4, 5]), np.array([0, 0]), op.world.new)
    assert op.attainable() == pytest.approx(2 * 4 / (4 + 6)), "the best single part"
    op.use("payment", np.array([0, 5]), np.array([0, 0]), op.world.new)
    assert op.attainable() == 1.0


def test_two_pools_with_equal_numbers_are_two_pools() -> None:
    op = operation(4)
    op.use("ip", np.array([0, 1]), np.array([0, 0]), op.world.new)
    op.use("device", np.array([2, 3]), np.array([0, 0]), op.world.new)
    assert op.attainable() == pytest.approx(2 * 2 / (2 + 4))


def test_a_use_that_nobody_shares_finds_nobody() -> None:
    op = operation(3)
    op.use("ip", np.array([0, 1, 2]), np.array([0, 1, 2]), op.world.new)
    assert op.attainable() == 0.0


def test_hidden_traces_leave_no_use() -> None:
    op = operation(5, hidden=1.0)
    op.use("ip", np.arange(5), np.zeros(5, dtype=np.int64), op.world.new)
    assert op.world.hostile.uses["ip"].index(300).start[-1] == 0
    assert op.attainable() == 0.0


@given(st.integers(3, 40), st.integers(1, 12), st.integers(1, 4), st.sampled_from([0, 3, 5]))
def test_everybody_uses_something_of_the_pool(size: int, values: int, each: int, cell: int) -> None:
    position, value = operation(size, cell=cell).spread(values, each)
    assert set(position) == set(range(size))
    assert value.min() >= 0
    if not cell:
        assert value.max() < values


# -- the sample -------------------------------------------------------------------------------------------


def test_the_sample_is_small_says_where_it_is_from_and_is_whole() -> None:
    folder = Path(str(SAMPLE))
    assert sum(path.stat().st_size for path in folder.iterdir()) <= 2_000_000
    about = (folder / "ABOUT.md").read_text(encoding="utf-8")
    assert "hop-protocol/hop-airdrop" in about
    assert "ISC" in about
    tables = {path.stem: pd.read_parquet(path) for path in folder.glob("*.parquet")}
    assert set(tables) == {"accounts", "relations", "links", "entities", "labels"}
    for name, rows in tables.items():
        assert f"| {name} | {len(rows):,} |" in about
    accounts = set(tables["accounts"]["account_id"])
    for table, column in (
        ("labels", "account_id"), ("links", "account_id"),
        ("relations", "src_account_id"), ("relations", "dst_account_id"),
    ):  # fmt: skip
        assert set(tables[table][column]) <= accounts
    groups = tables["labels"]["group_id"].value_counts()
    assert len(groups) > 100
    assert groups.min() >= 3


def test_a_slice_cuts_no_component_and_no_group(tmp_path: Path) -> None:
    source = tmp_path / "source"
    source.mkdir()
    ids = [f"w{number}" for number in range(60)]
    frames = {
        "accounts": pd.DataFrame({"account_id": ids, "created_at": pd.Timestamp("2022-01-01")}),
        "relations": pd.DataFrame({
            "src_account_id": ids[0:30:2], "dst_account_id": ids[1:31:2], "kind": "transfer", "count": 1,
        }),
        "links": pd.DataFrame({
            "account_id": [*ids[30:40], *ids], "entity_type": "wallet",
            "entity_id": [f"x{number // 2}" for number in range(10)] + ["service"] * 60, "count": 1,
        }),
        "entities": pd.DataFrame({"entity_type": ["wallet"], "entity_id": ["service"], "kind": "exchange"}),
        "labels": pd.DataFrame({
            "account_id": ids[:20], "label": "abusive", "labelled_at": pd.Timestamp("2022-05-06"), "source": "s",
            "group_id": [f"g{number // 5}" for number in range(20)],
        }),
    }  # fmt: skip
    for name, frame in frames.items():
        frame.to_parquet(source / f"{name}.parquet")
    component = components(frames)
    assert component["w0"] == component["w1"] == component["w4"], "by transfer, and by group"
    assert component["w30"] == component["w31"] != component["w32"], "by a wallet that two dealt with"
    assert component["w50"] != component["w51"], "a service joins nobody"
    slice_hop(source, tmp_path / "slice", share=0.5, seed=2)
    kept = set(pd.read_parquet(tmp_path / "slice" / "accounts.parquet")["account_id"])
    assert 0 < len(kept) < 60
    for _, members in component.groupby(component):
        assert set(members.index) <= kept or not set(members.index) & kept
    relations = pd.read_parquet(tmp_path / "slice" / "relations.parquet")
    assert set(relations["src_account_id"]) | set(relations["dst_account_id"]) <= kept
