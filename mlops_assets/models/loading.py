"""A version as it serves: its fit in memory, proven to predict, beside what it was promoted by."""

import math
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import lru_cache
from typing import TYPE_CHECKING, Any

from mlops_assets.models.agreement import agreement, require_agreement
from mlops_assets.models.fitting import feature_frame
from mlops_assets.models.frames import Frames
from mlops_assets.models.predicting import predicting, prediction_arrays, scores_by_threads_there_are
from mlops_assets.models.records import CandidateRecord, TransitionRecord, candidate_of_version
from mlops_assets.models.stored_fits import stored_fit
from mlops_assets.platform import Platform
from mlops_assets.project.definition import ModelDefinition

if TYPE_CHECKING:
    import pandas as pd

ROWS_TO_TRY = 5
"""So many rows of its training set a fit must predict before it serves."""


@dataclass(frozen=True, eq=False)
class LoadedVersion:
    """A version that serves; never changed, only put in place of another.

    Args:
        version: Its number.
        promoted_at: When it was promoted, or promoted again; platform clock, UTC.
        model: The definition that it predicts under.
        fit: The fit.
        frames: Makes what the fit sees.
        half_width: How far its intervals reach to each side; NaN where it has none.
    """

    version: int
    promoted_at: datetime
    model: ModelDefinition
    fit: Any
    frames: Frames
    half_width: float = math.nan

    def predict(self, parts: Sequence[Sequence[Mapping[str, Any]]]) -> list[dict[str, Any]]:
        """What is predicted for the rows of some requests, in their order.

        Args:
            parts: The rows of each request: every feature by name, in its type; None is null.

        Raises:
            Exception: A value is not of its type, or what the fit raises.
        """
        frame = self.frames.frame([self.frames.columns(rows) for rows in parts])
        return _answers(self.model, self.fit, frame, self.half_width) if len(frame) else []


def load_version(platform: Platform, model: ModelDefinition, promotion: TransitionRecord) -> LoadedVersion:
    """Load a version that was promoted, and let it predict a few rows.

    Raises:
        PlatformError: It was trained on definitions that say something else than the present ones, its files are not
            there or of another form, or it does not predict.
    """
    training = candidate_of_version(platform, model, promotion.version)
    require_agreement(agreement(platform, model, training), model, promotion.version)
    fit = stored_fit(platform, model, training)
    with predicting(model, f"version {promotion.version}"):
        _answers(model, fit, _rows_to_try(platform, model, training), training.half_width)
    frames, reach = Frames(model), training.half_width
    return LoadedVersion(promotion.version, promotion.happened_at, model, fit, frames, reach)


def _rows_to_try(platform: Platform, model: ModelDefinition, training: CandidateRecord) -> "pd.DataFrame":
    import pyarrow as pa
    import pyarrow.parquet as pq

    names = list(model.feature_names)
    for file in platform.training_sets(model).delta.files((training.at, training.at)):
        for batch in pq.ParquetFile(file).iter_batches(ROWS_TO_TRY, columns=names):
            return feature_frame(model, pa.Table.from_batches([batch]))
    frames = Frames(model)
    return frames.frame([frames.columns([dict.fromkeys(names)])])


def _answers(model: ModelDefinition, fit: Any, frame: "pd.DataFrame", half_width: float) -> list[dict[str, Any]]:
    _threads(len(sys.modules)).limit(limits=1)
    scores = scores_by_threads_there_are(model, fit, frame)
    columns = {name: values.tolist() for name, values in prediction_arrays(model, scores, half_width).items()}
    return [dict(zip(columns, row, strict=True)) for row in zip(*columns.values(), strict=True)]


@lru_cache(maxsize=1)
def _threads(modules: int) -> Any:
    """What holds every batch to one thread, so that models predict beside each other; libraries come with modules."""
    from threadpoolctl import ThreadpoolController

    return ThreadpoolController()
