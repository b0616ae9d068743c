"""What features contribute to predictions over HTTP, for who asks for it: it costs many predictions for each row."""

import asyncio
from collections.abc import Collection, Mapping, Sequence
from math import isfinite
from typing import TYPE_CHECKING, Any

from fastapi import Request
from pydantic import BaseModel, Field

from mlops_assets.models.contributions import contributions
from mlops_assets.models.fitting import feature_frame
from mlops_assets.models.loading import LoadedVersion
from mlops_assets.monitoring.attribution import background_of_version
from mlops_assets.serving.context import ServingContext
from mlops_assets.serving.problems import ProblemError

if TYPE_CHECKING:
    import pandas as pd

PARAMETER = "explain"
DESCRIBED: dict[str, Any] = {
    "name": PARAMETER,
    "in": "query",
    "required": False,
    "description": "1: also what each feature contributes, for a few rows at once",
    "schema": {"type": "integer", "enum": [0, 1], "default": 0},
}


class AnsweredContributions(BaseModel):
    """What one prediction is made of; base and contributions add up to it."""

    base: float | None = Field(
        description="Mean prediction for some rows of the training set; null where a feature's contribution is hidden"
    )
    features: dict[str, float | None] = Field(
        description="What each feature contributes: to the number; or to the probability, of true or of the predicted "
        "class. Null for a personal one that was looked up, without features:read_personal"
    )


def is_asked(request: Request) -> bool:
    """Whether a request asks for contributions.

    Raises:
        ProblemError: It says something else than yes or no.
    """
    given = request.query_params.get(PARAMETER, "0")
    if given not in ("0", "1"):
        raise ProblemError(422, f"{PARAMETER} that is neither 0 nor 1", "explain=1, or nothing", "correct it")
    return given == "1"


class Explanations:
    """Explains predictions of the versions that serve, a request at a time: what others ask for goes on meanwhile.

    Args:
        context: The application's.
    """

    def __init__(self, context: ServingContext) -> None:
        self._context = context
        self._one = asyncio.Lock()
        self._backgrounds: dict[str, tuple[int, pd.DataFrame]] = {}

    def require_few(self, rows: Sequence[object]) -> None:
        """See that a request asks for no more rows than are explained at once.

        Raises:
            ProblemError: It does.
        """
        most = self._context.settings.max_explained
        if len(rows) > most:
            raise ProblemError(422, f"{len(rows)} rows to explain", f"at most {most}", "send them in several requests")

    async def of(
        self, by: LoadedVersion, features: Sequence[Mapping[str, Any]], hidden: Collection[str]
    ) -> list[dict[str, Any]]:
        """What the predictions of some rows are made of, as it is answered.

        Args:
            by: The version that predicted them.
            features: The model's features by name, in their types.
            hidden: Features of which nothing is told.

        Raises:
            MissingDataError: The version's training set is gone, and with it what is explained against.
            ContractError: The version does not predict for rows that are mixed of others.
        """
        async with self._one:
            return await asyncio.to_thread(self._explained, by, features, hidden) if features else []

    def _explained(
        self, by: LoadedVersion, features: Sequence[Mapping[str, Any]], hidden: Collection[str]
    ) -> list[dict[str, Any]]:
        model, named = by.model, f"version {by.version}"
        version, background = self._backgrounds.get(model.name, (0, None))
        if background is None or version != by.version:
            rows = background_of_version(self._context.platform, model, by.version, by.fit)
            background = feature_frame(model, rows)
            self._backgrounds[model.name] = by.version, background
        found = contributions(model, by.fit, by.frames.frame([by.frames.columns(features)]), background, named)
        answered = []
        for base, values in zip(found.base.tolist(), found.values.tolist(), strict=True):
            of = dict(zip(found.features, values, strict=True))
            shown = {name: None if name in hidden or not isfinite(one) else one for name, one in of.items()}
            answered.append({"base": None if hidden or not isfinite(base) else base, "features": shown})
        return answered
