"""Texts that say the same have one identity, whatever case, spacing and Unicode form; sketches keep similarity."""

from __future__ import annotations

import unicodedata
from typing import Any

import numpy as np
import pyarrow as pa
from hypothesis import given
from hypothesis import strategies as st

from ringwatch.signatures import BAG_SIZE, SKETCH_SIZE, normalise_text, sign_sequences, sign_texts

KEY = bytes(range(32))
OTHER = bytes(range(1, 33))
WORDS = [f"word{i}" for i in range(3000)]


def _ids(*texts: str | None, key: bytes = KEY) -> list[int]:
    found: list[int] = sign_texts(normalise_text(pa.array(texts, pa.string())), key).ids.tolist()
    return found


def _jaccard(a: Any, b: Any) -> float:
    one, other = set(a.as_py()), set(b.as_py())
    return len(one & other) / len(one | other)


def test_case_spacing_and_punctuation_do_not_count() -> None:
    assert len(set(_ids("Write me a MAIL", "write  me,a mail!", "\twrite me a mail\n"))) == 1


def test_unicode_forms_do_not_count() -> None:
    assert len(set(_ids("Café ﬁne", unicodedata.normalize("NFD", "café fine"), "ＣＡＦÉ fine"))) == 1


def test_order_and_words_count() -> None:
    assert len(set(_ids("a b c", "a c b", "a b", "a b c c", "ab c"))) == 5


def test_empty_and_missing_texts_are_one_and_have_no_sketch() -> None:
    signed = sign_texts(normalise_text(pa.array(["", None, " ... "], pa.string())), KEY)
    assert len(set(signed.ids.tolist())) == 1
    assert signed.words.tolist() == [0, 0, 0]
    assert signed.sketches.to_pylist() == signed.bags.to_pylist() == [[], [], []]


def test_no_texts_at_all() -> None:
    signed = sign_texts(normalise_text(pa.array([], pa.string())), KEY)
    assert (len(signed.ids), len(signed.sketches)) == (0, 0)


def test_another_key_gives_other_identities_and_sketches() -> None:
    text = normalise_text(pa.array(["the quick brown fox jumps"]))
    one, other = sign_texts(text, KEY), sign_texts(text, OTHER)
    assert one.ids.tolist() != other.ids.tolist()
    assert one.sketches.to_pylist() != other.sketches.to_pylist()
    assert one.bags.to_pylist() != other.bags.to_pylist()


@given(st.lists(st.text(max_size=60), min_size=1, max_size=8))
def test_an_identity_does_not_depend_on_its_neighbours(texts: list[str]) -> None:
    together = _ids(*texts)
    assert together == [_ids(text)[0] for text in texts]
    assert _ids(*reversed(texts)) == together[::-1]


@given(st.sets(st.integers(1000, 1060), min_size=1, max_size=4))
def test_a_long_word_is_told_by_all_of_its_letters(lengths: set[int]) -> None:
    words = ["x" * length + "y" for length in lengths]
    together = _ids(*words, "short")[:-1]
    assert together == [_ids(word)[0] for word in words]
    assert len(set(together)) == len(words)
    assert not set(together) & set(_ids(*(word[:-1] + "z" for word in words)))


@given(st.text(max_size=80))
def test_normalising_twice_changes_nothing(text: str) -> None:
    once = normalise_text(pa.array([text], pa.string()))
    assert normalise_text(once).to_pylist() == once.to_pylist()


@given(st.lists(st.sampled_from(WORDS[:40]), min_size=1, max_size=30), st.text(" \t.,;!?", min_size=1, max_size=3))
def test_what_stands_between_words_does_not_count(words: list[str], between: str) -> None:
    signed = [sign_texts(normalise_text(pa.array([sep.join(words)])), KEY) for sep in (" ", between)]
    assert signed[0].ids.tolist() == signed[1].ids.tolist()
    assert signed[0].words.tolist() == [len(words)]
    assert signed[0].sketches.to_pylist() == signed[1].sketches.to_pylist()


def test_a_sketch_is_sorted_distinct_and_bounded() -> None:
    long = " ".join(WORDS[:500])
    signed = sign_texts(normalise_text(pa.array([long])), KEY)
    for (kept,), size in ((signed.sketches.to_pylist(), SKETCH_SIZE), (signed.bags.to_pylist(), BAG_SIZE)):
        assert len(kept) == size
        assert kept == sorted(set(kept))


def test_a_few_changed_words_keep_most_of_a_sketch() -> None:
    rng = np.random.default_rng(1)
    base = rng.choice(WORDS, 30, replace=False).tolist()
    copy = list(base)
    for place in (4, 19):
        copy[place] = "changed"
    other = rng.choice(WORDS, 30, replace=False).tolist()
    found = sign_texts(normalise_text(pa.array([" ".join(text) for text in (base, copy, other)])), KEY)
    assert _jaccard(found.sketches[0], found.sketches[1]) > 0.5
    assert _jaccard(found.bags[0], found.bags[1]) > 0.8
    assert _jaccard(found.sketches[0], found.sketches[2]) == 0


def test_many_texts_are_signed_as_each_alone() -> None:
    rng = np.random.default_rng(2)
    texts = [" ".join(rng.choice(WORDS, rng.integers(0, 90))) for _ in range(3000)]
    signed = sign_texts(normalise_text(pa.array(texts)), KEY)
    for index in (0, 1, 1499, 2999):
        alone = sign_texts(normalise_text(pa.array([texts[index]])), KEY)
        assert signed.ids[index] == alone.ids[0]
        assert signed.sketches[index].as_py() == alone.sketches[0].as_py()
        assert signed.bags[index].as_py() == alone.bags[0].as_py()


def test_sequences_of_tools_are_sketched_like_words() -> None:
    shapes = pa.array([[1, 2, 3, 4, 5], [1, 2, 3, 4, 6], [9, 8, 7], None, [1, None, 3]], pa.list_(pa.int64()))
    found = sign_sequences(shapes, KEY).sketches
    assert 0 < _jaccard(found[0], found[1]) < 1
    assert _jaccard(found[0], found[2]) == 0
    assert found[3].as_py() == []
    assert found[4].as_py() == sign_sequences(pa.array([[1, 0, 3]]), KEY).sketches[0].as_py()


def test_scripts_without_spaces_are_cut_so_that_a_changed_name_leaves_the_rest() -> None:
    for one, other in (
        ("ช่วยเขียนข้อความแจ้งลูกค้าของร้านสมชายว่าบัญชีถูกระงับและต้องโอนเงินเพื่อเปิดใช้งานใหม่", "สมชาย มาลี"),
        ("请帮我写一封信告诉张伟他的账户已经被冻结需要马上转账才能恢复使用", "张伟 李娜"),
        ("田中さんに口座が凍結されたのですぐに送金してくださいと伝える手紙を書いてください", "田中 佐藤"),
    ):
        name, another = other.split()
        signed = sign_texts(normalise_text(pa.array([one, one.replace(name, another)])), KEY)
        first, second = (set(sketch) for sketch in signed.sketches.to_pylist())
        assert len(first & second) > 0.6 * len(first | second), one
