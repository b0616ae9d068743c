"""Replaying in processes that are forked from one that has imported everything: an import costs more than a day."""

import multiprocessing
import os

from mlops_assets.lakehouse.content_hash import content_hash
from mlops_assets.lakehouse.home import HOME_VARIABLE, Home
from mlops_assets_tests.conftest import Lived


def replay_in_fork(lived: Lived, last: str, **variables: str) -> int | None:
    """Run the replay command up to a period; its exit code, negative for the signal that killed it."""
    return run_in_fork(lived, ["replay", "--from", lived.first, "--to", last], **variables)


def run_in_fork(lived: Lived, arguments: list[str], **variables: str) -> int | None:
    """Run a command on a project; its exit code, negative for the signal that killed it."""
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["mlops_assets_tests.end_to_end.heavy"])
    process = context.Process(target=_run, args=(lived, arguments, variables))
    process.start()
    process.join()
    return process.exitcode


def _run(lived: Lived, arguments: list[str], variables: dict[str, str]) -> None:
    os.environ.update({HOME_VARIABLE: str(lived.home.folder), **variables})
    with open(os.devnull, "w") as nowhere:
        os.dup2(nowhere.fileno(), 2)
        os.dup2(nowhere.fileno(), 1)
    from mlops_assets.cli import main

    main(["--project", str(lived.project), *arguments], standalone_mode=False)


def data_versions(home: Home) -> dict[str, str]:
    """The content of every table of a home, but for what names a run of Dagster or MLflow."""
    from mlops_assets.lakehouse.delta import DeltaFolder
    from mlops_assets.lakehouse.tables import PeriodTable

    found = {}
    for log in sorted(home.tables.rglob("_delta_log")):
        rows = PeriodTable(DeltaFolder(log.parent, log.parent.name)).read()
        assert rows is not None
        columns = [name for name in sorted(rows.column_names) if name not in ("run_id", "model_uri", "judged_uri")]
        found[log.parent.parent.name] = content_hash(rows, columns)
    return found
