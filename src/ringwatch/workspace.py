"""A workspace: one folder that holds the settings, the keys, the event log, the embedded store and the runs.

    ringwatch.toml   settings          keys/     one secret per purpose, 0600
    CURRENT          what is committed log/      batches of the event log
    store/           generations of the embedded graph     runs/     what each run found
    models/          what `train` learnt
    audit.log        reveals, decisions, erasures          lock      held by the one writer
    readers          held by all who read the log

`CURRENT` is the single point of commit: a small JSON document, replaced by an atomic rename. What it does not
name does not exist, and a writer removes it.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import re
import secrets
import shutil
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import IO, Any

from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from ringwatch.config import Config, read_config, write_config
from ringwatch.errors import BusyError, RingwatchError, UsageError

SPILL = "spill-"
"""What a folder in `staging/` begins with to which an engine spills, a reader's among them."""

_KEY_BYTES = 32
_FOLDERS = ("keys", "log", "store", "runs", "models", "staging")
_OWN_KEY = re.compile(r"(tokens-\d+|signatures|vault)\.key|\..+\.key\.[0-9a-f]{8}\.tmp")


@dataclass(frozen=True)
class Current:
    """What is committed: batches in the order they came, the embedded store's generation, runs oldest first,
    the name of the token secret in force, models oldest first, the model that `detect` uses, and the folder in
    `staging/` of what is still to be done after a commit (`pipeline.writing`)."""

    workspace_id: str
    batches: tuple[str, ...] = ()
    runs: tuple[str, ...] = ()
    generation: str | None = None
    token_key: str = "tokens-1"
    models: tuple[str, ...] = ()
    promoted: str | None = None
    pending: str | None = None

    def with_(self, **changes: object) -> Current:
        return replace(self, **changes)  # type: ignore[arg-type]


def derive_key(secret: bytes, purpose: str) -> bytes:
    """HKDF-SHA-256 (RFC 5869) of `secret` for `purpose`; 32 bytes."""
    return HKDF(algorithm=SHA256(), length=_KEY_BYTES, salt=None, info=purpose.encode()).derive(secret)


def lock(handle: IO[Any], path: Path, wait: float) -> None:
    """Takes the lock of an open file for writing to `path`.

    Raises:
        BusyError: another process still has it after `wait` seconds.
    """
    deadline = time.monotonic() + wait
    while True:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
            break
        except BlockingIOError as error:
            if time.monotonic() >= deadline:
                raise BusyError(
                    f"Another process is writing to {path}.", hint="Wait for it, or give a longer --wait."
                ) from error
            time.sleep(0.02)


def fsync_path(path: Path) -> None:
    """Flushes a file or a directory entry to disk."""
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def write_atomic(path: Path, data: bytes, *, mode: int = 0o644) -> None:
    """Replaces `path` by `data` so that a kill at any moment leaves the old or the new bytes."""
    staged = path.with_name(f".{path.name}.{secrets.token_hex(4)}.tmp")
    handle = os.open(staged, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode)
    with os.fdopen(handle, "wb") as out:
        out.write(data)
        out.flush()
        os.fsync(out.fileno())
    staged.replace(path)
    fsync_path(path.parent)


@contextlib.contextmanager
def writes_to(output: Path) -> Iterator[None]:
    """Within it a file or folder that the caller named is written.

    Raises:
        UsageError: it cannot be.
    """
    try:
        yield
    except OSError as error:
        raise UsageError(f"{output} cannot be written: {error.strerror}.", hint="Choose another place.") from error


def write_file(output: Path, data: bytes) -> None:
    """Writes a file that the caller named, wholly or not at all; one that is there is replaced.

    Raises:
        UsageError: it cannot be written.
    """
    with writes_to(output):
        output.parent.mkdir(parents=True, exist_ok=True)
        write_atomic(output, data)


def read_current(root: Path) -> Current:
    """What the workspace at `root` has committed.

    Raises:
        RingwatchError: `CURRENT` is missing or damaged.
    """
    try:
        document = json.loads((root / "CURRENT").read_bytes())
        document["batches"] = tuple(document["batches"])
        document["runs"] = tuple(document["runs"])
        document["models"] = tuple(document.get("models", ()))
        return Current(**document)
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise RingwatchError(
            f"{root / 'CURRENT'} cannot be read: {error}.", hint="Restore it from a backup."
        ) from error


