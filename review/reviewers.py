"""Reviewers: a name, a role and an Ed25519 key whose private half is under a passphrase.

Whoever decides is known by a key, not by a text typed. The private half lies in `keys/reviewers/NAME.json`, sealed by
AES-256-GCM under a key that scrypt (RFC 7914) makes of the passphrase; the public half is in the audit log, in the
line that enrolled the reviewer.
"""

from __future__ import annotations

import json
import os
import re
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Any

from cryptography.exceptions import InvalidSignature, InvalidTag
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.kdf.scrypt import Scrypt

from ringwatch.errors import PolicyError, RingwatchError, UsageError
from ringwatch.workspace import Workspace, write_atomic

LEAST_PASSPHRASE = 12
"""Characters of a passphrase: what is shorter is tried out by whoever gets hold of the file."""

_NAME = re.compile(r"[A-Za-z][A-Za-z0-9._-]{0,63}\Z")
_COST, _BLOCK, _LANES = 1 << 15, 8, 1
_CONTEXT = b"ringwatch.review/1\n"


class Role(StrEnum):
    """What a reviewer may do. An admin enrols reviewers and decides nothing; an analyst opens and proposes; a
    reviewer does so too, and decides on what others proposed."""

    ADMIN = "admin"
    ANALYST = "analyst"
    REVIEWER = "reviewer"


@dataclass(frozen=True)
class Reviewer:
    """A reviewer as the audit log knows them: `key` is the public one, in hex; `enrolled_by` the admin who signed.

    `retired` is the time since which their signature counts no more, or null.
    """

    name: str
    role: Role
    key: str
    enrolled_by: str
    enrolled_at: str
    retired: str | None = None

    def document(self) -> dict[str, Any]:
        return {
            "name": self.name,
            "role": str(self.role),
            "key": self.key,
            "enrolled_by": self.enrolled_by,
            "enrolled_at": self.enrolled_at,
            "retired": self.retired,
        }


@dataclass(frozen=True)
class Signer:
    """A reviewer whose passphrase was given: can sign."""

    name: str
    private: Ed25519PrivateKey

    @property
    def key(self) -> str:
        """The public key, in hex."""
        return self.private.public_key().public_bytes_raw().hex()

    def sign(self, said: dict[str, Any]) -> str:
        """The signature of an event (values that JSON has), in hex."""
        return self.private.sign(_message(said)).hex()


def signed_by(key: str, signature: str, said: dict[str, Any]) -> bool:
    """Whether `signature` is that of the event `said` by the public key `key`; both in hex."""
    try:
        Ed25519PublicKey.from_public_bytes(bytes.fromhex(key)).verify(bytes.fromhex(signature), _message(said))
    except (InvalidSignature, ValueError):
        return False
    return True


def _message(said: dict[str, Any]) -> bytes:
    return _CONTEXT + json.dumps(said, sort_keys=True, ensure_ascii=True, allow_nan=False).encode()


def check_name(name: str) -> str:
    """The name, if it can be one.

    Raises:
        UsageError: it cannot.
    """
    if not _NAME.match(name):
        raise UsageError(
            f"'{name[:80]}' is no name of a reviewer.",
            hint="Use letters, digits, dot, hyphen and underscore, a letter first, 64 at most.",
        )
    return name


def make_key(workspace: Workspace, name: str, passphrase: str) -> Signer:
    """Makes the key of a new reviewer and writes it under the passphrase.

    Raises:
        UsageError: the passphrase is too short.
    """
    if len(passphrase) < LEAST_PASSPHRASE:
        raise UsageError(f"The passphrase has fewer than {LEAST_PASSPHRASE} characters.", hint="Take some words.")
    private = Ed25519PrivateKey.generate()
    salt, nonce = os.urandom(16), os.urandom(12)
    sealed = AESGCM(_stretch(passphrase, salt, _COST, _BLOCK, _LANES)).encrypt(
        nonce, private.private_bytes_raw(), name.encode()
    )
    document = {
        "schema": "ringwatch.reviewer-key/1", "name": name, "kdf": "scrypt", "n": _COST, "r": _BLOCK, "p": _LANES,
        "salt": salt.hex(), "nonce": nonce.hex(), "sealed": sealed.hex(),
    }  # fmt: skip
    path = _place(workspace, name)
    path.parent.mkdir(mode=0o700, exist_ok=True)
    write_atomic(path, json.dumps(document, indent=1).encode(), mode=0o600)
    return Signer(name, private)


def unlock(workspace: Workspace, name: str, passphrase: str) -> Signer:
    """The reviewer, able to sign.

    Raises:
        UsageError: there is no key of that name.
        PolicyError: the passphrase is not the one it was made with.
        RingwatchError: the file is damaged.
    """
    path = _place(workspace, check_name(name))
    if not path.is_file():
        raise UsageError(f"There is no reviewer {name}.", hint="`ringwatch review reviewer list` names them.")
    try:
        document = json.loads(path.read_bytes())
        salt, nonce, sealed = (bytes.fromhex(document[field]) for field in ("salt", "nonce", "sealed"))
        key = _stretch(passphrase, salt, document["n"], document["r"], document["p"])
        return Signer(name, Ed25519PrivateKey.from_private_bytes(AESGCM(key).decrypt(nonce, sealed, name.encode())))
    except InvalidTag as error:
        raise PolicyError(f"That is not the passphrase of {name}.", hint="Try again; nothing was signed.") from error
    except (ValueError, KeyError, TypeError) as error:
        raise RingwatchError(f"{path} is damaged.", hint="Restore it from a backup, or enrol a new name.") from error


def waste(passphrase: str) -> None:
    """Takes the time of an `unlock`, so that how long a refusal takes does not tell which names there are."""
    _stretch(passphrase, bytes(16), _COST, _BLOCK, _LANES)


def _place(workspace: Workspace, name: str) -> Path:
    return workspace.root / "keys" / "reviewers" / f"{name}.json"


def _stretch(passphrase: str, salt: bytes, cost: int, block: int, lanes: int) -> bytes:
    # Surrogates: a passphrase from the environment may be no UTF-8 at all.
    return Scrypt(salt=salt, length=32, n=cost, r=block, p=lanes).derive(
        passphrase.encode("utf-8", "surrogateescape")
    )
