"""Replays of one past end the same to the last bit: in one part or two, and on either engine."""

from pathlib import Path

import pytest

from mlops_assets.lakehouse.home import Home
from mlops_assets.starter import write_project
from mlops_assets_tests.conftest import Lived, require_program
from mlops_assets_tests.end_to_end.replaying import data_versions, replay
from mlops_assets_tests.spark_session import SETTINGS

pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]


@pytest.fixture(scope="module")
def short(tmp_path_factory: pytest.TempPathFactory) -> Lived:
    """The small project with a short past, replayed in one part: a partition takes Spark seconds, however small."""
    folder = tmp_path_factory.mktemp("short")
    made = Lived(folder / "shop", Home(folder / "home"), "2024-01-24", "2024-01-25")
    write_project(made.project)
    made.user.mkdir()
    for name, old, new in (
        ("orders", "first_period: 2024-01-01", "first_period: 2024-01-21"),
        ("orders_forecast", "validation: 7 days, min_rows: 100", "validation: 1 days, min_rows: 10"),
        ("orders_forecast", "gates: [{metric: mae, better_than: baseline}, ", "gates: ["),  # so few days beat nothing
    ):
        file = made.project / "shop" / "defs" / name / "defs.yaml"
        text = file.read_text(encoding="utf-8")
        assert text.count(old) == 1
        file.write_text(text.replace(old, new), encoding="utf-8")
    assert replay(made, made.last).wait() == 0
    return made


@pytest.fixture(scope="module")
def expected(short: Lived) -> dict[str, str]:
    found = data_versions(short.home)
    assert {"orders", "order_trend", "orders_forecast.training_set", "orders_forecast.predictions"} <= set(found)
    return found


def test_a_replay_in_two_parts_ends_as_one_in_one_part(short: Lived, expected: dict[str, str], tmp_path: Path) -> None:
    parts = Lived(short.project, Home(tmp_path / "parts"), short.first, short.last)

    assert replay(parts, short.first).wait() == 0
    assert data_versions(parts.home) != expected
    assert replay(parts, short.last).wait() == 0

    assert data_versions(parts.home) == expected


def test_a_replay_on_spark_gives_the_data_versions_of_a_replay_on_duckdb(
    short: Lived, expected: dict[str, str], tmp_path: Path
) -> None:
    require_program("java", "a Java runtime of version 17 or newer")
    on_spark = short.copy(tmp_path, home=False)
    on_spark.user.mkdir()
    settings = "".join(f'"{name}" = "{value}"\n' for name, value in SETTINGS.items())
    with (on_spark.project / "pyproject.toml").open("a", encoding="utf-8") as pyproject:
        pyproject.write(f'\n[tool.mlops_assets]\nengine = "spark"\n\n[tool.mlops_assets.spark]\n{settings}')

    assert replay(on_spark, on_spark.last, HOME=str(on_spark.user)).wait() == 0

    assert data_versions(on_spark.home) == expected
    assert (on_spark.home.scratch / "spark").is_dir()
    assert list(on_spark.user.iterdir()) == []
