"""Templates take what data brings (nulls, unseen categories, empty features), repeat exactly, and name their faults."""

import json
import subprocess
import sys
from typing import TYPE_CHECKING, Any

import pytest

from mlops_assets.errors import DefinitionError
from mlops_assets.models.content import estimator_hash
from mlops_assets.models.templates import TEMPLATES, Template, build_estimator, find_template

if TYPE_CHECKING:
    import pandas as pd

templates = pytest.mark.parametrize("template", TEMPLATES, ids=lambda template: f"{template.name}-{template.version}")


def frame(rows: int = 120) -> "pd.DataFrame":
    """One category and one number with nulls, and a number without."""
    import pandas as pd

    numbers = [float(row % 17) for row in range(rows)]
    return pd.DataFrame(
        {
            "region": ["north" if row % 3 else None for row in range(rows)],
            "level": [None if row % 5 == 0 else number for row, number in enumerate(numbers)],
            "trend": numbers,
        }
    ).astype({"level": "float64"})


def fitted(template: Template, *, seed: int = 0, **params: Any) -> Any:
    data = frame()
    estimator = build_estimator(template, params, categories=["region"], numbers=["level", "trend"], seed=seed)
    return estimator.fit(data, (data["trend"] * 2 + 1).to_numpy())


def fresh_hashes() -> dict[str, str]:
    """The content hash of each template's fit."""
    return {template.name: estimator_hash(fitted(template)) for template in TEMPLATES}


@templates
def test_a_fit_learns_from_columns_with_nulls(template: Template) -> None:
    import numpy as np

    data = frame()
    predicted = fitted(template).predict(data)
    assert np.isfinite(predicted).all()
    assert (
        np.abs(predicted - (data["trend"] * 2 + 1)).mean() < np.abs((data["trend"] - data["trend"].mean()) * 2).mean()
    )


@templates
def test_a_category_that_was_never_seen_is_taken_as_missing(template: Template) -> None:
    estimator = fitted(template)
    known, unseen = frame(6), frame(6)
    known["region"] = None
    unseen["region"] = ["east"] * 6
    assert estimator.predict(unseen).shape == (6,)
    if template.name.startswith("hist_gradient"):
        assert (estimator.predict(unseen) == estimator.predict(known)).all()


@templates
@pytest.mark.parametrize("kept", [["region"], ["trend"]])
def test_a_model_may_have_only_categories_or_only_numbers(template: Template, kept: list[str]) -> None:
    data = frame()[kept]
    estimator = build_estimator(
        template,
        {},
        categories=[name for name in kept if name == "region"],
        numbers=[name for name in kept if name != "region"],
        seed=0,
    )
    assert estimator.fit(data, frame()["trend"].to_numpy()).predict(data).shape == (120,)


@templates
def test_two_fits_are_equal_and_another_parameter_is_another_content(template: Template) -> None:
    first_parameter = {"max_iter": 3} if template.name.startswith("hist_gradient") else {"alpha": 5.0}
    assert estimator_hash(fitted(template)) == estimator_hash(fitted(template))
    assert estimator_hash(fitted(template, **first_parameter)) != estimator_hash(fitted(template))


@pytest.mark.slow
def test_a_fit_in_another_process_has_the_same_content() -> None:
    code = f"import json; from {__name__} import fresh_hashes; print(json.dumps(fresh_hashes()))"
    done = subprocess.run(
        [sys.executable, "-c", code],
        env={"PYTHONPATH": ":".join(path for path in sys.path if path), "PYTHONHASHSEED": "7"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout) == fresh_hashes()


@templates
def test_an_unknown_parameter_is_named_with_those_that_there_are(template: Template) -> None:
    with pytest.raises(DefinitionError) as caught:
        fitted(template, depth=3)
    assert caught.value.found == f"parameter depth of template '{template.name}'"
    assert caught.value.expected == f"among: {', '.join(template.parameters)}"


def test_an_unknown_template_is_answered_with_all_that_there_are() -> None:
    with pytest.raises(DefinitionError) as caught:
        find_template("ridge_regressor", 9)
    assert caught.value.found == "template 'ridge_regressor' version 9"
    assert caught.value.expected == "one of: hist_gradient_boosting_regressor version 1, ridge_regressor version 1"
