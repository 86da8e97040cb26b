"""One form for each way of writing a value, and none for what is no value."""

from __future__ import annotations

import hashlib
import hmac
import json

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ringwatch.ingest.normalise import card_of, normalise, passes_luhn
from ringwatch.ingest.tokens import Tokeniser
from ringwatch.ingest.tools import describe_call


def _one(entity_type: str, raw: str, region: str | None = None) -> dict[str, object]:
    found = normalise(entity_type, pa.array([raw]), limit=512, region=region)
    names = ("form", "bad", "parent", "family", "shape", "label", "disposable")
    return {name: getattr(found, name)[0].as_py() for name in names}


@pytest.mark.parametrize(
    ("raw", "form", "parent"),
    [
        ("81.2.3.4", "81.2.3.4", "81.2.3/24"),
        (" 81.2.3.4\t", "81.2.3.4", "81.2.3/24"),
        ("::ffff:81.2.3.4", "81.2.3.4", "81.2.3/24"),
        ("::FFFF:5102:0304", "81.2.3.4", "81.2.3/24"),
        ("2001:db8:1:2:3:4:5:6", "2001:db8:1:2::/64", "2001:db8:1::/48"),
        ("2001:0DB8:0001:0002::9", "2001:db8:1:2::/64", "2001:db8:1::/48"),
        ("[2001:db8:1:2::]", "2001:db8:1:2::/64", "2001:db8:1::/48"),
        ("fe80::1%eth0", "fe80::/64", "fe80::/48"),
        ("10.0.0.1", "10.0.0.1", "10.0.0/24"),
    ],
)
def test_addresses(raw: str, form: str, parent: str) -> None:
    found = _one("ip", raw)
    assert (found["form"], found["parent"], found["bad"]) == (form, parent, None)


@pytest.mark.parametrize(
    "raw", ["81.2.3", "81.2.3.256", "81.2.3.04", "1", "81.2.3.4:80", "2001:db8::x", "81.2.3.4/24"]
)
def test_what_is_no_address(raw: str) -> None:
    assert _one("ip", raw)["bad"] == "bad_ip"
    assert _one("ip", raw)["form"] is None


@pytest.mark.parametrize(
    ("raw", "form", "family"),
    [
        ("Jane.Doe+shop@Gmail.com", "janedoe@gmail.com", "janedoe@gmail.com"),
        ("janedoe@googlemail.com", "janedoe@gmail.com", "janedoe@gmail.com"),
        ("jane.doe+x@outlook.com", "jane.doe@outlook.com", "janedoe@outlook.com"),
        ("jane.doe+x@corp.example", "jane.doe+x@corp.example", "janedoe@corp.example"),
        ("jane.doe27@corp.example.", "jane.doe27@corp.example", "janedoe@corp.example"),
        ("a@bücher.example", "a@xn--bcher-kva.example", "a@xn--bcher-kva.example"),
        ("jane_27_doe@corp.example", "jane_27_doe@corp.example", "janedoe@corp.example"),
        ("27.jane-doe@corp.example", "27.jane-doe@corp.example", "janedoe@corp.example"),
        ("x7k2p9qa@corp.example", "x7k2p9qa@corp.example", None),
        ("1234@corp.example", "1234@corp.example", None),
    ],
)
def test_mailboxes(raw: str, form: str, family: str | None) -> None:
    found = _one("email", raw)
    assert (found["form"], found["family"], found["bad"]) == (form, family, None)
    assert found["parent"] == form.partition("@")[2]


@given(st.text("ab1._+-", min_size=1, max_size=8), st.text("ab1._+-", min_size=1, max_size=8))
def test_equal_mailboxes_have_equal_families(one: str, two: str) -> None:
    first, second = _one("email", f"{one}@gmail.com"), _one("email", f"{two}@gmail.com")
    if first["form"] == second["form"]:
        assert first == second


@pytest.mark.parametrize(
    ("one", "two", "alike"),
    [
        ("anna.smith1984@x.example", "wei.chen2001@x.example", True),
        ("xkqvbtzr@x.example", "zzkqwpfh@x.example", True),
        ("x7k2p9qa@x.example", "4hd8s0rt@x.example", True),
        ("j.doe@x.example", "m.smith@x.example", True),
        ("anna.smith1984@x.example", "wei.chen2001@y.example", False),
        ("anna.smith1984@x.example", "wei.chen84@x.example", False),
        ("anna.smith@x.example", "annasmith@x.example", False),
        ("xkqvbtzr@x.example", "marianne@x.example", False),
        ("anna.smith1984@mailinator.com", "wei.chen2001@guerrillamail.com", True),
        ("mueller12@x.example", "müller12@x.example", False),
    ],
)
def test_mailboxes_of_one_generator_have_one_shape(one: str, two: str, alike: bool) -> None:
    assert (_one("email", one)["shape"] == _one("email", two)["shape"]) is alike


def test_a_shape_carries_no_name() -> None:
    assert _one("email", "planted.name1984@x.example")["shape"] == "w.w94@x.example"


def test_disposable_domains_are_known_with_what_is_below_them() -> None:
    assert _one("email", "a@mailinator.com")["disposable"] is True
    assert _one("email", "a@box.mailinator.com")["disposable"] is True
    assert _one("email", "a@gmail.com")["disposable"] is False


