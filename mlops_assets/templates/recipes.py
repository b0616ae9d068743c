"""The recipes of the library, of parts of scikit-learn alone: a model file loads where this package is not installed.

Each gives a pipeline of two steps, ``columns`` and ``estimator``. A recipe that changes is a new version in the
library, beside the old one.
"""

from collections.abc import Mapping, Sequence
from typing import Any

from mlops_assets.templates.columns import coded_columns, scaled_columns

MOST_LEVELS = 254
"""A histogram has 255 bins, one of them for what is missing."""


def boosted_regressor_1(params: Mapping[str, Any], categories: Sequence[str], numbers: Sequence[str], seed: int) -> Any:
    """Boosted trees over histograms; a category of more than 255 levels is refused."""
    from sklearn.ensemble import HistGradientBoostingRegressor
    from sklearn.pipeline import Pipeline

    estimator = HistGradientBoostingRegressor(**params, **_in_order_of_time(categories, seed))
    return Pipeline([("columns", coded_columns(categories, numbers)), ("estimator", estimator)])


def boosted_regressor(params: Mapping[str, Any], categories: Sequence[str], numbers: Sequence[str], seed: int) -> Any:
    """Boosted trees over histograms; of a category of more levels than they hold, the rarest count as one."""
    from sklearn.ensemble import HistGradientBoostingRegressor
    from sklearn.pipeline import Pipeline

    columns = coded_columns(categories, numbers, most_levels=MOST_LEVELS)
    estimator = HistGradientBoostingRegressor(**params, **_in_order_of_time(categories, seed))
    return Pipeline([("columns", columns), ("estimator", estimator)])


def boosted_classifier(params: Mapping[str, Any], categories: Sequence[str], numbers: Sequence[str], seed: int) -> Any:
    """Boosted trees over histograms; of a category of more levels than they hold, the rarest count as one."""
    from sklearn.ensemble import HistGradientBoostingClassifier
    from sklearn.pipeline import Pipeline

    columns = coded_columns(categories, numbers, most_levels=MOST_LEVELS)
    estimator = HistGradientBoostingClassifier(**params, **_in_order_of_time(categories, seed))
    return Pipeline([("columns", columns), ("estimator", estimator)])


def _in_order_of_time(categories: Sequence[str], seed: int) -> dict[str, Any]:
    """What all boosting has: its own early stopping would hold random rows back, and so look across time."""
    return {"categorical_features": list(range(len(categories))), "early_stopping": False, "random_state": seed}


def forest_regressor(params: Mapping[str, Any], categories: Sequence[str], numbers: Sequence[str], seed: int) -> Any:
    """A random forest."""
    from sklearn.ensemble import RandomForestRegressor
    from sklearn.pipeline import Pipeline

    estimator = RandomForestRegressor(**params, random_state=seed)
    return Pipeline([("columns", coded_columns(categories, numbers)), ("estimator", estimator)])


def forest_classifier(params: Mapping[str, Any], categories: Sequence[str], numbers: Sequence[str], seed: int) -> Any:
    """A random forest."""
    from sklearn.ensemble import RandomForestClassifier
    from sklearn.pipeline import Pipeline

    estimator = RandomForestClassifier(**params, random_state=seed)
    return Pipeline([("columns", coded_columns(categories, numbers)), ("estimator", estimator)])


def ridge_regressor(params: Mapping[str, Any], categories: Sequence[str], numbers: Sequence[str], seed: int) -> Any:
    """Linear regression with a quadratic penalty."""
    from sklearn.linear_model import Ridge
    from sklearn.pipeline import Pipeline

    estimator = Ridge(**params, solver="cholesky", random_state=seed)
    return Pipeline([("columns", scaled_columns(categories, numbers)), ("estimator", estimator)])


def logistic_regression(params: Mapping[str, Any], categories: Sequence[str], numbers: Sequence[str], seed: int) -> Any:
    """Logistic regression with a quadratic penalty."""
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import Pipeline

    estimator = LogisticRegression(**params, random_state=seed)
    return Pipeline([("columns", scaled_columns(categories, numbers)), ("estimator", estimator)])


def seasonal_regressor(params: Mapping[str, Any], categories: Sequence[str], numbers: Sequence[str], seed: int) -> Any:
    """One feature as it is, 0 where it is missing: a line through zero with slope 1, which no fit changes."""
    import numpy as np
    from sklearn.compose import ColumnTransformer
    from sklearn.frozen import FrozenEstimator
    from sklearn.impute import SimpleImputer
    from sklearn.linear_model import LinearRegression
    from sklearn.pipeline import Pipeline

    filled = SimpleImputer(strategy="constant", fill_value=0.0, keep_empty_features=True)
    line = LinearRegression()
    line.coef_, line.intercept_, line.n_features_in_ = np.ones(1), 0.0, 1
    columns = ColumnTransformer([("column", filled, [params["column"]])])
    return Pipeline([("columns", columns), ("estimator", FrozenEstimator(line))])


def prior_classifier(params: Mapping[str, Any], categories: Sequence[str], numbers: Sequence[str], seed: int) -> Any:
    """The share of each class among all rows, whatever a row says."""
    from sklearn.dummy import DummyClassifier

    return DummyClassifier(strategy="prior")


def seasonal_classifier(params: Mapping[str, Any], categories: Sequence[str], numbers: Sequence[str], seed: int) -> Any:
    """The share of each class in the rows of one feature's level; of all rows where the level was not seen.

    Bayes' rule with one feature gives these shares: of a class's share and the level's share within the class.
    """
    from sklearn.compose import ColumnTransformer
    from sklearn.naive_bayes import MultinomialNB
    from sklearn.pipeline import Pipeline
    from sklearn.preprocessing import OneHotEncoder

    encoder = OneHotEncoder(handle_unknown="ignore", sparse_output=False)
    columns = ColumnTransformer([("column", encoder, [params["column"]])])
    # Next to no smoothing: with none at all, a share of 0 is a logarithm that is not finite.
    return Pipeline([("columns", columns), ("estimator", MultinomialNB(alpha=1e-9))])
