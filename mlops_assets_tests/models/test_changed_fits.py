"""A model's file that is not the one that was trained is used nowhere, whatever became of it."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa  # noqa: TID253
import pytest

from mlops_assets.errors import ContractError, MissingDataError
from mlops_assets.models.content import estimator_hash
from mlops_assets.models.records import candidate_of_version
from mlops_assets.models.registry import load_fit, open_registry
from mlops_assets.models.reproduction import reproduce
from mlops_assets.models.stored_fits import PARTS, stored_fit
from mlops_assets.notebook import Project
from mlops_assets_tests.models.registering import files_of
from mlops_assets_tests.models.test_life_of_a_version import score_at, train_at
from mlops_assets_tests.serving.predicting import KEYS, serving, shared_line
from mlops_assets_tests.small_line import Line

pytestmark = pytest.mark.slow
NEXT = "2024-01-19"


@pytest.fixture(scope="module")
def grown(tmp_path_factory: pytest.TempPathFactory) -> Line:
    """Two versions, and a day that neither was trained on."""
    line = shared_line(tmp_path_factory).copy(tmp_path_factory.mktemp("grown") / "line")
    line.live(1, NEXT)
    return line


@pytest.fixture
def line(grown: Line, tmp_path: Path) -> Line:
    load_fit.cache_clear()
    return grown.copy(tmp_path / "line")


def file_of(line: Line, version: int, part: str = "model") -> Path:
    training = candidate_of_version(line.platform, line.model, version)
    uri = training.model_uri if part == "model" else training.judged_uri
    return files_of(open_registry(line.platform.home.mlflow), uri) / "data" / "model.skops"


def times_five(content: bytes) -> bytes:
    """A valid file of a valid fit, whose coefficients are five times as large."""
    import skops.io  # noqa: TID253

    fit = skops.io.loads(content, trusted=skops.io.get_untrusted_types(data=content))
    estimator: Any = fit
    while not hasattr(estimator, "coef_"):
        estimator = estimator[-1] if hasattr(estimator, "steps") else estimator.regressor_
    estimator.coef_ = estimator.coef_ * 5
    changed: bytes = skops.io.dumps(fit)
    return changed


def flipped(content: bytes) -> bytes:
    place = len(content) // 3
    return content[:place] + bytes([content[place] ^ 1]) + content[place + 1 :]


DAMAGE: dict[str, Callable[[Line, bytes], bytes]] = {
    "times five": lambda line, content: times_five(content),
    "a bit": lambda line, content: flipped(content),
    "cut": lambda line, content: content[: len(content) // 2],
    "emptied": lambda line, content: b"",
    "another file": lambda line, content: b"\x89PNG",
    "the judged fit": lambda line, content: file_of(line, 2, "judged").read_bytes(),
    "an older version": lambda line, content: file_of(line, 1).read_bytes(),
}


@pytest.mark.parametrize("kind", DAMAGE)
def test_a_fit_that_is_not_the_one_that_was_trained_neither_scores_nor_serves(line: Line, kind: str) -> None:
    file = file_of(line, 2)
    file.write_bytes(DAMAGE[kind](line, file.read_bytes()))
    with pytest.raises(ContractError) as refused:
        Project(line.platform).score_batch("forecast", pa.Table.from_pylist(KEYS))
    assert str(file) in refused.value.found and "from a backup, or train again" in refused.value.cure
    with pytest.raises(ContractError):
        score_at(line, NEXT)
    with serving(line) as client:
        answer = client.post("/v1/models/forecast/predict", json={"rows": KEYS})
        assert answer.status_code == 503 and "cannot be loaded" in answer.json()["found"]


def test_a_version_whose_file_was_changed_is_not_called_reproduced(line: Line) -> None:
    file = file_of(line, 2)
    assert reproduce(line.platform, line.model, 2).is_equal
    file.write_bytes(times_five(file.read_bytes()))
    made = reproduce(line.platform, line.model, 2)
    assert made.fit.is_equal and not made.is_equal
    assert "file that serves: DIFFERENT, expected " in made.as_text()
    file.write_bytes(flipped(file.read_bytes()))
    with pytest.raises(ContractError, match="which cannot be read"):
        reproduce(line.platform, line.model, 2)
    file.unlink()
    assert "the file that serves is not there" in reproduce(line.platform, line.model, 2).as_text()
    with pytest.raises(MissingDataError):
        Project(line.platform).score_batch("forecast", pa.Table.from_pylist(KEYS))


def test_a_candidate_is_not_compared_with_a_judged_fit_that_was_changed(line: Line) -> None:
    file = file_of(line, 2, "judged")
    file.write_bytes(times_five(file.read_bytes()))
    with pytest.raises(ContractError) as refused:
        train_at(line, NEXT)
    assert str(file) in refused.value.found


def test_both_fits_of_a_training_carry_the_hash_of_what_is_read(line: Line) -> None:
    training = candidate_of_version(line.platform, line.model, 2)
    for part in PARTS:
        fit = stored_fit(line.platform, line.model, training, part)
        assert training.kept[part].content == estimator_hash(fit)
    assert training.kept["model"].content == training.model_hash
