"""A project in a home: where its tables lie, which engine works on them, and what time it is."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from functools import cached_property

from mlops_assets.engines.contract import Engine, ResolvedLookup
from mlops_assets.engines.duckdb import DuckDBEngine
from mlops_assets.engines.spark import SparkEngine
from mlops_assets.engines.spark.session import StartSession, start_session
from mlops_assets.governance.approvals import ApprovalStore
from mlops_assets.governance.tokens import TokenStore
from mlops_assets.lakehouse import formats
from mlops_assets.lakehouse.clock import Clock
from mlops_assets.lakehouse.deliveries import DeliveryStore
from mlops_assets.lakehouse.delta import DeltaFolder
from mlops_assets.lakehouse.home import Home
from mlops_assets.lakehouse.periods import Period
from mlops_assets.lakehouse.pushed import PushedBatches
from mlops_assets.lakehouse.schema import Column, TableSchema
from mlops_assets.lakehouse.tables import PeriodTable, StateTable
from mlops_assets.project.definition import FeatureTableDefinition, ModelDefinition, ProjectDefinition
from mlops_assets.project.engine_settings import EngineName
from mlops_assets.project.spans import periods_behind


@dataclass(frozen=True)
class Platform:
    """What every step of the platform is given.

    Args:
        project: What the user declared.
        home: Where state lies.
        clock: The one clock.
        engine: What runs queries and lookups.
        engines: What a feature table may choose instead; without any, all run on ``engine``.
    """

    project: ProjectDefinition
    home: Home
    clock: Clock
    engine: Engine
    engines: Mapping[EngineName, Engine] = field(default_factory=dict, kw_only=True)

    @classmethod
    def of(cls, project: ProjectDefinition, home: Home, start_spark: StartSession = start_session) -> "Platform":
        """The platform of a home, with the home's clock and the engines that the project chose.

        Args:
            project: What the user declared.
            home: Where state lies.
            start_spark: What makes the session, should one be needed.

        Raises:
            UnusableEnvironmentError: The home is in the format of another release.
        """
        home.require_format()
        engines: dict[EngineName, Engine] = {
            "duckdb": DuckDBEngine(home.scratch, limits=project.engine.evaluation),
            "spark": SparkEngine(home.scratch, project.engine.spark, start_spark, project.engine.evaluation),
        }
        return cls(project, home, home.clock, engines[project.engine.chosen()], engines=engines)

    @cached_property
    def request_engine(self) -> Engine:
        """The engine, within the limits of single requests."""
        return self.engine.for_requests(self.project.engine.request)

    def engine_of(self, table: str) -> Engine:
        """The engine that computes a table: a feature table's own choice, or the platform's."""
        own = self.project.feature_tables[table].engine if table in self.project.feature_tables else None
        return self.engines.get(own, self.engine) if own else self.engine

    @property
    def deliveries(self) -> DeliveryStore:
        """The deliveries of all sources."""
        return DeliveryStore(self.home.deliveries)

    @property
    def pushed(self) -> PushedBatches:
        """The batches that applications pushed into sources."""
        return PushedBatches(self.home.pushed)

    @cached_property
    def tokens(self) -> TokenStore:
        """The tokens that were given for this home; one store, for it remembers what it read."""
        return TokenStore(self.home.folder / "trail" / "tokens.jsonl", self.project.roles)

    @cached_property
    def approvals(self) -> ApprovalStore:
        """What was decided about versions in this home."""
        return ApprovalStore(self.home.folder / "trail" / "approvals.jsonl")

    def table(self, name: str) -> StateTable:
        """A source's or feature table's states, in its present generation."""
        definition = self.project.table(name)
        return StateTable(self._delta(name, definition.generation), definition.schema)

    def labels(self, model: ModelDefinition) -> StateTable:
        """A model's labels: keys, timestamp, ``predicted_at`` (the as_of of the prediction), label and request."""
        columns = (
            *model.schema.columns,
            Column("predicted_at", "timestamp", "When the period that is predicted from was known", nullable=False),
            model.label_column,
            *model.request,
        )
        schema = replace(model.schema, columns=columns)
        return StateTable(self._delta(f"{model.name}.labels", model.label_generation), schema)

    def predictions(self, model: ModelDefinition) -> StateTable:
        """A model's predictions, as `ModelDefinition.predictions_schema`."""
        return StateTable(self._delta(f"{model.name}.predictions", model.generation), model.predictions_schema)

    def challenger_predictions(self, model: ModelDefinition) -> StateTable:
        """What a model's challenger said of the same rows, as `ModelDefinition.challenger_predictions_schema`."""
        delta = self._delta(f"{model.name}.challenger_predictions", model.generation)
        return StateTable(delta, model.challenger_predictions_schema)

    def requests(self, model: ModelDefinition) -> StateTable:
        """The requests for a model's predictions over HTTP that were kept, a row for each row that was asked.

        By ``request_id`` and ``request_row``: when (``asked_at``, platform clock) and by whose token it was asked, the
        keys (null where features were given), the features as they were used, what was predicted, by which version,
        and the time of the row that answered from each table.
        """
        asked = (
            Column("request_id", "string", "Request", "key", nullable=False),
            Column("request_row", "bigint", "Row of the request, from 0", "key", nullable=False),
            Column("asked_at", "timestamp", "When it was asked", "time", nullable=False),
            Column("asked_by", "string", "Name of the token that asked"),
            Column("version", "bigint", "Version that predicted"),
            *model.answer_columns,
            *(self._found(name) for name in model.feature_tables),
        )
        keys = (column for column in model.schema.columns if column.name in model.schema.keys)
        values = (
            replace(column, kind="number" if column.kind == "time" else column.kind, nullable=True)
            for column in (*keys, *model.looked_up_by, *model.features)
        )
        schema = TableSchema(("request_id", "request_row"), "asked_at", (*asked, *values), model.schema.calendar)
        return StateTable(self._delta(f"{model.name}.requests", model.generation), schema)

    def _found(self, table: str) -> Column:
        schema = self.project.table(table).schema
        time = schema.column(schema.timestamp).sensitivity if schema.timestamp else "internal"
        return Column(f"found_{table}", "timestamp", f"Time of the row of {table}", sensitivity=time)

    def training_sets(self, model: ModelDefinition) -> PeriodTable:
        """A model's training sets, one for each period it was trained at."""
        return PeriodTable(self._delta(f"{model.name}.training_set", model.generation))

    def records(self, model: ModelDefinition, kind: str) -> PeriodTable:
        """What is recorded of a model for each period: ``performance``, ``candidate`` or ``champion``."""
        return self._records(f"{model.name}.{kind}")

    @property
    def used_templates(self) -> PeriodTable:
        """The recipe of each template and version that a candidate was trained with, by any model."""
        return self._records("templates")

    @property
    def incidents(self) -> PeriodTable:
        """What happened to incidents, by the number of the event."""
        return self._records("incidents")

    @property
    def notices(self) -> PeriodTable:
        """What became of telling of events of incidents, by the number of the event."""
        return self._records("notices")

    def quarantine(self, source: str) -> PeriodTable:
        """The rows that were put aside of a source's deliveries, by the period of the delivery."""
        return self._records(f"{source}.quarantine")

    def computed(self, table: StateTable) -> PeriodTable:
        """What the partitions of a table that is computed were last computed from, once inputs were corrected."""
        return self._records(f"{table.name}.computed", table.delta.folder.name)

    def generations(self, name: str) -> PeriodTable:
        """The definitions of a feature table or model so far, by generation."""
        return self._records(f"{name}.generations")

    def generation_folder(self, name: str, generation: str) -> DeltaFolder:
        """Where a generation of a table lies, the present one or another."""
        return self._delta(name, generation)

    def lookups(self, model: ModelDefinition) -> tuple[ResolvedLookup, ...]:
        """A model's feature lookups against the tables as they stand."""
        return tuple(
            lookup.opened(self.table(lookup.table), found=model.known_columns.get(place))
            for place, lookup in enumerate(model.lookups)
        )

    def known_from(self, names: Iterable[str], period: Period) -> datetime:
        """The as_of of a period for some tables: when everything about it is known.

        The end of the period and the largest lag; where a first delivery that it waits for came later, its arrival: of
        a source with other periods, of those that end in it, or of the newest before. A source that has not delivered
        counts with its lag alone, and so does one that is pushed, whose rows come one by one.
        """
        moments = [period.end]
        for source in self.project.upstream_sources(*names):
            if source.static:
                continue
            moments.append(period.end + source.lag)
            for behind in [] if source.pushed else periods_behind(source, period, period):
                first = self.deliveries.first_accepted(source.name, behind.key)
                if first:
                    moments.append(first.known_at)
        return max(moments)

    def model_as_of(self, model: ModelDefinition, period: Period) -> datetime:
        """When a model speaks about a period; one that does not wait speaks at end + lag, whatever is late."""
        if model.when_late == "score_without":
            return period.end + model.lag
        return self.known_from(model.inputs, period)

    def labels_as_of(self, model: ModelDefinition, period: Period) -> datetime:
        """When the labels that become known in a period are known."""
        return max(self.model_as_of(model, period), self.known_from(model.label.inputs, period))

    def feature_table_as_of(self, table: FeatureTableDefinition, period: Period) -> datetime:
        """When everything that a feature table needs for a period is known."""
        return self.known_from([table.name], period)

    def _records(self, name: str, folder: str = "records") -> PeriodTable:
        return PeriodTable(replace(self._delta(name, folder), records=formats.RECORDS))

    def _delta(self, name: str, generation: str) -> DeltaFolder:
        return DeltaFolder(self.home.tables / name / generation, name)
