"""Rows whose keys nothing is known of: which they are, and that a model may refuse them."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

from mlops_assets.errors import ContractError
from mlops_assets.project.definition import ModelDefinition

if TYPE_CHECKING:
    import numpy.typing as npt


def unknown_rows(missing: "Sequence[npt.ArrayLike]") -> list[bool]:
    """Which rows are of unknown keys: those for which none of a model's ``known_columns`` has a value.

    Args:
        missing: Of each of these columns, at least one, in which rows it has none.
    """
    import numpy as np

    unknown: list[bool] = np.all(missing, axis=0).tolist()
    return unknown


def require_answered(model: ModelDefinition, which: str) -> None:
    """See that a model answers rows of unknown keys.

    Args:
        model: The model.
        which: Which rows are of such, in words.

    Raises:
        ContractError: It refuses them.
    """
    if model.unknown_keys == "refuse":
        tables = ", ".join(dict.fromkeys(model.lookups[place].table for place in model.known_columns))
        raise ContractError(
            f"{which} of keys that nothing is known of",
            f"keys with a row in one of: {tables}",
            f"leave them out, or have '{model.name}' answer null (unknown_keys: null in its YAML)",
        )
