"""What the three components share: finding the project, and its platform, calendars and documentation for Dagster."""

from collections.abc import Iterator
from contextlib import contextmanager, suppress
from contextvars import ContextVar
from dataclasses import dataclass, replace
from datetime import datetime
from functools import lru_cache
from pathlib import Path
from typing import Any, ClassVar, Self

import dagster as dg
from pydantic import BaseModel

from mlops_assets.components import constants
from mlops_assets.components.spark_session import lazy_session
from mlops_assets.errors import Location, UnusableEnvironmentError
from mlops_assets.lakehouse.clock import SystemClock
from mlops_assets.lakehouse.home import Home
from mlops_assets.lakehouse.periods import WEEKDAYS, Calendar, Period
from mlops_assets.lakehouse.schema import STATE_COLUMNS, TableSchema
from mlops_assets.platform import Platform
from mlops_assets.project.attributes import Documentation, SharedAttributes
from mlops_assets.project.definition import (
    ModelDefinition,
    ProjectDefinition,
    SourceDefinition,
    TableDefinition,
)
from mlops_assets.project.load import load_project


class ProjectComponent(dg.Component):
    """A component that one YAML document of ours declares.

    The document is read with the whole project, because a table's periods and lag follow from its inputs; the schema
    that Dagster shows and checks is the same one.
    """

    attributes_model: ClassVar[type[SharedAttributes]]

    def __init__(self, name: str) -> None:
        self.name = name

    @classmethod
    def get_model_cls(cls) -> type[BaseModel]:
        """The schema of the document's attributes."""
        return cls.attributes_model

    @classmethod
    def load(cls, attributes: BaseModel | None, context: dg.ComponentLoadContext) -> Self:
        """Take the name from validated attributes; everything else is looked up in the project."""
        if not isinstance(attributes, SharedAttributes):
            raise dg.DagsterInvalidDefinitionError(f"{cls.__name__} at {context.path} has no attributes")
        return cls(attributes.name)


def project_of(context: dg.ComponentLoadContext) -> ProjectDefinition:
    """The project whose component is being loaded; read once for all components of one tree.

    To look at every file again for every component would take a project of many models longer than all else.
    """
    return _project_of_tree(_ById(context.component_tree), Path(context.defs_module_path))


@dataclass(frozen=True, eq=False)
class _ById:
    """One object and no other that is equal to it; it is kept, so that its address is nobody else's."""

    held: object

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _ById) and self.held is other.held

    def __hash__(self) -> int:
        return id(self.held)


@lru_cache(maxsize=1)
def _project_of_tree(tree: "_ById", folder: Path) -> ProjectDefinition:
    return read_project(folder)


def read_project(folder: Path) -> ProjectDefinition:
    """Read a project, or give the one that was read from the same files before."""
    files = sorted(file for kind in ("yaml", "sql", "py") for file in folder.rglob(f"*.{kind}"))
    return _read_project(folder, tuple((file, file.stat().st_mtime_ns) for file in files))


@lru_cache(maxsize=8)
def _read_project(folder: Path, files: tuple[tuple[Path, int], ...]) -> ProjectDefinition:
    return load_project(folder)


def platform_of(project: ProjectDefinition) -> Platform:
    """The project's platform in the home of this process."""
    return Platform.of(project, Home.find().begin(), lazy_session)


RETRIES = dg.RetryPolicy(max_retries=2)
"""How often a step is tried again that may succeed then; Dagster's own retries are for processes that ended."""

_clock_moves: ContextVar[bool] = ContextVar("_clock_moves", default=False)


@contextmanager
def while_the_clock_moves() -> Iterator[None]:
    """Load a code location for a replay: its partitions go on, and are asked for at moments of its clock.

    They must be the same however far the replay goes: conditions begin anew where partitions definitions differ.
    """
    token = _clock_moves.set(True)
    try:
        yield
    finally:
        _clock_moves.reset(token)


