"""`ringwatch.toml`: what a workspace declares. Unknown keys are refused, so that a typing error is seen."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path
from typing import Annotated, Literal

import tomli_w
from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError

from ringwatch.errors import UsageError

_NAME = re.compile(r"[a-z][a-z0-9_]{0,31}\Z")
TOKEN = re.compile(r"([a-z][a-z0-9_]{0,31}_)([0-9a-f]{32}|[0-9a-f]{16})")
"""The whole of a token: the type of its entity, and digits."""

BUILTIN_ENTITY_TYPES = ("ip", "device", "payment", "email", "phone", "user_agent")
BUILTIN_RELATION_KINDS = ("referral", "transfer", "invite", "follow", "message")
BUILTIN_ENTITY_KINDS = (
    "vpn", "hosting", "cgnat", "campus", "company", "exchange", "service", "shared_device",
)  # fmt: skip


def _declared(name: str) -> str:
    if not _NAME.match(name):
        raise ValueError(f"'{name}' is not a name of the form [a-z][a-z0-9_]{{0,31}}")
    return name


Name = Annotated[str, AfterValidator(_declared)]


class Limits(BaseModel):
    """Bounds on input. Each has its own refusal; none is reached by honest data."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    file_bytes: int = 1 << 40
    compression_ratio: int = 200
    line_bytes: int = 8 << 20
    json_depth: int = 32
    columns: int = 512
    identifier_chars: int = 512


class Config(BaseModel):
    """The settings of one workspace.

    `time_unit` says what a bare integer time counts; without it such a time is a violation.
    `default_region` (ISO 3166-1 alpha-2) reads phone numbers that carry no country code. A query that aggregates
    shows no row made from fewer than `anonymity_k` accounts, unless all of these are in open cases.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    store: Literal["embedded", "neo4j"] = "embedded"
    neo4j_uri: str | None = None
    entity_types: tuple[Name, ...] = ()
    relation_kinds: tuple[Name, ...] = ()
    entity_kinds: tuple[Name, ...] = ()
    time_unit: Literal["s", "ms", "us", "ns"] | None = None
    default_region: str | None = None
    prompt_exemplars: bool = True
    anonymity_k: int = Field(default=5, ge=1)
    memory_mb: int = Field(default=3072, ge=256)
    limits: Limits = Limits()

    @property
    def all_entity_types(self) -> tuple[str, ...]:
        return tuple(dict.fromkeys((*BUILTIN_ENTITY_TYPES, *self.entity_types)))

    @property
    def all_relation_kinds(self) -> tuple[str, ...]:
        return tuple(dict.fromkeys((*BUILTIN_RELATION_KINDS, *self.relation_kinds)))

    @property
    def all_entity_kinds(self) -> tuple[str, ...]:
        return tuple(dict.fromkeys((*BUILTIN_ENTITY_KINDS, *self.entity_kinds)))


def make_config(**settings: object) -> Config:
    """A `Config` from keyword settings.

    Raises:
        UsageError: a setting is unknown or has a value it cannot have.
    """
    try:
        return Config.model_validate(settings)
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"])
        raise UsageError(f"Setting '{where}': {first['msg']}.", hint="Correct it and run again.") from error


def read_config(path: Path) -> Config:
    """Reads `ringwatch.toml`.

    Raises:
        UsageError: the file is no TOML, or a setting is unknown or has a value it cannot have.
    """
    try:
        return make_config(**tomllib.loads(path.read_text(encoding="utf-8")))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise UsageError(f"{path} cannot be read: {error}.", hint="Correct the file.") from error


def write_config(config: Config, path: Path) -> None:
    """Writes the settings that differ from the defaults, and the store."""
    settings = config.model_dump(mode="json", exclude_defaults=True)
    path.write_text(tomli_w.dumps({"store": config.store, **settings}), encoding="utf-8")
