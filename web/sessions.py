"""Who is signed in, for how long, and how often a passphrase may be tried.

A session says who is reading. It holds no key: whatever is signed takes the passphrase again (docs/adr/0029).
"""

from __future__ import annotations

import hashlib
import hmac
import secrets
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass

Clock = Callable[[], float]


@dataclass(frozen=True)
class Limits:
    """How long a session lasts without a request and at most, in seconds; how many wrong passphrases of one name, and
    of all names in a minute, are answered at once; and how long the next one then waits at most, in seconds."""

    idle: float = 15 * 60
    life: float = 12 * 3600
    tries: int = 5
    tries_a_minute: int = 30
    longest_wait: float = 300.0


@dataclass
class Session:
    """A reviewer who has signed in. `token` stands in every form of theirs; `said`: what the next page tells them."""

    name: str
    token: str
    began: float
    seen: float
    said: str = ""


_MOST = 256


class Sessions:
    """The sessions of a server, in its memory alone; the ids are known by their SHA-256."""

    def __init__(self, limits: Limits, clock: Clock = time.monotonic) -> None:
        self._limits = limits
        self._clock = clock
        self._held: dict[bytes, Session] = {}
        self._lock = threading.Lock()
        self._secret = secrets.token_bytes(32)

    def begin(self, name: str) -> str:
        """A new session; its id."""
        made, now = secrets.token_urlsafe(32), self._clock()
        with self._lock:
            self._sweep(now)
            while len(self._held) >= _MOST:
                del self._held[min(self._held, key=lambda key: self._held[key].seen)]
            self._held[_known_by(made)] = Session(name, secrets.token_urlsafe(32), now, now)
        return made

    def find(self, given: str | None) -> Session | None:
        """The session of an id, which goes on by it; none where it has ended."""
        now = self._clock()
        with self._lock:
            self._sweep(now)
            found = self._held.get(_known_by(given)) if given else None
            if found is not None:
                found.seen = now
        return found

    def end(self, given: str | None) -> None:
        """Ends a session."""
        with self._lock:
            self._held.pop(_known_by(given or ""), None)

    def token_of(self, visitor: str) -> str:
        """What stands in the form of somebody who has not signed in, and has the cookie `visitor`."""
        return hmac.new(self._secret, visitor.encode(), "sha256").hexdigest()

    def _sweep(self, now: float) -> None:
        limits = self._limits
        for key, one in list(self._held.items()):
            if now - one.seen > limits.idle or now - one.began > limits.life:
                del self._held[key]


def _known_by(given: str) -> bytes:
    return hashlib.sha256(given.encode("utf-8", "surrogatepass")).digest()


class Throttle:
    """Wrong passphrases: after some of one name each further one makes the next wait twice as long; and all names
    together have so many a minute."""

    def __init__(self, limits: Limits, clock: Clock = time.monotonic) -> None:
        self._limits = limits
        self._clock = clock
        self._failed: dict[str, tuple[int, float]] = {}
        self._late: list[float] = []
        self._lock = threading.Lock()

    def wait(self, name: str) -> float:
        """Seconds until a passphrase of this name is looked at; 0 is now."""
        now, limits = self._clock(), self._limits
        with self._lock:
            self._late = [when for when in self._late if now - when < 60]
            count, last = self._failed.get(name.casefold(), (0, 0.0))
            own = 0.0
            if count >= limits.tries:
                # The exponent has a bound of its own: a count may grow for months.
                own = last + min(2.0 ** min(count - limits.tries + 1, 32), limits.longest_wait) - now
            all_ = self._late[0] + 60 - now if len(self._late) >= limits.tries_a_minute else 0.0
        return max(own, all_, 0.0)

    def failed(self, name: str) -> None:
        """Notes a wrong passphrase."""
        now = self._clock()
        with self._lock:
            self._late.append(now)
            count, _ = self._failed.get(name.casefold(), (0, 0.0))
            self._failed[name.casefold()] = (count + 1, now)
            while len(self._failed) > _MOST:
                del self._failed[min(self._failed, key=lambda key: self._failed[key][1])]

    def passed(self, name: str) -> None:
        """Notes a right one."""
        with self._lock:
            self._failed.pop(name.casefold(), None)
