"""A version as a function of columns: what an engine calls where the rows are, for a period as for a user's table."""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from mlops_assets.features.unknown_keys import require_answered, unknown_rows
from mlops_assets.lakehouse.schema import arrow_type
from mlops_assets.models.baseline import Baseline, baseline_scores
from mlops_assets.models.fitting import feature_frame
from mlops_assets.models.predicting import baseline_arrays, prediction_arrays, scores_of_fit
from mlops_assets.project.definition import ModelDefinition

if TYPE_CHECKING:
    import pyarrow as pa


@dataclass(frozen=True)
class Predictor:
    """What a version predicts for rows that carry the model's features; a `ColumnFunction`.

    The fit goes along where an engine calls it in other processes, so that these need no registry.

    Args:
        model: The model.
        version: The version's number.
        fit: Its fit.
        feature_versions: What the features of the rows were looked up in, as JSON.
        baseline: What the baseline learned; None where the baseline is not asked for.
        known: Columns of which one has a value where something is known of a row's key; none where no key is unknown.
        half_width: How far its intervals reach to each side; NaN where it has none.
    """

    model: ModelDefinition
    version: int
    fit: Any
    feature_versions: str
    baseline: Baseline | None = None
    known: tuple[str, ...] = ()
    half_width: float = math.nan

    @property
    def reads(self) -> tuple[str, ...]:
        """The model's features, and what tells that something is known of a key."""
        return (*self.model.feature_names, *self.known)

    @property
    def gives(self) -> "pa.Schema":
        """Prediction, interval, baseline if it is asked for, ``version`` and ``feature_versions``."""
        import pyarrow as pa

        baseline = self.model.baseline_columns if self.baseline else ()
        columns = (*self.model.answer_columns, *baseline, *self.model.version_columns)
        return pa.schema([(column.name, arrow_type(column.type)) for column in columns])

    def __call__(self, batch: "pa.Table") -> Mapping[str, Any]:
        """What is predicted for each row.

        Raises:
            ContractError: The fit does not predict for these rows, or one is of an unknown key, and the model refuses
                such.
        """
        import numpy as np
        import pyarrow as pa

        scores = scores_of_fit(self.model, self.fit, feature_frame(self.model, batch), f"version {self.version}")
        if self.known:
            unknown = unknown_rows([batch.column(name).is_null() for name in self.known])
            if any(unknown):
                require_answered(self.model, f"{sum(unknown)} of {batch.num_rows} rows")
            scores = scores.copy()
            scores[unknown] = np.nan
        made = dict(prediction_arrays(self.model, scores, self.half_width))
        if self.baseline:
            made |= baseline_arrays(self.model, baseline_scores(self.model, self.baseline, batch))
        made["version"] = pa.repeat(self.version, batch.num_rows)
        made["feature_versions"] = pa.repeat(self.feature_versions, batch.num_rows)
        return made