def _in_the_way(root: Path) -> str | None:
    """The first thing at `root` that a workspace has, or would write over or remove, and that a `Workspace.create`
    which was cut short cannot have left; null where there is none."""
    for name in ("lock", "readers", "audit.log"):
        if (root / name).exists():
            return name
    for name in (*_FOLDERS, "training"):
        place = root / name
        if place.exists() and not place.is_dir():
            return name
        for path in place.glob("*"):
            if name != "keys" or not _OWN_KEY.fullmatch(path.name):
                return f"{name}/{path.name}"
    if (root / "CURRENT").exists():
        try:
            begun = read_current(root)
        except RingwatchError:
            return "CURRENT"
        if begun != Current(workspace_id=begun.workspace_id, token_key=begun.token_key):
            return "CURRENT"
    return None


class Workspace:
    """An opened workspace. Paths, settings, keys, the writer's lock and the commit point."""

    def __init__(self, root: Path, config: Config) -> None:
        self.root = root
        self.config = config

    # -- places ---------------------------------------------------------------------------------------

    @property
    def log_dir(self) -> Path:
        return self.root / "log"

    @property
    def store_dir(self) -> Path:
        return self.root / "store"

    @property
    def runs_dir(self) -> Path:
        return self.root / "runs"

    @property
    def models_dir(self) -> Path:
        return self.root / "models"

    @property
    def audit_path(self) -> Path:
        return self.root / "audit.log"

    @property
    def training_dir(self) -> Path:
        """What a training that was cut short has fitted; for the next one."""
        return self.root / "training"

    @property
    def staging_dir(self) -> Path:
        """Where a writer prepares what it will commit; emptied by the next writer, but for what is pending."""
        return self.root / "staging"

    # -- making and opening ---------------------------------------------------------------------------

    @classmethod
    def create(cls, root: Path, config: Config, *, keys_from: Workspace | None = None) -> Workspace:
        """Makes a workspace; with `keys_from` it tokenises as that one does.

        Raises:
            UsageError: there is a workspace at `root` already, something that is no folder, or what a workspace has
                or would remove and no `create` that was cut short can have left.
        """
        if (root / "ringwatch.toml").exists():
            raise UsageError(f"{root} is a workspace already.", hint="Choose another folder.")
        found = _in_the_way(root)
        if found:
            raise UsageError(
                f"{root} cannot be made a workspace: {found} is there.",
                hint="Choose another folder; where it was a workspace, restore its ringwatch.toml.",
            )
        try:
            for name in _FOLDERS:
                (root / name).mkdir(parents=True, exist_ok=True)
            (root / "keys").chmod(0o700)
        except OSError as error:
            raise UsageError(f"{root} cannot be made a workspace: {error.strerror}.") from error
        workspace = cls(root, config)
        token_key = keys_from.current().token_key if keys_from else "tokens-1"
        for name in (token_key, "signatures", "vault"):
            if keys_from is not None and name != "vault":
                write_atomic(root / "keys" / f"{name}.key", keys_from.secret(name), mode=0o600)
            else:
                workspace.new_secret(name)
        workspace.commit(Current(workspace_id=secrets.token_hex(8), token_key=token_key))
        write_config(config, root / "ringwatch.toml")
        return workspace

    @classmethod
    def open(cls, root: Path) -> Workspace:
        """Opens a workspace.

        Raises:
            UsageError: there is none at `root`, or its settings cannot be read.
        """
        if not (root / "ringwatch.toml").is_file():
            if (root / "CURRENT").is_file() and _in_the_way(root):
                raise UsageError(
                    f"The workspace at {root} lacks its settings, ringwatch.toml.",
                    hint="Restore the file from a backup; nothing else is missing for want of it.",
                )
            raise UsageError(
                f"There is no workspace at {root}.",
                hint="Make one with `ringwatch init`, or name one with --workspace or RINGWATCH_WORKSPACE.",
            )
        return cls(root, read_config(root / "ringwatch.toml"))

    # -- keys -----------------------------------------------------------------------------------------

    def secret(self, name: str) -> bytes:
        """The 32 random bytes kept in `keys/NAME.key`.

        Raises:
            RingwatchError: the file is missing or short.
        """
        path = self.root / "keys" / f"{name}.key"
        try:
            value = path.read_bytes()
        except OSError as error:
            raise RingwatchError(
                f"The key {path} cannot be read: {error.strerror}.", hint="Restore it from a backup."
            ) from error
        if len(value) != _KEY_BYTES:
            raise RingwatchError(f"The key {path} is damaged.", hint="Restore it from a backup.")
        return value

    def new_secret(self, name: str) -> None:
        """Makes `keys/NAME.key`, readable by its owner alone."""
        write_atomic(self.root / "keys" / f"{name}.key", secrets.token_bytes(_KEY_BYTES), mode=0o600)

    def remove_old_tokens(self) -> None:
        """Removes the token secrets that are not in force; what they made can be made no more."""
        for path in (self.root / "keys").glob("tokens-*.key"):
            if path.stem != self.current().token_key:
                path.unlink()
        fsync_path(self.root / "keys")

    def key(self, purpose: str) -> bytes:
        """The 32-byte HMAC key of an entity type, derived (HKDF-SHA-256) from the token secret in force."""
        return derive_key(self.secret(self.current().token_key), purpose)

    # -- the commit point -----------------------------------------------------------------------------

    def current(self) -> Current:
        """What is committed now."""
        return read_current(self.root)

    def commit(self, current: Current) -> None:
        """Makes `current` what is committed, atomically and durably."""
        write_atomic(self.root / "CURRENT", json.dumps(asdict(current), indent=1).encode())

    @contextlib.contextmanager
    def reading(self) -> Iterator[Current]:
        """What is committed. Within it no writer removes a batch of that, nor what readers spill."""
        with contextlib.ExitStack() as held:
            # Who may not make the file reads without the lock, as from a copy that is read-only.
            with contextlib.suppress(OSError):
                file = os.open(self.root / "readers", os.O_RDONLY | os.O_CREAT, 0o644)
                fcntl.flock(held.enter_context(os.fdopen(file, "rb")), fcntl.LOCK_SH)
            yield self.current()

    @contextlib.contextmanager
    def writer(self, *, wait: float = 10.0) -> Iterator[None]:
        """Holds the one writer's lock. What `CURRENT` does not name is removed on entry (a killed writer's) and on
        leaving (what was replaced).

        Raises:
            BusyError: another process still writes after `wait` seconds.
        """
        with (self.root / "lock").open("w") as handle:
            lock(handle, self.root, wait)
            # A process that this one starts to read raw values holds the lock as well: should this one be killed,
            # the next writer waits for that one's end and sweeps what it left.
            os.set_inheritable(handle.fileno(), True)
            self.sweep()
            try:
                yield
            finally:
                self.sweep()

    def sweep(self, *, wait: float = 0.0) -> bool:
        """Removes what `CURRENT` does not name. Where somebody still reads the log after `wait` seconds, batches that
        were replaced, and what readers spill, are left to the next writer, and the answer is false. What readers use
        besides they have open, or look again. Inside `writer`.
        """
        with (self.root / "readers").open("a") as handle:
            try:
                lock(handle, self.root, wait)
            except BusyError:
                return self._remove(but_read=True)
            return self._remove(but_read=False)

    def _remove(self, *, but_read: bool) -> bool:
        """Removes what `CURRENT` does not name, `but_read` without what readers may use; whether that was all."""
        current, whole = self.current(), True
        keep: dict[Path, set[str | None]] = {
            self.log_dir: set(current.batches),
            self.runs_dir: set(current.runs),
            self.models_dir: set(current.models),
            self.store_dir: {current.generation, f"{current.generation}.wal"},
            self.staging_dir: {current.pending},
        }
        for folder, names in keep.items():
            folder.mkdir(exist_ok=True)
            for path in folder.iterdir():
                if path.name in names:
                    continue
                if but_read and (folder == self.log_dir or path.name.startswith(SPILL)):
                    whole = False
                else:
                    shutil.rmtree(path) if path.is_dir() else path.unlink()
        for path in self.root.glob(".CURRENT.*.tmp"):
            path.unlink()
        return whole