def partitions_of(
    calendar: Calendar, first: Period, last: Period | None, *, running: bool = False
) -> dg.TimeWindowPartitionsDefinition:
    """Dagster's partitions for periods; they end where the data has an end, and where a clock that stands has come to.

    Dagster pages through partitions from the machine's present backwards, and asks no end. An offset takes it to the
    last one, else a page of what never will be hides all that there is.

    Args:
        calendar: How they are cut.
        first: The first period.
        last: The last period; None where they go on.
        running: Whether a period is there from its start on, and not only once it is over.
    """
    offset = int(running)

    def newest(moment: datetime) -> Period:
        return calendar.of(moment) if running else calendar.newest_over(moment)

    if not _clock_moves.get():
        stands_at, present = _clock_stands_at(), newest(SystemClock().now())
        if stands_at:
            last = min(last, newest(stands_at)) if last else newest(stands_at)
        if last and (stands_at or last < present):
            offset += calendar.distance(present, last)
    end = max(calendar.shift(last, 1), first).key if last else None
    common: dict[str, Any] = {"end_date": end, "fmt": calendar.key_format, "timezone": "UTC", "end_offset": offset}
    if calendar.unit == "day":
        return dg.DailyPartitionsDefinition(first.key, **common)
    if calendar.unit == "month":
        return dg.MonthlyPartitionsDefinition(first.key, **common)
    first_day = (WEEKDAYS.index(calendar.week_ends_on) + 2) % 7  # Dagster counts from Sunday
    return dg.WeeklyPartitionsDefinition(first.key, day_offset=first_day, **common)


def _clock_stands_at() -> datetime | None:
    """Where the home's clock stands; None where it goes, or is of another release, which is refused once it is used."""
    clock = Home.find().clock
    with suppress(UnusableEnvironmentError):
        return clock.now() if clock.stands else None
    return None


def partitions_of_table(table: TableDefinition) -> dg.TimeWindowPartitionsDefinition | None:
    """The periods of a source or feature table; None where it is static. One that is pushed has the running one too."""
    if table.first is None:
        return None
    running = isinstance(table, SourceDefinition) and table.pushed
    return partitions_of(table.schema.calendar, table.first, table.last, running=running)


MAX_PERIODS_BACK = 1200
"""Further back Dagster is not told of a dependence: it would count the periods one by one."""


def window_mapping(first_offset: int, last_offset: int = 0) -> dg.TimeWindowPartitionMapping:
    """Dependence on the upstream periods from one offset to another; those before the first period do not count."""
    return dg.TimeWindowPartitionMapping(
        start_offset=first_offset, end_offset=last_offset, allow_nonexistent_upstream_partitions=True
    )


def step_documentation(model: ModelDefinition, description: str) -> Documentation:
    """A model's documentation with what one of its steps is before the model's own description."""
    return replace(model.documentation, description=f"{description}\n\n{model.documentation.description}")


def documented(
    documentation: Documentation, location: Location, group: str, kinds: set[str], *files: Path, **metadata: Any
) -> dict[str, Any]:
    """The keyword arguments of an asset that people read: description, owners, tags, kinds, code references."""
    references = [dg.LocalFileCodeReference(file_path=_resolved(location.file), line_number=location.line)]
    references += [dg.LocalFileCodeReference(file_path=_resolved(file)) for file in files]
    return {
        "description": documentation.description,
        "owners": list(documentation.owners),
        "tags": dict(documentation.tags),
        "group_name": group,
        "kinds": kinds,
        "retry_policy": RETRIES,
        "metadata": {
            constants.CODE_REFERENCES: dg.CodeReferencesMetadataValue(code_references=list(references)),
            **metadata,
        },
    }


@lru_cache(maxsize=1024)
def _resolved(file: Path) -> str:
    return str(file.resolve())


def column_schema(schema: TableSchema, *further: tuple[str, str, str]) -> dg.TableSchema:
    """A table's columns for the user interface; ``further`` are (name, type, description)."""
    columns = [
        dg.TableColumn(
            column.name,
            column.type,
            description=column.description,
            constraints=dg.TableColumnConstraints(nullable=not column.required),
            tags={
                "kind": column.kind,
                "sensitivity": column.sensitivity,
                **({"sensitivity reason": column.sensitivity_reason} if column.sensitivity_reason else {}),
                "owners": ", ".join(column.owners),
            },
        )
        for column in schema.columns
    ]
    return dg.TableSchema([*columns, *(dg.TableColumn(*column[:2], description=column[2]) for column in further)])


STATE_COLUMN_SCHEMA = tuple(
    zip(
        STATE_COLUMNS,
        ("timestamp", "timestamp", "bigint", "boolean"),
        (
            "Time of the row, UTC",
            "From when this state of the row was known, UTC",
            "Order of ingesting, which breaks ties",
            "Whether the row was removed by this state",
        ),
        strict=True,
    )
)
"""The columns that every state of a row carries, for the user interface."""
