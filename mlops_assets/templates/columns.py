"""The first step of every recipe: how categories, numbers and their nulls become what an estimator takes."""

from collections.abc import Sequence
from typing import Any


def coded_columns(categories: Sequence[str], numbers: Sequence[str], *, most_levels: int | None = None) -> Any:
    """Categories as whole numbers, numbers as they are; a level that was not seen in training is missing, as null is.

    Of a category with more levels than ``most_levels``, the rarest count as one.
    """
    from sklearn.compose import ColumnTransformer
    from sklearn.preprocessing import OrdinalEncoder

    encoder = OrdinalEncoder(
        handle_unknown="use_encoded_value",
        unknown_value=float("nan"),
        encoded_missing_value=float("nan"),
        max_categories=most_levels,
    )
    return ColumnTransformer([("categories", encoder, list(categories)), ("numbers", "passthrough", list(numbers))])


def scaled_columns(categories: Sequence[str], numbers: Sequence[str]) -> Any:
    """A column of zeros and ones for each level, and numbers scaled, with the median where they are missing.

    A level that was not seen in training is zero in all of its columns; null is a level of its own.
    """
    from sklearn.compose import ColumnTransformer
    from sklearn.impute import SimpleImputer
    from sklearn.pipeline import Pipeline
    from sklearn.preprocessing import OneHotEncoder, StandardScaler

    scaled = Pipeline([("fill", SimpleImputer(strategy="median")), ("scale", StandardScaler())])
    encoder = OneHotEncoder(handle_unknown="ignore", sparse_output=False)
    return ColumnTransformer([("categories", encoder, list(categories)), ("numbers", scaled, list(numbers))])
