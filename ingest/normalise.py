"""One form for each way of writing a value: addresses, mailboxes, phones, user agents. On distinct values only.

`normalise` takes the distinct raw values of one entity type and says of each its normal form, or why it has none.
"""

from __future__ import annotations

import ipaddress
import re
import unicodedata
from collections.abc import Callable
from dataclasses import dataclass
from decimal import Decimal
from functools import lru_cache
from typing import Any

import numpy as np
import phonenumbers
import pyarrow as pa
import pyarrow.compute as pc
from disposable_email_domains import blocklist
from ua_parser import parse as parse_agent

# The stubs of pyarrow do not know what most kernels return.
_kernels: Any = pc

_OCTET = r"(25[0-5]|2[0-4][0-9]|1[0-9][0-9]|[1-9]?[0-9])"
_IPV4 = rf"^{_OCTET}\.{_OCTET}\.{_OCTET}\.{_OCTET}$"
_DOMAIN = re.compile(r"[^\s@.,;:()<>\[\]\"\\/]+(\.[^\s@.,;:()<>\[\]\"\\/]+)*\Z")
_CARD = r"(?s)^([0-9]([0-9 .\-]{10,30}[0-9]|(\.[0-9]+)?[eE]\+?[0-9]{1,2})|[\[{].*[0-9].*)$"
_GROUPS = re.compile(r"[0-9][0-9 .\-]*[0-9]")
_FLOAT = re.compile(r"[0-9]+\.0+|[0-9](\.[0-9]+)?[eE]\+?[0-9]{1,2}")
_CARD_DIGITS = range(12, 20)
_AGENT_FACTOR = 8  # browsers inside apps write long names

IGNORES_DOTS = frozenset({"gmail.com", "googlemail.com"})
"""Providers for which a.b@ and ab@ are one mailbox."""

IGNORES_PLUS = IGNORES_DOTS | {
    "outlook.com", "hotmail.com", "live.com", "msn.com", "icloud.com", "me.com", "mac.com", "proton.me", "pm.me",
    "protonmail.com", "fastmail.com", "fastmail.fm", "hey.com", "zoho.com", "yandex.com", "yandex.ru",
}  # fmt: skip
"""Providers for which a+anything@ and a@ are one mailbox."""

SAME_DOMAIN = {"googlemail.com": "gmail.com"}

BROWSERS = frozenset({
    "Chrome", "Chrome Mobile", "Chrome Mobile iOS", "Chrome Mobile WebView", "HeadlessChrome", "Chromium", "Firefox",
    "Firefox Mobile", "Firefox iOS", "Safari", "Mobile Safari", "Mobile Safari UI/WKWebView", "Edge", "Edge Mobile",
    "Opera", "Opera Mobile", "Opera Mini", "Samsung Internet", "IE", "IE Mobile", "Android", "UC Browser",
    "Yandex Browser", "Brave", "Vivaldi", "Electron", "curl", "Wget", "Python Requests", "Python aiohttp",
    "Python-urllib", "okhttp", "Go-http-client", "Apache-HttpClient", "axios", "node-fetch", "PostmanRuntime", "Java",
    "Googlebot", "bingbot",
})  # fmt: skip
SYSTEMS = frozenset({
    "Windows", "Mac OS X", "iOS", "Android", "Linux", "Ubuntu", "Debian", "Fedora", "Chrome OS", "FreeBSD", "OpenBSD",
    "Windows Phone", "KaiOS", "Tizen", "HarmonyOS",
})  # fmt: skip
"""Only these names are shown for a user agent: a name taken from the raw text could carry anything."""


@dataclass(frozen=True)
class Normalised:
    """Of n raw values: the normal form (null where `bad` says why there is none), what it belongs to (network,
    domain), what related values have in common, the pattern that values of one generator follow, a label without raw
    text, and whether a mailbox is disposable."""

    form: Any
    bad: Any
    parent: Any
    family: Any
    shape: Any
    label: Any
    disposable: Any


def normalise(entity_type: str, raw: Any, *, limit: int, region: str | None) -> Normalised:
    """Normalises distinct values of an entity type; string[n], no nulls.

    `limit` bounds an identifier's characters. `region` reads phone numbers without a country code.
    """
    trimmed = _kernels.utf8_trim_whitespace(raw.cast(pa.string()))
    n = len(trimmed)
    bad: Any = pa.nulls(n, pa.string())
    longest = limit * (_AGENT_FACTOR if entity_type == "user_agent" else 1)
    bad = _mark(bad, _kernels.equal(trimmed, ""), "empty_identifier")
    bad = _mark(bad, _kernels.match_substring_regex(trimmed, r"\p{Cc}"), "control_character")
    bad = _mark(bad, _kernels.greater(_kernels.utf8_length(trimmed), longest), "identifier_too_long")
    if entity_type == "payment":
        bad = _mark(bad, pa.array(_are_cards(trimmed)), "pan_refused")
    if entity_type in _PARSERS:
        return _parsed(entity_type, trimmed, bad, region)
    empty: Any = pa.nulls(n, pa.string())
    form = _kernels.if_else(_kernels.is_null(bad), trimmed, pa.scalar(None, pa.string()))
    return Normalised(form, bad, empty, empty, empty, empty, pa.nulls(n, pa.bool_()))