@pytest.mark.parametrize("raw", ["nobody", "@x.example", "a@", "a@b@c.example", "a b@c.example", "a@b c.example"])
def test_what_is_no_mailbox(raw: str) -> None:
    assert _one("email", raw)["bad"] == "bad_email"


def test_phones_are_e164() -> None:
    assert _one("phone", "+31 6 1234-5678")["form"] == "+31612345678"
    assert _one("phone", "06 12345678", region="NL")["form"] == "+31612345678"
    assert _one("phone", "0031612345678", region="NL")["form"] == "+31612345678"
    assert _one("phone", "06 12345678")["bad"] == "bad_phone"
    assert _one("phone", "call me")["bad"] == "bad_phone"


def test_user_agents_show_their_family_and_never_their_text() -> None:
    chrome = (
        "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/126.0 Safari/537.36"
    )
    assert _one("user_agent", chrome)["label"] == "Chrome/Windows"
    assert _one("user_agent", "PlantedBrowser/1.0 (jane@doe.example)")["label"] == "Other/Other"
    assert _one("user_agent", chrome)["form"] == chrome


def test_other_identifiers_are_taken_as_they_are() -> None:
    assert _one("device", " Dev-1 ")["form"] == "Dev-1"
    assert _one("wallet", "0xAB")["form"] == "0xAB"
    assert _one("device", "a\x00b")["bad"] == "control_character"
    assert _one("device", " ")["bad"] == "empty_identifier"
    assert _one("device", "d" * 513)["bad"] == "identifier_too_long"
    assert _one("user_agent", "d" * 513)["bad"] is None


@pytest.mark.parametrize(
    "raw",
    [
        "4111111111111111",
        "4111 1111 1111 1111",
        "3782-822463-10005",
        "６０１１０００９９０１３９４２４",
        "30569309025904",
        "4111111111111111.0",
        "4111111111111111.00",
        "4.111111111111111e+15",
        "4.111111111111111E15",
    ],
)
def test_cards_are_cards_however_they_are_written(raw: str) -> None:
    assert _one("payment", raw)["bad"] == "pan_refused"
    assert _one("payment", raw)["form"] is None
    assert _one("device", raw)["bad"] is None


@pytest.mark.parametrize(
    "raw", ["4111111111111112", "tok_4111111111111111", "18", "card-4111", "0" * 21, "4111111111111112.0", "1e99"]
)
def test_what_is_no_card(raw: str) -> None:
    assert _one("payment", raw)["bad"] is None


@given(st.integers(10**11, 10**18))
def test_luhn_by_its_definition(number: int) -> None:
    digits = str(number)
    doubled = "".join(str(int(d) * (2 if place % 2 else 1)) for place, d in enumerate(reversed(digits)))
    total = sum(sum(map(int, str(int(d) * (2 if place % 2 else 1)))) for place, d in enumerate(reversed(digits)))
    assert passes_luhn(digits) == (total % 10 == 0) == (sum(map(int, doubled)) % 10 == 0)
    assert (card_of(digits) == digits) == passes_luhn(digits)


@given(st.binary(max_size=100), st.lists(st.binary(max_size=80), max_size=5))
def test_tokens_are_hmac_sha256(key: bytes, values: list[bytes]) -> None:
    codes, tokens = Tokeniser(key).tokens(values)
    expected = [hmac.digest(key, value, hashlib.sha256) for value in values]
    assert tokens.to_pylist() == [digest[:16].hex() for digest in expected]
    assert codes.tolist() == [int.from_bytes(digest[:8], "big", signed=True) for digest in expected]


# -- tool calls -------------------------------------------------------------------------------------------

HASHER = Tokeniser(b"k" * 32)


def test_a_call_is_its_structure_and_its_targets() -> None:
    one = describe_call("fetch", '{"url": "http://x.example", "n": 3, "deep": {"a": [1, 22222]}}', HASHER, depth=32)
    same = describe_call("fetch", '{"deep":{"a":[1,22222]},"n":3,"url":"http://x.example"}', HASHER, depth=32)
    other = describe_call("fetch", '{"url": "http://y.example", "n": 4, "deep": {"a": [2, 22222]}}', HASHER, depth=32)
    assert one == same
    assert one.shape == other.shape
    assert one.args != other.args
    assert one.values is not None
    assert other.values is not None
    assert len(set(one.values) & set(other.values)) == 1
    assert describe_call("shell", '{"url": "http://x.example"}', HASHER, depth=32).shape != one.shape
    assert describe_call("fetch", "", HASHER, depth=32).args is None


@given(st.recursive(st.one_of(st.none(), st.booleans(), st.integers(), st.text()), st.lists, max_leaves=8))
def test_any_json_is_described_and_nothing_else(value: object) -> None:
    assert describe_call("t", json.dumps(value), HASHER, depth=64).bad is None
    assert describe_call("t", json.dumps(value) + "]", HASHER, depth=64).bad == "bad_json"


def test_depth_is_bounded_whatever_the_limit() -> None:
    deep = "[" * 5000 + "]" * 5000
    assert describe_call("t", deep, HASHER, depth=32).bad == "json_too_deep"
    assert describe_call("t", deep, HASHER, depth=10_000).bad == "json_too_deep"
    assert describe_call("t", json.dumps("[" * 50), HASHER, depth=32).bad is None
