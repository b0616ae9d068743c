"""A version is made again, bit for bit, from what was known when it was trained, or refused in words."""

import json
from dataclasses import replace
from pathlib import Path

import pytest

from mlops_assets.errors import ContractError, MissingDataError
from mlops_assets.models import reproduction
from mlops_assets.models.records import candidates
from mlops_assets.models.reproduction import reproduce
from mlops_assets_tests.models.test_life_of_a_version import FIRST_TRAINING, open_line, promote_at
from mlops_assets_tests.small_line import Line, hours

pytestmark = pytest.mark.slow
YAML = "forecast/defs.yaml"


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Line:
    line = open_line(tmp_path_factory, {(YAML, "  retrain:"): "  intervals: {coverage: 80%}\n  retrain:"})
    promote_at(line, FIRST_TRAINING)
    return line


@pytest.fixture
def line(shared: Line, tmp_path: Path) -> Line:
    return shared.copy(tmp_path / "line")


def test_a_version_is_reproduced_after_what_it_learned_from_was_corrected(line: Line) -> None:
    corrected = "2024-01-10"
    before = line.platform.table("sales").data_versions([line.period(corrected)])
    line.sales(corrected, line.platform.clock.now() + hours(1), s03=9_000)
    line.features(corrected)
    assert line.platform.table("sales").data_versions([line.period(corrected)]) != before
    trained = candidates(line.platform, line.model)
    made = reproduce(line.platform, line.model, 1)
    assert made.is_equal and made.same_environment
    assert made.training_set.recorded == trained[0].training_set
    assert trained[0].figure_values["interval_half_width"] > 0 and "intervals: equal " in made.as_text()
    assert made.as_text().endswith("forecast: version 1 was reproduced bit for bit")
    assert candidates(line.platform, line.model) == trained


def test_another_training_set_is_told_apart_from_another_fit(line: Line, monkeypatch: pytest.MonkeyPatch) -> None:
    (trained,) = candidates(line.platform, line.model)
    nothing = "0" * 64
    others = {"training set: ": replace(trained, training_set=nothing), "fit: ": replace(trained, model_hash=nothing)}
    for said, other in others.items():
        monkeypatch.setattr(reproduction, "candidate_of_version", lambda *asked, other=other: other)
        made = reproduce(line.platform, line.model, 1)
        assert (made.training_set.is_equal, made.fit.is_equal) == ("fit" in said, "fit" not in said)
        assert not made.is_equal and f"{said}DIFFERENT, expected 0000000000000000…, found " in made.as_text()
        assert made.as_text().endswith("forecast: version 1 was not reproduced")
    figures = json.dumps({**trained.figure_values, "interval_half_width": 7.0})
    monkeypatch.setattr(reproduction, "candidate_of_version", lambda *asked: replace(trained, figures=figures))
    made = reproduce(line.platform, line.model, 1)
    assert made.fit.is_equal and not made.is_equal and "intervals: DIFFERENT, " in made.as_text()


@pytest.mark.parametrize(
    ("file", "old", "new", "said"),
    [
        (YAML, "name: ridge_regressor, params: {alpha: 1.0}", "name: random_forest_regressor",
         "its template was ridge_regressor v1 ("),
        (YAML, "seed: 7", "seed: 8", "seed was 7 and is 8 now"),
        (YAML, "lookback: 2 days", "lookback: 3 days", "'forecast' itself is another now ("),
        ("trend/trend.sql", "ln(units + 1)", "ln(units + 2)", "'trend' was "),
        ("forecast/growth.sql", "ln(later.units / now.units)", "ln(later.units) - ln(now.units)", "its labels were "),
    ],
)  # fmt: skip
def test_another_definition_is_refused_by_its_name(line: Line, file: str, old: str, new: str, said: str) -> None:
    line.files.change(file, old, new)
    with pytest.raises(ContractError) as caught:
        reproduce(line.open().platform, line.model, 1)
    assert caught.value.found.startswith("version 1 of 'forecast' was trained by other definitions: ")
    assert said in caught.value.found


def test_another_environment_is_said_and_a_version_that_is_not_there_is_named(
    line: Line, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(reproduction, "environment_hash", lambda: "another")
    made = reproduce(line.platform, line.model, 1)
    assert made.is_equal and "the environment is another than it was trained in" in made.as_text()
    assert "environment" not in replace(made, same_environment=True).as_text()
    with pytest.raises(MissingDataError) as caught:
        reproduce(line.platform, line.model, 7)
    assert caught.value.found == "no version 7 of 'forecast'"
