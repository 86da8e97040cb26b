"""Simulated drops keep to the contract, say the truth, and give it away nowhere else."""

from __future__ import annotations

import ipaddress
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from scipy.sparse import coo_matrix
from scipy.sparse.csgraph import connected_components
from sklearn.metrics import roc_auc_score
from sklearn.model_selection import cross_val_predict
from sklearn.tree import DecisionTreeClassifier

from ringwatch.config import make_config
from ringwatch.data import PRESETS, SimulationReport, simulate
from ringwatch.errors import UsageError
from ringwatch.ingest.contract import COUNTRIES, tables
from ringwatch.ingest.normalise import card_of
from ringwatch.metrics import Stopwatch

SIZE = 3000
TIME = pa.timestamp("us", tz="UTC")
TYPES = {
    "id": pa.string(), "text": pa.string(), "enum": pa.string(), "entity": pa.string(), "typed": pa.string(),
    "session": pa.string(), "prompt": pa.string(), "json": pa.string(), "note": pa.string(), "country": pa.string(),
    "time": TIME, "bool": pa.bool_(), "count": pa.int64(), "number": pa.float64(), "score": pa.float64(),
}  # fmt: skip
INPUT = ("accounts", "events", "relations", "entities")


class Drop:
    """A written drop, its tables read when they are asked for."""

    def __init__(self, folder: Path, report: SimulationReport) -> None:
        self.folder = folder
        self.report = report

    def frame(self, table: str) -> pd.DataFrame:
        return pd.read_parquet(self.folder / f"{table}.parquet")

    def groups(self) -> pd.Series:
        """Account → operation, of members."""
        return self.frame("truth/labels").dropna(subset=["group_id"]).set_index("account_id")["group_id"]


def make(
    folder: Path, scenario: object = "easy", *, seed: int = 11, accounts: int = SIZE, prevalence: float = 0.05
) -> Drop:
    report = simulate(
        scenario, folder, seed=seed, accounts=accounts, prevalence=prevalence, watch=Stopwatch()  # type: ignore[arg-type]
    )  # fmt: skip
    return Drop(folder, report)


@pytest.fixture(scope="module")
def easy(tmp_path_factory: pytest.TempPathFactory) -> Drop:
    return make(tmp_path_factory.mktemp("easy") / "drop", prevalence=0.12)


@pytest.fixture(scope="module")
def hard(tmp_path_factory: pytest.TempPathFactory) -> Drop:
    return make(tmp_path_factory.mktemp("hard") / "drop", "hard", prevalence=0.12)


# -- the contract -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("table", [*INPUT, "truth/labels"])
def test_tables_have_the_columns_and_types_of_the_contract(easy: Drop, table: str) -> None:
    contract = tables(make_config())[Path(table).name]
    file = pq.read_table(easy.folder / f"{table}.parquet")
    known = {column.name: column for column in contract.columns}
    assert set(contract.required) <= set(file.column_names) <= set(known)
    assert len(file) > 0
    for name in file.column_names:
        column = known[name]
        assert file.schema.field(name).type == TYPES[column.kind], name
        if column.required:
            assert file.column(name).null_count == 0, name
        if column.values:
            assert set(file.column(name).unique().to_pylist()) - {None} <= set(column.values), name


def test_values_can_be_read_as_what_they_are(easy: Drop) -> None:
    events, accounts = easy.frame("events"), easy.frame("accounts")
    for value in events["ip"].dropna().unique():
        assert ipaddress.ip_address(value).is_global, value
    assert events["ip"].str.contains(":").mean() == pytest.approx(0.12, abs=0.1)
    for value in events["tool_args"].dropna().unique()[:2000]:
        assert isinstance(json.loads(value), dict)
    assert not any(card_of(value) for value in events["payment_id"].dropna().unique())
    assert events["harm_score"].dropna().between(0, 1).all()
    assert (events["tokens"].dropna() > 0).all()
    assert set(accounts["country"]) <= COUNTRIES
    assert accounts["email"].dropna().str.fullmatch(r"[a-z0-9.+_]+@[a-z0-9.]+\.[a-z0-9]+").all()
    assert accounts["phone"].dropna().str.fullmatch(r"\+\d{10,14}").all()


