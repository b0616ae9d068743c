"""What a model consists of beside its columns: its label, its template, how that is fitted, and when it is trained."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

from mlops_assets.engines.query import Query
from mlops_assets.lakehouse.periods import Period
from mlops_assets.lakehouse.schema import ColumnType
from mlops_assets.project.model_attributes import Search
from mlops_assets.project.python_function import PythonFunction


@dataclass(frozen=True)
class LabelDefinition:
    """What a model predicts.

    ``classes`` are those of a multiclass model, in the order that its YAML declares, and empty otherwise. ``first`` and
    ``last`` bound the periods in which labels become known: what the label's SQL reads may begin later and end earlier
    than what is predicted from.
    """

    query: Query
    inputs: tuple[str, ...]
    column: str
    horizon: int
    delay: int
    unit: str
    first: Period
    last: Period | None
    type: ColumnType = "double"
    classes: tuple[str, ...] = ()

    @property
    def known_after(self) -> int:
        """Periods from the period that is predicted from to the one in which the label becomes known."""
        return self.horizon + self.delay


@dataclass(frozen=True)
class TemplateChoice:
    """Which recipe, with which parameters.

    ``function`` is what makes an own template's estimator; ``definition_hash`` is that of the recipe, whoever wrote it;
    ``allow_pickle`` are classes of an own template whose fits may be kept as pickles.
    """

    name: str
    version: int
    params: Mapping[str, object]
    seed: int
    definition_hash: str
    function: PythonFunction | None = field(default=None, repr=False)
    allow_pickle: tuple[str, ...] = ()


@dataclass(frozen=True)
class EarlyStopping:
    """Fewer rounds, by the loss on the newest ``periods`` of a fit's rows; the parameter ``rounds`` counts them."""

    periods: int
    patience: int
    rounds: str


@dataclass(frozen=True)
class FittingChoice:
    """How a template is fitted: the column that weighs rows, what classes weigh, early stopping, and search.

    The weights of classes are in the order of the model's classes; those that were not named are not among them.
    """

    weight: str | None = None
    class_weight: Literal["balanced"] | tuple[tuple[str, float], ...] | None = None
    early_stopping: EarlyStopping | None = None
    search: Search | None = None


@dataclass(frozen=True)
class RetrainPolicy:
    """When a training is asked for; times in periods, shares as numbers."""

    worse_by: float
    persistence: int
    cool_down: int
    max_age: int
    drift_importance: float | None = None
    fallback: Literal["baseline"] | None = None
