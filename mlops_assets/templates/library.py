"""The templates that come with the platform."""

from mlops_assets.errors import DefinitionError, nearest
from mlops_assets.templates import recipes
from mlops_assets.templates.template import Template

REGRESSION = ("regression",)
CLASSIFICATION = ("binary", "multiclass")

_BOOSTING = {
    "learning_rate": 0.1,
    "max_iter": 100,
    "max_leaf_nodes": 31,
    "min_samples_leaf": 20,
    "l2_regularization": 0.0,
}
_FOREST = {"n_estimators": 100, "max_depth": None, "min_samples_leaf": 5}
_HISTOGRAMS = (
    "functools.partial",
    "sklearn._loss.loss.AbsoluteError",
    "sklearn._loss.loss.HalfSquaredError",
    "sklearn.ensemble._hist_gradient_boosting.binning._BinMapper",
    "sklearn.ensemble._hist_gradient_boosting.predictor.TreePredictor",
    "sklearn.utils.validation.check_array",
)
_TREES = ("sklearn.tree._tree.Tree",)

TEMPLATES = (
    Template(
        "hist_gradient_boosting_regressor",
        1,
        REGRESSION,
        {"loss": "squared_error", **_BOOSTING},
        recipes.boosted_regressor_1,
        _HISTOGRAMS,
        rounds="max_iter",
    ),
    Template(
        "hist_gradient_boosting_regressor",
        2,
        REGRESSION,
        {"loss": "squared_error", **_BOOSTING},
        recipes.boosted_regressor,
        _HISTOGRAMS,
        rounds="max_iter",
    ),
    Template(
        "hist_gradient_boosting_classifier",
        1,
        CLASSIFICATION,
        _BOOSTING,
        recipes.boosted_classifier,
        (*_HISTOGRAMS, "sklearn._loss.loss.HalfBinomialLoss", "sklearn._loss.loss.HalfMultinomialLoss"),
        rounds="max_iter",
    ),
    Template(
        "random_forest_regressor", 1, REGRESSION, {**_FOREST, "max_features": 1.0}, recipes.forest_regressor, _TREES
    ),
    Template(
        "random_forest_classifier",
        1,
        CLASSIFICATION,
        {**_FOREST, "max_features": "sqrt"},
        recipes.forest_classifier,
        _TREES,
    ),
    Template("ridge_regressor", 1, REGRESSION, {"alpha": 1.0}, recipes.ridge_regressor, ("numpy.dtype",)),
    Template(
        "logistic_regression",
        1,
        CLASSIFICATION,
        {"C": 1.0, "max_iter": 1000},
        recipes.logistic_regression,
        ("numpy.dtype",),
    ),
    Template(
        "seasonal_naive_regressor",
        1,
        REGRESSION,
        {},
        recipes.seasonal_regressor,
        ("numpy.dtype",),
        columns={"column": "number"},
    ),
    Template(
        "seasonal_naive_classifier",
        1,
        CLASSIFICATION,
        {},
        recipes.seasonal_classifier,
        ("numpy.dtype",),
        columns={"column": "category"},
    ),
    Template("prior_classifier", 1, CLASSIFICATION, {}, recipes.prior_classifier, ("numpy.dtype",)),
)
"""Every template that there is."""


def find_template(name: str, version: int) -> Template:
    """The template of a name and version.

    Raises:
        DefinitionError: There is none.
    """
    for template in TEMPLATES:
        if (template.name, template.version) == (name, version):
            return template
    names = [template.name for template in TEMPLATES]
    listed = ", ".join(f"{template.name} version {template.version}" for template in TEMPLATES)
    raise DefinitionError(
        f"template '{name}' version {version}",
        f"one of: {listed}; or a function of your own, with python: MODULE:FUNCTION",
        "correct the version" if name in names else nearest(name, names, "correct the template"),
    )