def test_ids_are_unique_and_refer_to_accounts(easy: Drop) -> None:
    ids = set(easy.frame("accounts")["account_id"])
    assert len(ids) == easy.report.accounts == SIZE
    events = easy.frame("events")
    assert events["event_id"].is_unique
    assert len(events) == easy.report.events
    assert events["prompt"].notna().sum() == easy.report.prompts
    assert set(events["account_id"]) == ids, "everybody signed up"
    relations = easy.frame("relations")
    assert set(relations["src_account_id"]) | set(relations["dst_account_id"]) <= ids
    assert (relations["src_account_id"] != relations["dst_account_id"]).all()


def test_nobody_acts_before_signing_up_or_after_the_end(easy: Drop) -> None:
    accounts = easy.frame("accounts").set_index("account_id")
    events = easy.frame("events")
    created = events["account_id"].map(accounts["created_at"])
    assert (events["ts"] >= created).all()
    assert events["ts"].max() < easy.frame("truth/labels")["labelled_at"].min()
    assert (accounts["updated_at"] >= accounts["created_at"]).all()


def test_every_session_is_one_account_at_one_place(easy: Drop) -> None:
    sessions = easy.frame("events").groupby("session_id")
    assert (sessions["account_id"].nunique() == 1).all()
    assert (sessions["device_id"].nunique() == 1).all()


# -- the same and other worlds ----------------------------------------------------------------------------


def test_the_same_seed_gives_the_same_bytes_and_another_does_not(tmp_path: Path) -> None:
    one, two, other = (
        make(tmp_path / name, seed=seed, accounts=600) for name, seed in (("a", 3), ("b", 3), ("c", 4))
    )
    names = [*INPUT, "truth/labels", "truth/operations", "truth/benign_groups"]
    for name in names:
        first, second, third = ((drop.folder / f"{name}.parquet").read_bytes() for drop in (one, two, other))
        assert first == second, name
        assert first != third, name


def test_two_seeds_share_no_account_and_no_device(easy: Drop, hard: Drop, tmp_path: Path) -> None:
    other = make(tmp_path / "other", seed=12, accounts=600)
    assert not set(easy.frame("accounts")["account_id"]) & set(other.frame("accounts")["account_id"])
    assert not set(easy.frame("events")["device_id"]) & set(other.frame("events")["device_id"])


