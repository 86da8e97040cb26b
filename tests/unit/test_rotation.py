"""After a rotation the log is what a fresh ingest under the new keys would have made."""

from __future__ import annotations

import shutil
from typing import Any

import duckdb
import pyarrow.parquet as pq
import pytest
from drops import make_tables

from ringwatch import audit
from ringwatch.errors import RingwatchError
from ringwatch.ingest import EventLog, reveal, rotate_keys


def _rotate(workspace: Any, new_key: str) -> None:
    """Rotates and commits as the pipeline does."""
    workspace.new_secret(new_key)
    current = workspace.current()
    folder = workspace.staging_dir / "rotation"
    rotation = rotate_keys(workspace, current, folder, new_key=new_key, reason="yearly")
    assert rotation.batches == current.batches
    renamed = pq.read_table(rotation.renamed).to_pydict()
    assert rotation.tokens == len(set(renamed["old_token"])) == len(set(renamed["token"]))
    assert not set(renamed["old_token"]) & set(renamed["token"])
    rotation.renamed.unlink()
    assert [path.name for path in workspace.staging_dir.iterdir()] == ["rotation"]
    for batch in current.batches:
        shutil.rmtree(workspace.log_dir / batch)
        (folder / batch).rename(workspace.log_dir / batch)
    folder.rmdir()
    workspace.commit(current.with_(token_key=new_key))


def _tables() -> dict[str, list[dict[str, Any]]]:
    tables = make_tables(3, loners=10)
    tables["accounts"][0] |= {"email": "a.b+1@gmail.com", "phone": "+31612345678"}
    for row in tables["accounts"][1:]:
        row["phone"] = None
    tables["accounts"][1] |= {"email": "ab@gmail.com"}
    tables["events"][0] |= {"user_agent": "curl/8"}
    for row in tables["events"][1:]:
        row["user_agent"] = None
    tables["links"] = [
        {"account_id": "a", "entity_type": kind, "entity_id": value}
        for kind, value in (("wallet", "0x1"), ("ip", "203.0.113.249"), ("email", "ab+2@gmail.com"))
    ]
    return tables


def test_rotation_equals_a_fresh_ingest_under_the_new_keys(ingester: Any) -> None:
    workspace = ingester.workspace()
    tables = _tables()
    parts = [{name: rows[start::2] for name, rows in tables.items() if rows[start::2]} for start in (0, 1)]
    for part in parts:
        ingester.ingest(workspace, ingester.drop(part))
    ingester.ingest(workspace, ingester.drop({"events": [{**tables["events"][0], "ts": "never"}]}))
    before = ingester.log(workspace)
    _rotate(workspace, "tokens-2")
    after = ingester.log(workspace)
    twin = ingester.workspace(keys_from=workspace)
    assert twin.current().token_key == "tokens-2"
    ingester.ingest(twin, ingester.drop(tables))
    assert after == ingester.log(twin)
    assert after["prompts"] == before["prompts"]
    assert after["tokens"] != before["tokens"]
    for table in ("accounts", "events"):
        keys = [{row["content_key"] for row in ingester.rows(w, table)} for w in (workspace, twin)]
        assert keys[0] == keys[1]

    # What was stored is still known as such, the quarantine is still there, and originals are under the new tokens.
    again = ingester.ingest(workspace, ingester.drop(tables))
    assert (again.stored, again.duplicates) == (0, again.read)
    assert ingester.reasons(workspace) == {"bad_time": 1}
    for row in ingester.rows(workspace, "tokens"):
        assert reveal(workspace, workspace.current(), row["token"], reason="test")
    noted = [
        one.value
        for row in ingester.rows(workspace, "tokens")
        for one in reveal(workspace, workspace.current(), row["token"], reason="test")
        if one.kind == "entity-note"
    ]
    assert noted == ["markword exit"]
    assert audit.verify(workspace.audit_path).lines > 1
    assert '"rotate-keys"' in workspace.audit_path.read_text()


def test_forms_of_mailboxes_come_with_later_batches_and_with_a_rotation(ingester: Any) -> None:
    """A batch of a version that knew none is read as it is; what a later one says of the same mailbox stands."""
    workspace = ingester.workspace()
    people = [
        {"account_id": f"a{k}", "email": f"{name}.smith19{k}8@b.example"} for k, name in enumerate(("anna", "wei"))
    ]
    ingester.ingest(workspace, ingester.file("accounts.csv", people))
    (batch,) = workspace.current().batches
    path = workspace.log_dir / batch / "tokens.parquet"
    whole = pq.read_table(path)
    pq.write_table(whole.drop_columns(["shape"]), path)

    def shapes() -> list[int | None]:
        with duckdb.connect() as con:
            EventLog(workspace, workspace.current()).attach(con)
            return [row[0] for row in con.execute("SELECT shape FROM tokens ORDER BY entity").fetchall()]

    assert shapes() == [None, None]
    again = [{"account_id": "b", "email": people[0]["email"]}]
    ingester.ingest(workspace, ingester.file("accounts.csv", again))
    assert sorted(shape is None for shape in shapes()) == [False, True]
    _rotate(workspace, "tokens-2")
    (one, other) = shapes()
    assert one == other is not None, "both are a first name, a family name and a year"


def test_a_vault_that_lacks_an_original_stops_the_rotation(ingester: Any) -> None:
    workspace = ingester.workspace()
    for number in range(2):
        rows = [{"account_id": f"a{number}", "email": f"a{number}@b.example"}]
        ingester.ingest(workspace, ingester.file("accounts.csv", rows))
    vaults = [workspace.log_dir / f"batch-{number}" / "vault.bin" for number in (1, 2)]
    shutil.copyfile(vaults[1], vaults[0])
    workspace.new_secret("tokens-2")
    with pytest.raises(RingwatchError, match="lack originals"):
        rotate_keys(
            workspace, workspace.current(), workspace.staging_dir / "rotation", new_key="tokens-2", reason="yearly"
        )