def _mark(bad: Any, where: Any, reason: str) -> Any:
    """The first reason stands."""
    return _kernels.if_else(_kernels.and_(where, _kernels.is_null(bad)), reason, bad)


# -- cards ------------------------------------------------------------------------------------------------


def passes_luhn(digits: str) -> bool:
    """The check of ISO/IEC 7812-1, annex B: every second digit from the right doubled, digits summed, 0 modulo 10."""
    total = 0
    for place, digit in enumerate(reversed(digits)):
        value = ord(digit) - ord("0")
        if place % 2:
            value = value * 2 - 9 if value > 4 else value * 2
        total += value
    return total % 10 == 0


def card_of(value: str) -> str | None:
    """The digits of the card number that a value is, if it is one: a card's count of digits, however grouped, or the
    same number as a float is written, that pass Luhn's test. A list or an object of JSON is what stands in it."""
    # NFKC turns full-width and other digits into ASCII: a card does not hide in another alphabet.
    folded = unicodedata.normalize("NFKC", value).strip()
    groups = _GROUPS.findall(folded) if folded.startswith(("[", "{")) else [folded]
    written = [re.sub(r"[ .\-]", "", group) for group in groups]
    if _FLOAT.fullmatch(folded):
        written.append(f"{Decimal(folded):.0f}")
    for digits in written:
        if digits.isascii() and digits.isdigit() and len(digits) in _CARD_DIGITS and passes_luhn(digits):
            return digits
    return None


def _are_cards(values: Any) -> np.ndarray[Any, np.dtype[np.bool_]]:
    folded = _kernels.utf8_trim_whitespace(_kernels.utf8_normalize(values, form="NFKC"))
    cards = np.asarray(_kernels.match_substring_regex(folded, _CARD).to_numpy(zero_copy_only=False), dtype=bool)
    for index in np.flatnonzero(cards):
        cards[index] = card_of(folded[int(index)].as_py()) is not None
    return cards


# -- what has a parser of its own -------------------------------------------------------------------------

_Row = tuple[str | None, str | None, str | None, str | None, str | None, bool | None]
"""Normal form (None: it cannot be read), parent, family, shape, label, disposable."""

_UNREADABLE: _Row = (None, None, None, None, None, None)


def _parsed(entity_type: str, trimmed: Any, bad: Any, region: str | None) -> Normalised:
    parser = _PARSERS[entity_type]
    usable = np.asarray(_kernels.is_null(bad).to_numpy(zero_copy_only=False), dtype=bool)
    if entity_type == "ip":
        plain = np.asarray(_kernels.match_substring_regex(trimmed, _IPV4).to_numpy(zero_copy_only=False), dtype=bool)
    else:
        plain = np.zeros(len(trimmed), dtype=bool)
    slow = np.flatnonzero(usable & ~plain)
    rows = [parser(value, region) for value in trimmed.take(pa.array(slow)).to_pylist()]
    types: tuple[Any, ...] = (*[pa.string()] * 5, pa.bool_())
    columns: list[Any] = []
    mask = np.zeros(len(trimmed), dtype=bool)
    mask[slow] = True
    for place, kind in enumerate(types):
        column: Any = pa.nulls(len(trimmed), kind)
        if entity_type == "ip" and place == 0:
            column = _kernels.if_else(pa.array(plain & usable), trimmed, column)
        if entity_type == "ip" and place == 1:
            networks = _kernels.replace_substring_regex(trimmed, pattern=r"\.[0-9]+$", replacement="/24")
            column = _kernels.if_else(pa.array(plain & usable), networks, column)
        columns.append(
            _kernels.replace_with_mask(column, pa.array(mask), pa.array([row[place] for row in rows], kind))
        )
    form, parent, family, shape, label, disposable = columns
    bad = _mark(bad, _kernels.is_null(form), f"bad_{entity_type}")
    return Normalised(form, bad, parent, family, shape, label, disposable)