def test_chunks_change_no_account_and_repeat_no_event(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = make(tmp_path / "whole", accounts=900)
    monkeypatch.setattr("ringwatch.data.simulation.CHUNK", 250)
    parts = make(tmp_path / "parts", accounts=900)
    assert pq.ParquetFile(parts.folder / "events.parquet").num_row_groups == 4
    assert parts.frame("events")["event_id"].is_unique
    assert list(parts.frame("accounts")["account_id"]) == list(whole.frame("accounts")["account_id"])
    pd.testing.assert_frame_equal(parts.frame("truth/operations"), whole.frame("truth/operations"))


@pytest.mark.parametrize(("accounts", "prevalence"), [(300, 0.05), (300, 0.001), (1500, 0.05), (1500, 0.5)])
@pytest.mark.parametrize("scenario", sorted(PRESETS))
def test_small_worlds_work(tmp_path: Path, scenario: str, accounts: int, prevalence: float) -> None:
    drop = make(tmp_path / "drop", scenario, accounts=accounts, prevalence=prevalence)
    assert drop.report.accounts == accounts
    assert drop.report.operations == len(drop.frame("truth/operations")) >= 1


@pytest.mark.parametrize("prevalence", [0.01, 0.05, 0.3])
def test_prevalence_is_the_share_of_members(tmp_path: Path, prevalence: float) -> None:
    drop = make(tmp_path / "drop", accounts=2000, prevalence=prevalence)
    assert len(drop.groups()) == drop.report.document()["members"] == round(2000 * prevalence)


def test_one_in_a_thousand_is_still_an_operation(tmp_path: Path) -> None:
    drop = make(tmp_path / "drop", accounts=6000, prevalence=0.001)
    assert len(drop.groups()) == 6
    assert drop.frame("truth/operations")["size"].tolist() == [6]


# -- the truth --------------------------------------------------------------------------------------------


def test_the_truth_is_of_one_piece(easy: Drop) -> None:
    labels, operations = easy.frame("truth/labels"), easy.frame("truth/operations")
    assert labels["account_id"].is_unique
    assert set(labels["account_id"]) == set(easy.frame("accounts")["account_id"])
    assert (labels["group_id"].notna() == (labels["label"] == "abusive")).all()
    assert set(labels["source"]) == {"truth"}
    sizes = easy.groups().value_counts()
    assert operations["group_id"].is_unique
    assert sizes.to_dict() == operations.set_index("group_id")["size"].to_dict()
    assert operations["attainable_f1"].between(0, 1).all()
    assert list(operations.columns) == ["group_id", "kind", "size", "attainable_f1"]


def test_the_truth_names_benign_groups_apart_from_operations(easy: Drop) -> None:
    benign = easy.frame("truth/benign_groups")
    assert benign["account_id"].is_unique
    assert not set(benign["account_id"]) & set(easy.groups().index)
    assert benign.groupby("group_id")["kind"].nunique().eq(1).all()
    kinds = benign.drop_duplicates("group_id")["kind"].value_counts()
    planted = easy.report.benign_groups
    assert kinds["household"] == planted["households"]
    assert kinds["company"] == planted["companies"]
    assert {"campus", "hackathon", "agency", "internet_cafe", "red_team", "front"} <= set(kinds.index)
    assert benign["group_id"].value_counts()[benign.loc[benign["kind"] == "campus", "group_id"]].min() >= 100


def test_every_kind_of_operation_is_there(easy: Drop) -> None:
    from ringwatch.data.operations import KINDS

    assert set(easy.frame("truth/operations")["kind"]) == set(KINDS)
    assert len(KINDS) == 10


def test_presets_leave_less_and_less_to_see(tmp_path: Path) -> None:
    means = {}
    for name in ("easy", "medium", "hard", "evasive"):
        drop = make(tmp_path / name, name, accounts=4000, prevalence=0.15)
        means[name] = drop.frame("truth/operations")["attainable_f1"].mean()
    assert means["easy"] > 0.98
    assert 0.88 < means["medium"] < 0.98
    assert 0.65 < means["hard"] < means["medium"] - 0.08
    assert 0.3 < means["evasive"] < means["hard"] - 0.08


def _seen_f1(drop: Drop) -> pd.DataFrame:
    """Operation → kind, attainable, and the F1 of its largest part that exact shared values in the drop connect."""
    groups, events = drop.groups(), drop.frame("events")
    accounts, relations = drop.frame("accounts"), drop.frame("relations")
    networks = events["ip"].str.replace(r"^((?:[0-9a-f]+:){4}).*$", r"\1", regex=True)  # a /64 is one home
    pairs = [events[["account_id"]].assign(value=networks)]
    pairs += [events[["account_id"]].assign(value=events[name]) for name in ("device_id", "payment_id")]
    target = events["tool_args"].str.extract(r"([a-z]+-[0-9a-f]+\.example)")[0]
    pairs += [events[["account_id"]].assign(value=target), accounts[["account_id"]].assign(value=accounts["phone"])]
    referred = relations[relations["kind"] == "referral"]
    for side in ("src_account_id", "dst_account_id"):
        pairs.append(pd.DataFrame({"account_id": referred[side], "value": "r" + referred.index.astype(str)}))
    pairs.append(accounts[["account_id"]].assign(value=accounts["org_id"]))
    boxes = accounts["email"].str.replace(r"[0-9]+", "#", regex=True)
    boxes = boxes.mask(~boxes.str.contains("#", na=False)).mask(accounts["email"].isna(), "not in the log")
    pairs.append(accounts[["account_id"]].assign(value=boxes))
    held = pd.concat(pairs).dropna().drop_duplicates()
    rows = []
    for operation in drop.frame("truth/operations").itertuples():
        members = set(groups.index[groups == operation.group_id])
        part = held[held["account_id"].isin(members)]
        codes, names = pd.factorize(pd.concat([part["account_id"], part["value"]]))
        n = len(part)
        graph = coo_matrix((np.ones(n), (codes[:n], codes[n:])), shape=(len(names), len(names)))
        component = connected_components(graph, directed=False)[1]
        largest = (
            pd.Series(component[codes[:n]], index=part["account_id"]).groupby(level=0).first().value_counts().max()
        )
        f1 = 2 * largest / (largest + len(members))
        rows.append((operation.kind, operation.attainable_f1, f1))
    return pd.DataFrame(rows, columns=["kind", "attainable", "seen"])


def test_what_is_attainable_can_be_seen_in_the_drop(easy: Drop, hard: Drop) -> None:
    exact = ["shared_cards", "proxies", "slow_chain", "resale", "referrals", "organization"]
    for drop in (easy, hard):
        seen = _seen_f1(drop)
        seen = seen[seen["kind"].isin(exact)]
        assert len(seen) >= 5
        assert (seen["seen"] >= seen["attainable"] - 1e-9).all(), seen


def test_a_prompt_farm_shares_prompts_and_nothing_else(easy: Drop) -> None:
    operations = easy.frame("truth/operations").set_index("group_id")
    groups, events = easy.groups(), easy.frame("events")
    farm = operations.index[operations["kind"] == "prompt_farm"]
    assert len(farm)
    for group in farm:
        rows = events[events["account_id"].isin(groups.index[groups == group])]
        assert rows.groupby("device_id")["account_id"].nunique().max() == 1
        assert rows.dropna(subset="payment_id").groupby("payment_id")["account_id"].nunique().max() in (1, np.nan)
        words = [frozenset(text.split()) for text in rows["prompt"].dropna().unique() if len(text.split()) > 7]
        near = [any(len(a & b) > 0.6 * len(a | b) for b in words if b is not a) for a in words]
        assert np.mean(near) > 0.3


def test_harm_sets_operations_apart_and_some_honest_people_have_false_alarms(easy: Drop) -> None:
    events = easy.frame("events")
    judged = events[events["harm_score"].notna()]
    harmful = judged["harm"].notna()
    member = judged["account_id"].isin(easy.groups().index)
    assert 0.15 < harmful[member].mean() < 0.60
    assert 0.004 < harmful[~member].mean() < 0.03
    by_account = harmful[~member].groupby(judged["account_id"][~member]).mean()
    top = by_account.sort_values().iloc[-len(by_account) // 20 :]
    assert top.sum() > 0.7 * by_account.sum(), "false alarms come in clusters"
    refused = judged["refused"].astype(bool)
    assert 0.2 < refused[harmful].mean() < 0.7
    assert refused[~harmful].mean() < 0.02


# -- look-alikes ------------------------------------------------------------------------------------------


def test_benign_groups_are_there(easy: Drop) -> None:
    assert min(easy.report.benign_groups.values()) >= 1
    honest = easy.frame("events")
    honest = honest[~honest["account_id"].isin(easy.groups().index)]
    entities = easy.frame("entities")
    assert set(entities["kind"]) >= {"cgnat", "vpn", "campus", "company", "shared_device"}
    per_ip = honest.groupby("ip")["account_id"].nunique()
    assert per_ip.max() > 30
    assert set(entities["entity_id"]) & set(per_ip.index[per_ip > 20]), "some crowds are known"
    assert set(per_ip.index[per_ip > 20]) - set(entities["entity_id"]), "and some are not"
    assert honest.groupby("device_id")["account_id"].nunique().max() >= 5
    assert honest.groupby("payment_id")["account_id"].nunique().max() >= 5
    copied = honest.groupby("prompt")["account_id"].nunique().sort_values()
    assert copied[[len(str(text).split()) > 7 for text in copied.index]].max() > 20, "a prompt went viral"
    accounts = easy.frame("accounts")
    assert accounts.dropna(subset="org_id").groupby("org_id").size().max() >= 5
    burst = accounts["created_at"].dt.floor("12h").value_counts()
    assert burst.max() >= 20, "a hackathon signed up"


def test_some_benign_people_do_as_much_harm_as_operations(easy: Drop) -> None:
    events = easy.frame("events").dropna(subset="harm_score")
    rate = events["harm"].notna().groupby(events["account_id"]).mean()
    assert (rate[~rate.index.isin(easy.groups().index)] > 0.2).sum() >= 5


# -- nothing gives it away --------------------------------------------------------------------------------


def _digits(text: pd.Series, start: int) -> npt.NDArray[np.int64]:
    tail = text.str.slice(start)
    return np.array([[int(digit, 16) for digit in value] for value in tail])


def _clock(micros: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
    return np.column_stack([micros % 1000, micros % 1_000_000, micros // 1_000_000 % 60, micros // 60_000_000 % 60])


def _found_by_a_tree(features: npt.NDArray[Any], truth: npt.NDArray[np.bool_]) -> float:
    tree = DecisionTreeClassifier(max_depth=3, min_samples_leaf=20, random_state=0)
    guess = cross_val_predict(tree, features, truth, cv=5, method="predict_proba")[:, 1]
    return float(roc_auc_score(truth, guess))


def test_ids_order_and_clock_digits_do_not_betray_members(hard: Drop, easy: Drop) -> None:
    for drop in (easy, hard):
        accounts, members = drop.frame("accounts"), drop.groups().index
        truth = accounts["account_id"].isin(members).to_numpy()
        micros = accounts["created_at"].astype("int64").to_numpy()
        order = np.arange(len(accounts))
        clock = np.column_stack(
            [micros % 1000, micros % 1_000_000, micros // 1_000_000 % 60, micros // 60_000_000 % 60]
        )
        assert _found_by_a_tree(_digits(accounts["account_id"], 5), truth) < 0.57
        assert _found_by_a_tree(np.column_stack([order, order % 7, order % 100]), truth) < 0.57
        assert _found_by_a_tree(clock, truth) < 0.57
        events = drop.frame("events").sample(20_000, random_state=1)
        truth = events["account_id"].isin(members).to_numpy()
        micros = events["ts"].astype("int64").to_numpy()
        clock = np.column_stack(
            [micros % 1000, micros % 1_000_000, micros // 1_000_000 % 60, micros // 60_000_000 % 60]
        )
        assert _found_by_a_tree(_digits(events["event_id"], 3), truth) < 0.57
        assert _found_by_a_tree(_digits(events["session_id"], 2), truth) < 0.60  # one session, several rows
        assert _found_by_a_tree(clock, truth) < 0.57


def test_formats_are_the_same_for_everybody(easy: Drop) -> None:
    events, members = easy.frame("events"), easy.groups().index
    member = events["account_id"].isin(members)
    for name in ("event_id", "session_id", "device_id", "payment_id"):
        shapes = events[name].dropna().str.replace(r"[0-9a-f]", "0", regex=True)
        assert set(shapes[member]) == set(shapes[~member]), name
    for name in ("user_agent", "model", "kind", "currency"):
        assert set(events.loc[member, name].dropna()) <= set(events.loc[~member, name].dropna()), name


# -- tactics ----------------------------------------------------------------------------------------------


def _world(folder: Path, **tactics: Any) -> Drop:
    scenario = PRESETS["easy"]
    return make(
        folder, replace(scenario, tactics=replace(scenario.tactics, **tactics)), accounts=2000, prevalence=0.3
    )


def _per_value(drop: Drop, kind: str, column: str) -> float:
    """Members per distinct value that members of a kind use, where at least two do."""
    operations = drop.frame("truth/operations").set_index("group_id")["kind"]
    groups = drop.groups()
    members = groups.index[groups.map(operations) == kind]
    events = drop.frame("events")
    events = events[events["account_id"].isin(members)]
    shared = events.groupby(column)["account_id"].nunique()
    return float(shared[shared > 1].mean())


@pytest.mark.parametrize(
    ("tactic", "kind", "column"),
    [("ip_rotation", "shared_cards", "ip"), ("card_rotation", "shared_cards", "payment_id"),
     ("device_rotation", "proxies", "device_id")],
)  # fmt: skip
def test_rotation_spreads_members_over_more_entities(tmp_path: Path, tactic: str, kind: str, column: str) -> None:
    plain, rotated = _world(tmp_path / "plain"), _world(tmp_path / "rotated", **{tactic: 1.0})
    assert _per_value(rotated, kind, column) < 0.7 * _per_value(plain, kind, column)


def test_a_place_that_cannot_be_written_is_told_before_the_work(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(UsageError, match="cannot be written"):
        simulate("easy", tmp_path / "file" / "drop", seed=1, watch=Stopwatch())


def test_hiding_nothing_leaves_everything_attainable(tmp_path: Path) -> None:
    assert (_world(tmp_path / "drop", hidden=0.0).frame("truth/operations")["attainable_f1"] == 1.0).all()


def test_hiding_everything_leaves_only_who_is_of_one_customer(tmp_path: Path) -> None:
    found = _world(tmp_path / "drop", hidden=1.0).frame("truth/operations").set_index("kind")["attainable_f1"]
    assert (found.drop("organization") == 0.0).all()
    assert (found.loc[["organization"]] == 1.0).all()


def test_cells_hold_together_only_by_their_couriers(tmp_path: Path) -> None:
    whole = _world(tmp_path / "whole", cell=3, hidden=0.0).frame("truth/operations")
    torn = _world(tmp_path / "torn", cell=3, hidden=0.6).frame("truth/operations")
    loose = _world(tmp_path / "loose", cell=0, hidden=0.6).frame("truth/operations")
    assert whole["attainable_f1"].mean() > 0.95
    assert torn["attainable_f1"].mean() < loose["attainable_f1"].mean() - 0.05


def test_slow_signups_take_longer(tmp_path: Path) -> None:
    def spread(drop: Drop) -> float:
        created = drop.frame("accounts").set_index("account_id")["created_at"]
        operations = drop.frame("truth/operations").set_index("group_id")["kind"]
        groups = drop.groups()
        groups = groups[~groups.map(operations).isin(["stolen", "slow_chain"])]
        days = created.reindex(groups.index).astype("int64").groupby(groups).agg(np.ptp) / 86_400e6
        return float(days.median())

    assert spread(_world(tmp_path / "burst")) < 5
    assert spread(_world(tmp_path / "slow", signup_days=60.0)) > 30


def test_dilution_lowers_the_share_of_harm(tmp_path: Path) -> None:
    def rate(drop: Drop) -> float:
        events = drop.frame("events").dropna(subset="harm_score")
        return float(events.loc[events["account_id"].isin(drop.groups().index), "harm"].notna().mean())

    assert rate(_world(tmp_path / "diluted", dilution=1.0)) < 0.8 * rate(_world(tmp_path / "plain", dilution=0.0))


# -- refusals ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ({"scenario": "trivial"}, "no scenario 'trivial'"),
        ({"accounts": 299}, "299 accounts"),
        ({"prevalence": 0.0005}, "prevalence of 0.0005"),
        ({"prevalence": 0.9}, "prevalence of 0.9"),
        ({"prevalence": float("nan")}, "prevalence of nan"),
        ({"seed": -1}, "seed of -1"),
    ],
)
def test_what_cannot_be_made_is_refused(tmp_path: Path, arguments: dict[str, object], said: str) -> None:
    call = {"scenario": "easy", "seed": 1, "accounts": 300, **arguments}
    with pytest.raises(UsageError, match=said) as refused:
        simulate(call.pop("scenario"), tmp_path / "drop", watch=Stopwatch(), **call)  # type: ignore[arg-type]
    assert refused.value.hint
    assert not (tmp_path / "drop").exists()


def test_a_folder_that_holds_something_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("mine")
    with pytest.raises(UsageError, match="not empty"):
        make(tmp_path, accounts=300)
    assert [path.name for path in tmp_path.iterdir()] == ["notes.txt"]


def test_an_empty_folder_is_filled(tmp_path: Path) -> None:
    (tmp_path / "new").mkdir()
    assert make(tmp_path / "new", accounts=300).report.accounts == 300


def test_stages_are_named(tmp_path: Path) -> None:
    watch = Stopwatch()
    simulate("easy", tmp_path / "drop", seed=1, accounts=300, watch=watch)
    assert list(watch.stages) == ["populate", "plant", "events", "truth"]
