"""Templates, and the one way by which text gets into a page: spelled out where it acts on a screen, then escaped."""

from __future__ import annotations

import hashlib
from importlib import resources
from typing import Any
from urllib.parse import quote

import pandas as pd
from jinja2 import Environment, FunctionLoader, StrictUndefined
from markupsafe import Markup

from ringwatch.errors import RingwatchError
from ringwatch.export import escaped

_TYPES = {"css": "text/css; charset=utf-8", "js": "text/javascript; charset=utf-8", "svg": "image/svg+xml"}


class Pages:
    """The templates, and the files that go with them by name: bytes and type."""

    def __init__(self) -> None:
        room = resources.files("ringwatch.web")
        self.files: dict[str, tuple[bytes, str]] = {}
        for file in (room / "static").iterdir():
            kind = _TYPES.get(file.name.rpartition(".")[2])
            if kind is not None:
                self.files[file.name] = (file.read_bytes(), kind)
        digest = hashlib.sha256(b"".join(data for _, (data, _) in sorted(self.files.items()))).hexdigest()
        texts = {
            file.name: file.read_text(encoding="utf-8")
            for file in (room / "templates").iterdir()
            if file.name.endswith(".html")
        }
        self._environment = Environment(
            loader=FunctionLoader(texts.get), autoescape=True, undefined=StrictUndefined, finalize=_shown,
            trim_blocks=True, lstrip_blocks=True,
        )  # fmt: skip
        self._environment.globals["version"] = digest[:12]
        self._environment.filters |= {
            "words": words, "figure": figure, "moment": moment, "day": day, "tenth": tenth, "short": short,
            "paragraphs": paragraphs, "path": lambda parts: path_of(*parts),
        }  # fmt: skip

    def render(self, template: str, **values: Any) -> str:
        """A page."""
        return self._environment.get_template(f"{template}.html").render(values)

    def error(self, status: int, error: RingwatchError | str, **values: Any) -> str:
        """The page of a failure: one sentence, and what to do."""
        said = error.message if isinstance(error, RingwatchError) else error
        hint = error.hint if isinstance(error, RingwatchError) else ""
        return self.render("error", status=status, said=said, hint=hint, who=None, token="", **values)


def _shown(value: Any) -> Any:
    """Every value of every template goes through here."""
    if isinstance(value, str) and not hasattr(value, "__html__"):
        return escaped(value)
    return "" if value is None else value


def words(name: Any) -> str:
    """A name of the code as people read it."""
    return str(name).replace("_", " ")


def figure(value: Any, digits: int = 2, sign: bool = False) -> str:
    """A number; a dash where it is undefined."""
    if value is None or pd.isna(value):
        return "–"
    return f"{value:{'+' if sign else ''},.{digits}f}".replace("-", "−")


def moment(value: Any) -> str:
    """A moment to the minute."""
    return "–" if value is None or pd.isna(value) else str(value)[:16].replace("T", " ")


def day(value: Any) -> str:
    return "–" if value is None or pd.isna(value) else str(value)[:10]


def tenth(value: Any) -> int:
    """A share as one of the twenty steps that the style has bars for."""
    return 0 if value is None or pd.isna(value) else max(0, min(20, round(float(value) * 20)))


def short(token: str) -> str:
    """A token as tables show it."""
    kind, sign, digits = token.rpartition("_")
    return f"{kind}_{digits[:8]}…" if sign and len(digits) > 12 else token


def path_of(*parts: str) -> str:
    """A path made of names, whatever is in them."""
    return "/" + "/".join(quote(part, safe="") for part in parts)


def paragraphs(text: str) -> Markup:
    """A text of several lines, each shown as any other text."""
    return Markup("<br>").join(escaped(line) for line in text.splitlines())
