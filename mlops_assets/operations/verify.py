"""Reading everything that a home holds, as an auditor asks, and saying what is not what was written."""

import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing
from functools import partial
from pathlib import Path

from mlops_assets.errors import PlatformError
from mlops_assets.lakehouse import formats
from mlops_assets.lakehouse.delta import tables_in
from mlops_assets.lakehouse.verifying import Verified, verified, verify_deliveries, verify_table
from mlops_assets.models.mlflow_paths import DATABASE
from mlops_assets.models.records import candidates
from mlops_assets.models.registry import registry_of
from mlops_assets.models.retirement import deleted_candidates
from mlops_assets.models.stored_fits import PARTS, reread_fit
from mlops_assets.operations.replay.state import STATE_FILE, kept_state
from mlops_assets.platform import Platform
from mlops_assets.progress import Progress, Step, untold
from mlops_assets.project.definition import ModelDefinition


def verify_home(platform: Platform, progress: Progress = untold) -> Iterator[Verified]:
    """Look at everything in a home: tables, deliveries, fits, trail, clock and databases; writes nothing.

    What was written by an earlier release is compared as far as that recorded what it wrote.

    Args:
        platform: The platform.
        progress: Told of each part.
    """
    parts = list(_parts(platform))
    for number, part in enumerate(parts):
        found = part()
        progress(Step("verify", number + 1, len(parts), found.name, minor=True))
        yield found


def _parts(platform: Platform) -> Iterator[Callable[[], Verified]]:
    home = platform.home
    for table in tables_in(home.tables):
        yield partial(verify_table, table)
    for source in home.deliveries.names():
        yield partial(verify_deliveries, platform.deliveries, source)
    if home.mlflow.exists():
        for model in platform.project.models.values():
            yield partial(_verify_fits, platform, model)
    yield lambda: verified("tokens and approvals", [platform.tokens.records, platform.approvals.all])
    replay = [partial(kept_state, home)] if (home.folder / STATE_FILE).exists() else []
    yield partial(verified, "format, clock and replay", [home.require_format, platform.clock.now, *replay])
    files = [home.mlflow.glob("*.db"), home.dagster.rglob("*.db"), home.pushed.glob("*.sqlite")]
    databases = [*(file for found in files for file in sorted(found)), *home.folder.glob("*.sqlite")]
    yield partial(verified, "databases", [partial(_require_whole, file) for file in databases])


def _verify_fits(platform: Platform, model: ModelDefinition) -> Verified:
    try:
        _require_whole(platform.home.mlflow / DATABASE)
        registry_of(platform)  # opened once, so that one message tells of a registry that cannot be
        deleted = deleted_candidates(platform, model)
        kept = [record for record in candidates(platform, model) if record.key not in deleted]
    except PlatformError as error:
        return Verified(f"fits of {model.name}", 1, (str(error),))
    looks = [partial(reread_fit, platform, model, training, part) for training in kept for part in PARTS]
    return verified(f"fits of {model.name}", looks)


def _require_whole(file: Path) -> None:
    try:
        with closing(sqlite3.connect(file, timeout=30)) as database:
            ((said,),) = database.execute("PRAGMA quick_check(1)").fetchall()
    except sqlite3.Error as error:
        said = str(error)
    if said != "ok":
        raise formats.damaged(f"the database {file}", said)
