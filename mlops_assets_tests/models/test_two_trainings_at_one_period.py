"""Two trainings at one period are two candidates, and each version is that of its own."""

import pytest

from mlops_assets.models.promotion import register
from mlops_assets.models.records import candidate_of_version, candidates
from mlops_assets.models.training import Request
from mlops_assets_tests.models.test_life_of_a_version import FIRST_TRAINING, open_line, train_at

pytestmark = pytest.mark.slow


def test_a_second_training_at_a_period_leaves_the_first_one_and_its_version_as_they_were(
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    line = open_line(tmp_path_factory)
    platform, model, at = line.platform, line.model, line.period(FIRST_TRAINING)
    first, _ = train_at(line, FIRST_TRAINING)
    register(platform, model, at)
    second, _ = train_at(line, FIRST_TRAINING, Request("a person wants it", "ana@example.com", "request-1"))
    assert {record.run_id for record in candidates(platform, model)} == {first.run_id, second.run_id}
    assert candidate_of_version(platform, model, 1) == first
    register(platform, model, at)
    assert [candidate_of_version(platform, model, version) for version in (1, 2)] == [first, second]
    assert register(platform, model, at) is not None
    assert candidate_of_version(platform, model, 1) == first
