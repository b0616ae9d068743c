"""Reading a project from a notebook: tables as known at a time, and training sets. Nothing here writes.

Example:
    >>> from mlops_assets import Project
    >>> project = Project.open("my_project")                                # doctest: +SKIP
    >>> project.table("order_trend").as_known_at("2024-02-14").to_pandas()  # doctest: +SKIP
    >>> project.training_set("orders_forecast").rows.to_pandas()            # doctest: +SKIP
"""

from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING

from mlops_assets.errors import MissingDataError
from mlops_assets.features.labels import newest_labelled
from mlops_assets.features.training_sets import TrainingSet, build_training_set
from mlops_assets.lakehouse.home import Home
from mlops_assets.lakehouse.periods import in_utc, parse_moment
from mlops_assets.lakehouse.tables import StateTable
from mlops_assets.project.folder import find_project
from mlops_assets.project.platform import Platform

if TYPE_CHECKING:
    import pyarrow as pa


@dataclass(frozen=True)
class Table:
    """A source or feature table, to read."""

    platform: Platform
    states: StateTable

    def as_known_at(self, moment: str | datetime, *, version: int | None = None) -> "pa.Table":
        """The rows as they were known at a moment.

        Args:
            moment: A time; without a zone it is UTC. A text is a date, a date with time, or a month (its first
                instant).
            version: Delta version to read; None for the newest.

        Returns:
            The columns with ``event_time`` and ``known_at`` (UTC), ordered by key and time; no rows where nothing
            was known.
        """
        at = parse_moment(moment) if isinstance(moment, str) else in_utc(moment)
        return self.platform.engine.known_at(self.states, at, version=version)


@dataclass(frozen=True)
class Project:
    """A project and its home, to read."""

    platform: Platform

    @classmethod
    def open(cls, folder: str | Path = ".") -> "Project":
        """Open the project in a folder, with the home that ``MLOPS_HOME`` names (by default ``.mlops`` in it).

        Raises:
            DefinitionError: There is no project, or its definitions have a fault.
        """
        found = find_project(Path(folder))
        return cls(Platform.of(found.read(), Home.find(found.folder)))

    def table(self, name: str) -> Table:
        """A source or feature table.

        Raises:
            DefinitionError: There is none of that name.
        """
        return Table(self.platform, self.platform.table(name))

    def training_set(self, model: str, at: str | None = None) -> TrainingSet:
        """What a training of a model would learn from: its labels, each with its features as known at its time.

        Args:
            model: The model's name.
            at: Key of the period to train at; None for the newest whose labels are known.

        Raises:
            DefinitionError: There is no such model or period.
            MissingDataError: No labels are known yet.
            ContractError: There are fewer labels than the model's ``min_rows``.
        """
        definition = self.platform.project.model(model)
        calendar = definition.schema.calendar
        period = calendar.at_key(at) if at else newest_labelled(self.platform, definition)
        if period is None:
            raise MissingDataError(
                f"no labels of '{model}' are known yet", "labels", f"materialize {model}/labels first"
            )
        return build_training_set(self.platform, definition, period)
