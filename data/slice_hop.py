"""How `sample/hop` was cut from the whole network: `python -m ringwatch.data.slice_hop SOURCE OUTPUT`.

Accounts are joined by transfers, by wallets that both dealt with (known services and wallets of more than `CROWD`
accounts do not join) and by attributed groups. Of the connected components a share is drawn at random, whole, with
every row that is about their accounts: no group and no neighbourhood is cut in two.
"""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
from scipy.sparse import coo_matrix
from scipy.sparse.csgraph import connected_components

CROWD = 50
SHARE = 0.4
SEED = 3


def components(tables: dict[str, pd.DataFrame]) -> pd.Series:
    """Account id → number of its component."""
    accounts, relations, links = (tables[name] for name in ("accounts", "relations", "links"))
    services = set(tables["entities"]["entity_id"])
    own = links[~links["entity_id"].isin(services)]
    own = own[own.groupby("entity_id")["account_id"].transform("nunique") <= CROWD]
    groups = tables["labels"].dropna(subset=["group_id"])
    left = pd.concat([relations["src_account_id"], own["account_id"], groups["account_id"]])
    right = pd.concat([relations["dst_account_id"], "wallet " + own["entity_id"], "group " + groups["group_id"]])
    codes, names = pd.factorize(pd.concat([accounts["account_id"], left, right]))
    n = len(accounts)
    src, dst = codes[n : n + len(left)], codes[n + len(left) :]
    graph = coo_matrix((np.ones(len(src)), (src, dst)), shape=(len(names), len(names)))
    return pd.Series(connected_components(graph, directed=False)[1][codes[:n]], index=accounts["account_id"])


def slice_hop(source: Path, output: Path, *, share: float = SHARE, seed: int = SEED) -> None:
    """Writes the tables of a share of the components of the drop `source` into `output`."""
    tables = {path.stem: pd.read_parquet(path) for path in sorted(source.glob("*.parquet"))}
    component = components(tables)
    drawn = np.flatnonzero(np.random.default_rng(seed).random(int(component.max()) + 1) < share)
    kept = set(component.index[component.isin(drawn)])
    tables["links"] = tables["links"][tables["links"]["account_id"].isin(kept)]
    tables["relations"] = tables["relations"][tables["relations"]["src_account_id"].isin(kept)]
    for name in ("accounts", "labels"):
        tables[name] = tables[name][tables[name]["account_id"].isin(kept)]
    tables["entities"] = tables["entities"][tables["entities"]["entity_id"].isin(set(tables["links"]["entity_id"]))]
    output.mkdir(parents=True, exist_ok=True)
    for name, table in tables.items():
        rows = pa.Table.from_pandas(table, preserve_index=False).replace_schema_metadata()
        pq.write_table(rows, output / f"{name}.parquet", compression="zstd", compression_level=19)


if __name__ == "__main__":
    slice_hop(Path(sys.argv[1]), Path(sys.argv[2]))
