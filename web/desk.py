"""What the pages read: the workspace as last committed, opened for every request; what does not change is kept."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable, Hashable
from pathlib import Path
from typing import Any, TypeVar

import pandas as pd

from ringwatch.errors import PolicyError, RingwatchError, UsageError
from ringwatch.export import Drawing, draw, make_packet
from ringwatch.graphs import Cluster
from ringwatch.pipeline import Dossier, Run, account_facts, load_account, load_run
from ringwatch.review import Signer, sign_in
from ringwatch.web.guards import RefusedError
from ringwatch.web.sessions import Limits, Sessions, Throttle
from ringwatch.workspace import Workspace

T = TypeVar("T")
_KEPT = 16
_WAIT = 5.0
"""Seconds that a server of the graph which lags, while another process writes, is waited for."""


class Desk:
    """A workspace that pages are made of, and who has signed in to it."""

    def __init__(self, root: Path, limits: Limits) -> None:
        self._root = root
        self.sessions = Sessions(limits)
        self.throttle = Throttle(limits)
        # One at a time: each takes 32 MiB.
        self._trying = threading.Lock()
        self._kept: OrderedDict[Hashable, Any] = OrderedDict()
        self._keeping = threading.Lock()

    def workspace(self) -> Workspace:
        return Workspace.open(self._root)

    def signer(self, name: str, passphrase: str) -> Signer:
        """The reviewer, able to sign.

        Raises:
            RefusedError: too many passphrases were wrong.
            PolicyError: the name, or the passphrase, is wrong; which of them is not said.
        """
        with self._trying:
            wait = self.throttle.wait(name)
            if wait > 0:
                raise RefusedError(429, f"Too many passphrases were wrong: wait {int(wait) + 1} seconds.")
            try:
                found = sign_in(self.workspace(), name, passphrase)
            except (UsageError, PolicyError) as error:
                self.throttle.failed(name)
                raise PolicyError("The name or the passphrase is wrong.", hint="Nothing was done.") from error
        self.throttle.passed(name)
        return found

    def run(self, workspace: Workspace, run_id: str | None = None) -> Run:
        """A run, the newest unless one is named.

        Raises:
            UsageError: there is none.
        """
        return self._keep(("run", *self._as_committed(workspace), run_id), lambda: load_run(workspace, run_id))

    def facts(self, workspace: Workspace, run: Run, cluster: Cluster) -> pd.DataFrame:
        """`account_facts` of the members of a cluster, by account_id."""
        key = ("facts", *self._as_committed(workspace), run.record.run_id, cluster.cluster_id)
        members = sorted(cluster.members["account_id"])
        return self._keep(
            key, lambda: account_facts(workspace, members, run.record).set_index("account_id", drop=False)
        )

    def account(self, workspace: Workspace, account_id: str) -> Dossier:
        """All that is known of an account.

        Raises:
            UsageError: there is no run yet, or no such account.
        """
        key = ("account", *self._as_committed(workspace), account_id)
        return self._keep(key, lambda: load_account(workspace, account_id, wait=_WAIT))

    def drawn(self, workspace: Workspace, cluster: Cluster, spell: Callable[[Drawing], bytes]) -> bytes:
        """A cluster, laid out, as `spell` has it."""
        key = ("drawn", *self._as_committed(workspace), cluster.run_id, cluster.cluster_id)
        members = sorted(cluster.members["account_id"])
        return self._keep(key, lambda: spell(draw(make_packet([cluster]), members)))

    def _as_committed(self, workspace: Workspace) -> tuple[Hashable, ...]:
        """What stands for all that is committed, and done of what followed."""
        try:
            return ((workspace.root / "CURRENT").read_bytes(),)
        except OSError as error:
            raise RingwatchError(f"{workspace.root} cannot be read: {error.strerror}.") from error

    def _keep(self, key: Hashable, make: Callable[[], T]) -> T:
        with self._keeping:
            if key in self._kept:
                self._kept.move_to_end(key)
                found: T = self._kept[key]
                return found
        made = make()
        with self._keeping:
            self._kept[key] = made
            while len(self._kept) > _KEPT:
                self._kept.popitem(last=False)
        return made
