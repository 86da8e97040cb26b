"""Text that acts on nobody's screen: control characters and those that turn the direction of writing, spelled out."""

from __future__ import annotations

import re

_ACTS = (
    "\u0000-\u001f\u007f-\u009f"  # control characters
    "\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069"  # marks, embeddings, overrides and isolates of direction
    "\u2028\u2029\ufeff"  # line and paragraph separators, which end lines in scripts; the byte order mark
    "\ud800-\udfff\ufffe\uffff"  # what UTF-8 or XML cannot carry
)
_SPELLED = re.compile(rf"[{_ACTS}]|\\(?=u[0-9a-f]{{4}})")
_ESCAPE = re.compile(r"\\u([0-9a-f]{4})")


def escaped(text: str) -> str:
    r"""Text in which each such character is `\uXXXX`; a backslash that would begin such a spelling is `\u005c`."""
    return _SPELLED.sub(lambda found: f"\\u{ord(found[0]):04x}", text)


def unescaped(text: str) -> str:
    """What `escaped` was given."""
    return _ESCAPE.sub(lambda found: chr(int(found[1], 16)), text)
