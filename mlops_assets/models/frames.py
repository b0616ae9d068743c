"""Frames of features for a few rows, made in a fraction of a millisecond: those of `feature_frame`, value by value."""

from collections.abc import Mapping, Sequence
from math import isfinite
from typing import TYPE_CHECKING, Any

from mlops_assets.lakehouse.schema import arrow_type, family
from mlops_assets.models.fitting import feature_frame
from mlops_assets.project.definition import ModelDefinition

if TYPE_CHECKING:
    import pandas as pd

_PLAIN = {"string", "boolean", "bigint", "double"}
_NAN = float("nan")


class Frames:
    """Makes frames of one model's features.

    Args:
        model: The model.
    """

    def __init__(self, model: ModelDefinition) -> None:
        self._model = model
        self._numbers = frozenset(model.numbers)
        self._plain = all(family(column.type) in _PLAIN or column.name in self._numbers for column in model.features)
        self._doubles = {column.name for column in model.features if column.type == "double"}

    def columns(self, rows: Sequence[Mapping[str, Any]]) -> dict[str, list[Any]]:
        """The columns of a frame.

        Args:
            rows: Every feature by name, in its type; None is null.

        Raises:
            Exception: A value is not of its type.
        """
        if not self._plain:
            import pyarrow as pa

            schema = pa.schema([(column.name, arrow_type(column.type)) for column in self._model.features])
            frame = feature_frame(self._model, pa.Table.from_pylist(list(rows), schema))
            return {name: frame[name].tolist() for name in frame}
        return {name: self._column(name, [row[name] for row in rows]) for name in self._model.feature_names}

    def _column(self, name: str, values: list[Any]) -> list[Any]:
        if name in self._numbers:
            numbers = [_NAN if value is None else float(value) for value in values]
            return [number if isfinite(number) else _NAN for number in numbers]
        if name in self._doubles:
            return [value if value is not None and isfinite(value) else None for value in values]
        return values

    def frame(self, parts: Sequence[Mapping[str, list[Any]]]) -> "pd.DataFrame":
        """One frame of the columns of several requests, in their order."""
        import numpy as np
        import pandas as pd

        made = {}
        for name in self._model.feature_names:
            values = parts[0][name] if len(parts) == 1 else [value for part in parts for value in part[name]]
            made[name] = np.array(values, "float64") if name in self._numbers else pd.Series(values, dtype=object)
        return pd.DataFrame(made, copy=False)
