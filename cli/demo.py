"""`demo`: the main job from nothing, on a slice of a real network and on a simulated world."""

from __future__ import annotations

import importlib.resources
import shutil
import sys
from contextlib import nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from ringwatch.cells import number
from ringwatch.cli.clusters import TITLES, cluster_row
from ringwatch.cli.session import Session, command
from ringwatch.errors import UsageError

if TYPE_CHECKING:
    import pandas as pd

    from ringwatch.workspace import Workspace

_MARK = ".ringwatch-demo"
_SEED = 1
_SHOWN = 5
_REASONS = 3
_BENIGN = 50
_MODELS = ("trees", "belief", "graph-trees", "propagation", "metapath")


def register(app: typer.Typer) -> None:
    """Adds the command to the app."""
    command(app, "demo")(_demo)


def _demo(
    session: Session,
    output: Annotated[
        Path, typer.Option(help="A folder for the two workspaces; one of an earlier demo is replaced.")
    ] = Path("demo-workspace"),
) -> None:
    """Run the main job on a real sample and on a simulated drop: init, ingest, detect, the top clusters."""
    _clear(output)
    sample = importlib.resources.files("ringwatch.data") / "sample" / "hop"
    with importlib.resources.as_file(sample) if not isinstance(sample, Path) else nullcontext(sample) as folder:
        drop = [path for path in sorted(folder.glob("*.parquet")) if path.stem != "labels"]
        title = "A real network: wallets of a bridge, their transfers, and services that strangers share"
        real = _run(session, title, output / "hop", drop, folder / "labels.parquet", entity_types=("wallet",))
    from ringwatch.data import simulate

    world = output / "drop"
    simulate("easy", world, seed=_SEED, watch=session.watch())
    title = "A simulated provider: prompts, IPs, devices and cards; planted operations among campuses and companies"
    simulated = _run(session, title, output / "easy", [world], world / "truth" / "labels.parquet")
    simulated["train"] = _learn(session, output / "easy", world / "truth" / "labels.parquet", output / "reviewed")

    def show() -> None:
        first = simulated["clusters"][0]["cluster_id"] if simulated["clusters"] else "CLUSTER"
        command = "ringwatch" if shutil.which("ringwatch") else sys.argv[0]
        session.line()
        session.line("Where to look next", style="bold")
        for line in (
            f"export RINGWATCH_WORKSPACE={output / 'easy'}",
            f"{command} clusters show {first}",
            f"{command} query list",
            f"{command} query run shared-entities --param account={simulated['account']}",
            f"{command} export {first} --format graphml --output suspects.graphml",
            f"{command} evaluate --labels {world / 'truth' / 'labels.parquet'}",
        ):
            session.line(f"  {line}")

    session.say("demo", {"output": str(output), "hop": real, "easy": simulated}, show)


def _clear(output: Path) -> None:
    if output.exists():
        if not (output / _MARK).is_file():
            raise UsageError(f"{output} is there and is no demo's.", hint="Name another folder with --output.")
        shutil.rmtree(output)
    output.mkdir(parents=True)
    (output / _MARK).touch()


def _learn(session: Session, root: Path, truth: Path, reviewed: Path) -> dict[str, Any]:
    """Labels for every second member of every second operation; a model of them; scores of everybody else."""
    from importlib.util import find_spec

    import pandas as pd

    from ringwatch.evaluation import evaluate
    from ringwatch.pipeline import ingest_drop, run_detection, train_model
    from ringwatch.workspace import Workspace

    labels = pd.read_parquet(truth)
    groups = sorted(labels["group_id"].dropna().unique())[::2]
    known = [labels[labels["group_id"].isin(groups)].iloc[::2], labels[labels["label"] == "benign"].head(_BENIGN)]
    reviewed.mkdir()
    pd.concat(known).to_parquet(reviewed / "labels.parquet", index=False)
    workspace = Workspace.open(root)
    ingest_drop(workspace, [reviewed], watch=session.watch())
    names = [name for name in _MODELS if name != "metapath" or find_spec("torch")]
    trained = train_model(workspace, seed=_SEED, models=names, watch=session.watch())
    record = run_detection(workspace, seed=_SEED, watch=session.watch())
    found = evaluate(workspace, truth)
    if not session.as_json:
        card = trained.card
        session.line()
        session.line(
            "The same with what reviewers said of half of the members of half of the operations", style="bold"
        )
        session.table(
            ("held out by operation", "AUPRC"),
            [(name, number(values["auprc"])) for name, values in card.metrics.items()], right=("AUPRC",),
        )  # fmt: skip
        session.line(
            f"train: {card.labels['abusive']:,} abusive and {card.labels['benign']:,} benign labels, "
            f"{card.seconds:.1f} s; {card.winner} is taken. detect: {record.seconds:.1f} s."
        )
        figures = ", ".join(f"{name} {number(found.accounts[name].value)}" for name in ("auprc", "ece"))
        session.line(f"Scores of the accounts of all other operations, held to the truth: {figures}.")
    return {"train": trained.document(), "detect": record.document(), "evaluate": found.document()}


def _run(
    session: Session, title: str, root: Path, drop: list[Path], labels: Path, *, entity_types: tuple[str, ...] = ()
) -> dict[str, Any]:
    from ringwatch.config import make_config
    from ringwatch.evaluation import evaluate
    from ringwatch.export import records
    from ringwatch.pipeline import create_workspace, ingest_drop, load_run, run_detection

    workspace: Workspace = create_workspace(root, make_config(entity_types=entity_types))
    batch = ingest_drop(workspace, drop, watch=session.watch())
    record = run_detection(workspace, seed=_SEED, labels=False, watch=session.watch())
    run = load_run(workspace)
    top = run.clusters.head(_SHOWN)
    shown = records(top)
    report = evaluate(workspace, labels)
    if not session.as_json:
        session.line()
        session.line(title, style="bold")
        session.line(
            f"ingest: {batch.read:,} rows read, {batch.stored:,} stored, {batch.quarantined:,} in quarantine, "
            f"{batch.seconds:.1f} s. detect: {record.accounts:,} accounts, {record.edges:,} edges that stand, "
            f"{record.clusters:,} clusters, {record.seconds:.1f} s."
        )
        session.table(TITLES, [cluster_row(row) for row in shown], right=("accounts", "score", "bits", "abuse"))
        for cluster_id in top["cluster_id"].head(2):
            _say_why(session, cluster_id, run.evidence[run.evidence["cluster_id"] == cluster_id])
        session.line()
        figures = {**report.clusters, "auprc": report.accounts["auprc"]}
        said = ", ".join(
            f"{name.replace('_', ' ')} {figures[name].value:.2f}"
            for name in ("recovery", "precision_at_k", "auprc") if figures[name].value is not None
        )  # fmt: skip
        session.line(f"Held to the labels, of which the run saw none: {said}.")
    return {
        "ingest": batch.document(),
        "detect": record.document(),
        "clusters": shown,
        "account": next(
            iter(run.members.loc[run.members["cluster_id"].isin(top["cluster_id"][:1]), "account_id"]), None
        ),
        "evaluate": report.document(),
    }


def _say_why(session: Session, cluster_id: str, reasons: pd.DataFrame) -> None:
    session.line()
    session.line(f"Why {cluster_id}, and what speaks against it:")
    for against in (False, True):
        some = reasons[reasons["against"] == against]
        some = some.reindex(some["bits"].abs().sort_values(ascending=False, kind="stable").index)
        for text in some["text"].head(_REASONS):
            session.line(f"  {'–' if against else '+'} {text}")
