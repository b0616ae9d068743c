"""What is said to differ between two trainings."""

import json
from dataclasses import replace

import pytest

from mlops_assets.models.records import CandidateRecord
from mlops_assets.models.version_changes import changes
from mlops_assets_tests.monitoring.timelines import training

TRAINED = training(0).candidate


def trained_on(labels: str = "l1", **columns: list[str] | None) -> str:
    tables = {name: f"{name}-1" for name in columns}
    return json.dumps({"first": "2024-01-05", "labels": labels, "tables": tables, "columns": columns})


BEFORE = replace(TRAINED, trained_on=trained_on(trend=["level"]))
REDEFINED = trained_on(trend=["level"]).replace("trend-1", "trend-2")


def test_other_rows_alone_change_nothing_else() -> None:
    assert changes(BEFORE, replace(BEFORE, key="other", training_set="other", model_hash="other", level=2.0)) == []


@pytest.mark.parametrize(
    ("after", "words"),
    [
        (replace(BEFORE, generation="g2"), "the model's own definition: …"),
        (replace(BEFORE, trained_on=trained_on("l2", trend=["level"])), "the definition of its labels…"),
        (replace(BEFORE, trained_on=REDEFINED), "table trend: another definition (trend-1, now trend-2)"),
        (replace(BEFORE, trained_on=trained_on(trend=["crowd"])), "table trend: without level, with crowd"),
        (replace(BEFORE, trained_on=trained_on(trend=["level"], more=None)), "table more: looked up now"),
        (replace(BEFORE, trained_on=trained_on()), "table trend: looked up no more"),
        (replace(BEFORE, template="forest v1", template_hash="h2"), "the template: , now forest v1"),
        (replace(BEFORE, params='{"depth": 3}'), "parameter depth: none, now 3"),
        (replace(BEFORE, fitting='{"seed": 7}'), "fitting: seed: none, now 7"),
        (replace(BEFORE, environment="e2"), "the environment: …"),
    ],
)  # fmt: skip
def test_each_thing_that_decides_a_fit_is_told_where_it_differs(after: CandidateRecord, words: str) -> None:
    (told,) = changes(BEFORE, after)
    assert told.startswith(words.removesuffix("…"))