def _ip(value: str, _region: str | None) -> _Row:
    try:
        address = ipaddress.ip_address(value.strip("[]").partition("%")[0])
    except ValueError:
        return _UNREADABLE
    if isinstance(address, ipaddress.IPv6Address):
        mapped = address.ipv4_mapped
        if mapped is None:
            # A household has a /64 and its devices move within it.
            home = ipaddress.ip_network((int(address) >> 64 << 64, 64))
            site = ipaddress.ip_network((int(address) >> 80 << 80, 48))
            return str(home), str(site), None, None, None, None
        address = mapped
    text = str(address)
    # Not with a host octet, which would be a raw address (docs/adr/0004).
    return text, text.rpartition(".")[0] + "/24", None, None, None, None


def _email(value: str, _region: str | None) -> _Row:
    local, at, domain = value.lower().rpartition("@")
    domain = domain.rstrip(".")
    if (
        not at
        or not local
        or "@" in local
        or len(value) > 254
        or not _DOMAIN.match(domain)
        or re.search(r"\s", local)
    ):
        return _UNREADABLE
    try:
        domain = domain if domain.isascii() else domain.encode("idna").decode("ascii")
    except UnicodeError:
        return _UNREADABLE
    disposable = _is_disposable(domain)
    mailbox = local
    if domain in IGNORES_PLUS:
        mailbox = mailbox.partition("+")[0] or local
    if domain in IGNORES_DOTS:
        mailbox = mailbox.replace(".", "") or local
    domain = SAME_DOMAIN.get(domain, domain)
    # One mailbox with tags is a family of its own; without tags, names that differ by a number are one.
    name, tag, _ = mailbox.partition("+")
    base = name.replace(".", "") if tag else _name_of(name)
    family = f"{base}@{domain}" if base else None
    # Who throws mailboxes away throws their domains away too.
    shape = f"{_shape(name.translate(_SKELETON))}@{'' if disposable else domain}"
    return f"{mailbox}@{domain}", domain, family, shape, None, disposable


_MARKS = re.compile(r"[\d._\-]+")
_INSIDE = re.compile(r"(?<=[^\W\d_])\d+(?=[^\W\d_])")


def _name_of(local: str) -> str | None:
    """The letters of a local part that a number and separators were put to; None where there is no name in it, as
    in strings of letters and digits mixed."""
    return None if len(_INSIDE.findall(local)) > 1 else _MARKS.sub("", local)


_SKELETON = str.maketrans(
    {letter: "v" if letter in "aeiouy" else "c" for letter in "abcdefghijklmnopqrstuvwxyz"}
    | dict.fromkeys("0123456789", "9")
)
_PARTS = re.compile(r"([._\-])")
_RUNS = re.compile(r"[cv]+|9+|[^cv9]+")
_LONGEST_NUMBER = 6


@lru_cache(maxsize=65_536)
def _shape(skeleton: str) -> str:
    """What made a local part, as far as its consonants, vowels and digits tell: `w` a word or name of any length,
    `i1` an initial, `r8` eight letters that nobody can say, `94` a number of four digits, `x9` nine letters and
    digits mixed; separators as they are. So `anna.smith1984` and `wei.chen2001` have one shape, as have
    `xkqvbtzr` and `zzkqwpfh`."""
    return "".join(_part(part) for part in _PARTS.split(skeleton))


def _part(part: str) -> str:
    runs = _RUNS.findall(part)
    if len(runs) > 3:
        return f"x{len(part)}"
    return "".join(_run(run) for run in runs) if part not in "._-" else part


def _run(run: str) -> str:
    if run[0] == "9":
        return f"9{min(len(run), _LONGEST_NUMBER)}"
    if run[0] not in "cv":
        return "u"
    if len(run) < 3:
        return f"i{len(run)}"
    spoken = "cccc" not in run and "vvvv" not in run and run.count("v") * 5 >= len(run)
    return "w" if spoken else f"r{len(run)}"


def _is_disposable(domain: str) -> bool:
    parts = domain.split(".")
    return any(".".join(parts[start:]) in blocklist for start in range(len(parts) - 1))


def _phone(value: str, region: str | None) -> _Row:
    try:
        number = phonenumbers.parse(value, region)
    except phonenumbers.NumberParseException:
        return _UNREADABLE
    return phonenumbers.format_number(number, phonenumbers.PhoneNumberFormat.E164), None, None, None, None, None


def _user_agent(value: str, _region: str | None) -> _Row:
    parsed = parse_agent(value)
    browser = parsed.user_agent.family if parsed.user_agent else "Other"
    system = parsed.os.family if parsed.os else "Other"
    label = f"{browser if browser in BROWSERS else 'Other'}/{system if system in SYSTEMS else 'Other'}"
    return value, None, None, None, label, None


_PARSERS: dict[str, Callable[[str, str | None], _Row]] = {
    "ip": _ip,
    "email": _email,
    "phone": _phone,
    "user_agent": _user_agent,
}
