"""What each format of homes is made of the one before: small steps, each of which lists what is still to do.

A step lists its changes anew each time, and no change that was made: a migration that was killed goes on where it was.
What a step needs of this package may go on changing, what it writes may not; so it names numbers of its own time.
"""

import json
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from mlops_assets.lakehouse import formats
from mlops_assets.lakehouse.delta import set_table_format, table_format, tables_in
from mlops_assets.lakehouse.formats import TableFormat
from mlops_assets.lakehouse.home import Home
from mlops_assets.lakehouse.write_points import write_point
from mlops_assets.models import mlflow_paths
from mlops_assets.models.registry import EXPERIMENT
from mlops_assets.operations.in_process import open_instance
from mlops_assets.storage.files import write_atomically
from mlops_assets.storage.opening import storage_at
from mlops_assets.storage.path import StoragePath


@dataclass(frozen=True)
class Change:
    """One thing to do.

    Args:
        what: What is changed, for people.
        make: Changes it, atomically.
    """

    what: str
    make: Callable[[], None]


@dataclass(frozen=True)
class MigrationStep:
    """A step on the way to a format.

    Args:
        to: The format of homes that it is part of.
        words: What it does.
        changes: What is still to do in a home.
    """

    to: int
    words: str
    changes: Callable[[Home], Iterator[Change]]


def _number_tables(home: Home) -> Iterator[Change]:
    for table in tables_in(home.tables):
        if not table.exists() or table_format(table.folder) is not None:
            continue
        of_records = table.folder.name == "records" or table.name.endswith(".computed")
        number = TableFormat(table=1, records=1 if of_records else None)
        yield Change(f"{table.name}/{table.folder.name}", partial(set_table_format, table.folder, number))


def _number_deliveries(home: Home) -> Iterator[Change]:
    sources = [home.deliveries / name for name in home.deliveries.names()]
    periods = [source / name for source in sources for name in source.names()]
    yield from _number_files(home, [of / name for of in periods for name in of.names() if name.endswith(".json")])


def _number_clock_and_replay(home: Home) -> Iterator[Change]:
    files = [storage_at(file) for file in (home.clock.file, home.folder / "replay.json")]
    yield from _number_files(home, [file for file in files if file.exists()])


def _number_files(home: Home, files: list[StoragePath]) -> Iterator[Change]:
    for file in files:
        if formats.MEMBER not in json.loads(file.read_bytes()):
            yield Change(home.name_of(file), partial(_number_file, file))


def _number_file(file: StoragePath) -> None:
    content = json.loads(file.read_bytes())
    file.write(json.dumps({formats.MEMBER: 1, **content}).encode())
    write_point(f"format of {file.name}")


def _follow_the_home(home: Home) -> Iterator[Change]:
    before = mlflow_paths.moved_from(home.mlflow, EXPERIMENT)
    if before:
        yield Change(f"files that lay in {before}", partial(mlflow_paths.follow, home.mlflow, EXPERIMENT))


_CONDITIONS_BEFORE, _CONDITIONS = "carry_on", "automation_conditions"


def _rename_in_replay(home: Home) -> Iterator[Change]:
    file = home.folder / "replay.json"
    if file.exists() and _CONDITIONS_BEFORE in json.loads(file.read_bytes())["cursors"]:
        yield Change(file.name, partial(_rename_cursor, file))


def _rename_cursor(file: Path) -> None:
    content = json.loads(file.read_bytes())
    content["cursors"][_CONDITIONS] = content["cursors"].pop(_CONDITIONS_BEFORE)
    write_atomically(file, json.dumps(content).encode())
    write_point("cursor of the conditions")


def _rename_in_dagster(home: Home) -> Iterator[Change]:
    if not (home.dagster / "dagster.yaml").is_file():
        return
    with open_instance(home) as instance:
        names = [state.instigator_name for state in instance.all_instigator_state()]
    for name in sorted(set(names)):
        if re.fullmatch(rf"{_CONDITIONS_BEFORE}(_\d+)?", name):
            yield Change(name, partial(_rename_sensor, home, name))


def _rename_sensor(home: Home, name: str) -> None:
    """Give what Dagster keeps of a sensor to the sensor of the new name, of each code location."""
    with open_instance(home) as instance:
        for state in instance.all_instigator_state():
            if state.instigator_name != name:
                continue
            called = name.replace(_CONDITIONS_BEFORE, _CONDITIONS)
            origin = type(state.origin)(repository_origin=state.origin.repository_origin, instigator_name=called)
            renamed = state._replace(origin=origin)
            if instance.get_instigator_state(renamed.instigator_origin_id, renamed.selector_id) is None:
                instance.add_instigator_state(renamed)
                write_point(f"sensor {called}")
            instance.delete_instigator_state(state.instigator_origin_id, state.selector_id)
    write_point(f"no sensor {name}")


STEPS = (
    MigrationStep(2, "give each table the number of its format", _number_tables),
    MigrationStep(2, "give each delivery the number of its format", _number_deliveries),
    MigrationStep(2, "give the clock and the replay's state the number of their format", _number_clock_and_replay),
    MigrationStep(2, "let MLflow look for its files where the home is now", _follow_the_home),
    MigrationStep(3, "let a replay go on under the new name of the sensor of conditions", _rename_in_replay),
    MigrationStep(3, "let Dagster go on under the new name of the sensor of conditions", _rename_in_dagster),
)
"""All steps there ever were, in their order."""
