"""Templates: versioned, reusable recipes for an estimator; they know nothing of deployment."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from mlops_assets.errors import DefinitionError

Build = Callable[[Mapping[str, Any], Sequence[str], Sequence[str], int], Any]


@dataclass(frozen=True)
class Template:
    """A recipe; a changed recipe is a new version, so that an old model can be made again.

    Args:
        name: What a user calls it.
        version: Counts from 1.
        task: What kind of prediction it makes.
        parameters: The parameters that it takes, with their defaults.
        build: Makes an unfitted estimator from parameters, categories, numbers and a seed.
        trusted_types: Types beyond skops's own list that its model files hold.
    """

    name: str
    version: int
    task: Literal["regression"]
    parameters: Mapping[str, Any]
    build: Build
    trusted_types: tuple[str, ...]


def find_template(name: str, version: int) -> Template:
    """The template of a name and version.

    Raises:
        DefinitionError: There is none.
    """
    for template in TEMPLATES:
        if (template.name, template.version) == (name, version):
            return template
    listed = ", ".join(f"{template.name} version {template.version}" for template in TEMPLATES)
    raise DefinitionError(f"template '{name}' version {version}", f"one of: {listed}", "correct the template")


def check_parameters(template: Template, params: Mapping[str, Any]) -> None:
    """See that a template takes all parameters.

    Raises:
        DefinitionError: It does not.
    """
    unknown = sorted(set(params) - set(template.parameters))
    if unknown:
        raise DefinitionError(
            f"parameter {', '.join(unknown)} of template '{template.name}'",
            f"among: {', '.join(template.parameters)}",
            "correct the name, or leave it out",
        )


def build_estimator(
    template: Template,
    params: Mapping[str, Any],
    *,
    categories: Sequence[str],
    numbers: Sequence[str],
    seed: int,
) -> Any:
    """An unfitted estimator that takes a pandas frame and uses the columns named.

    Nulls and categories that were not seen in training are taken as missing, never refused. A number among those
    named needs at least one value in training.

    Raises:
        DefinitionError: The template does not take a parameter.
    """
    check_parameters(template, params)
    return template.build({**template.parameters, **params}, categories, numbers, seed)


def _hist_gradient_boosting(
    params: Mapping[str, Any], categories: Sequence[str], numbers: Sequence[str], seed: int
) -> Any:
    from sklearn.compose import ColumnTransformer
    from sklearn.ensemble import HistGradientBoostingRegressor
    from sklearn.pipeline import Pipeline
    from sklearn.preprocessing import OrdinalEncoder

    encoder = OrdinalEncoder(
        handle_unknown="use_encoded_value", unknown_value=float("nan"), encoded_missing_value=float("nan")
    )
    columns = ColumnTransformer([("categories", encoder, list(categories)), ("numbers", "passthrough", list(numbers))])
    estimator = HistGradientBoostingRegressor(
        **params,
        categorical_features=list(range(len(categories))),
        early_stopping=False,  # it would hold random rows back, and so look across time
        random_state=seed,
    )
    return Pipeline([("columns", columns), ("estimator", estimator)])


def _ridge(params: Mapping[str, Any], categories: Sequence[str], numbers: Sequence[str], seed: int) -> Any:
    from sklearn.compose import ColumnTransformer
    from sklearn.impute import SimpleImputer
    from sklearn.linear_model import Ridge
    from sklearn.pipeline import Pipeline
    from sklearn.preprocessing import OneHotEncoder, StandardScaler

    scaled = Pipeline([("fill", SimpleImputer(strategy="median")), ("scale", StandardScaler())])
    encoder = OneHotEncoder(handle_unknown="ignore", sparse_output=False)
    columns = ColumnTransformer([("categories", encoder, list(categories)), ("numbers", scaled, list(numbers))])
    return Pipeline([("columns", columns), ("estimator", Ridge(**params, solver="cholesky", random_state=seed))])


TEMPLATES = (
    Template(
        name="hist_gradient_boosting_regressor",
        version=1,
        task="regression",
        parameters={
            "loss": "squared_error",
            "learning_rate": 0.1,
            "max_iter": 100,
            "max_leaf_nodes": 31,
            "min_samples_leaf": 20,
            "l2_regularization": 0.0,
        },
        build=_hist_gradient_boosting,
        trusted_types=(
            "functools.partial",
            "sklearn._loss.loss.AbsoluteError",
            "sklearn._loss.loss.HalfSquaredError",
            "sklearn.ensemble._hist_gradient_boosting.binning._BinMapper",
            "sklearn.ensemble._hist_gradient_boosting.predictor.TreePredictor",
            "sklearn.utils.validation.check_array",
        ),
    ),
    Template(
        name="ridge_regressor",
        version=1,
        task="regression",
        parameters={"alpha": 1.0},
        build=_ridge,
        trusted_types=("numpy.dtype",),
    ),
)
"""Every template that there is."""
