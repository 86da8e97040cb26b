"""Changing a workspace. What follows a commit is done by the next writer where the first one was cut off.

A commit that calls for more, new tokens in what runs keep, a line of the audit log, names a folder in `staging/` as
pending. The folder has what there is to do as files, so that it can be done by whoever comes next.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager

from ringwatch import audit
from ringwatch.workspace import Workspace

RENAMED = "renamed.parquet"
"""Tokens that runs are to have in the place of old ones (`old_token`, `token`)."""

FORGOTTEN = "forgotten.json"
"""The fields of the line by which the audit log says that something was erased."""


@contextmanager
def writer(workspace: Workspace, *, wait: float = 10.0) -> Iterator[None]:
    """Holds the writer's lock. What a writer that was cut off left to do is done first.

    Raises:
        BusyError: another process still writes after `wait` seconds.
    """
    with workspace.writer(wait=wait):
        finish(workspace)
        yield


def catch_up(workspace: Workspace, *, wait: float = 10.0) -> None:
    """Does what a writer that was cut off left to do.

    Raises:
        BusyError: there is something, and another process still writes after `wait` seconds.
    """
    if workspace.current().pending is not None:
        with writer(workspace, wait=wait):
            pass


def finish(workspace: Workspace) -> None:
    """Does what is pending, once more where it was cut off. Inside the writer's lock."""
    current = workspace.current()
    if current.pending is None:
        return
    # A writer that has nothing to do here does not wait for pandas.
    from ringwatch.pipeline.runs import rename_tokens

    folder = workspace.staging_dir / current.pending
    if (folder / RENAMED).is_file():
        rename_tokens(workspace, current.runs, folder / RENAMED)
        workspace.remove_old_tokens()
    if (folder / FORGOTTEN).is_file():
        _say_forgotten(workspace, json.loads((folder / FORGOTTEN).read_bytes()))
    workspace.commit(current.with_(pending=None))


def _say_forgotten(workspace: Workspace, said: dict[str, object]) -> None:
    """Adds the line, unless whoever was cut off has."""
    lines = audit.read(workspace.audit_path)
    if not any(line["action"] == "forgotten" and line.get("asked") == said["asked"] for line in lines):
        audit.record(workspace.audit_path, "forgotten", **said)
