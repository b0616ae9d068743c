"""Reading a replayed project from a notebook: as known at a time, and without writing anything."""

from datetime import UTC, datetime
from pathlib import Path

import pytest

from mlops_assets import FeatureLookup, Project
from mlops_assets.errors import DefinitionError, MissingDataError
from mlops_assets.lakehouse.home import HOME_VARIABLE
from mlops_assets_tests.conftest import Lived

pytestmark = pytest.mark.slow


@pytest.fixture
def project(lived: Lived, monkeypatch: pytest.MonkeyPatch) -> Project:
    monkeypatch.setenv(HOME_VARIABLE, str(lived.home.folder))
    return Project.open(lived.project)


def test_a_table_is_read_as_it_was_known_at_a_moment(project: Project) -> None:
    orders = project.table("orders")
    rows = orders.as_known_at("2024-01-20").to_pandas()  # the day before is published at six in the morning
    assert str(rows["day"].max()) == "2024-01-18"
    assert rows.equals(orders.as_known_at(datetime(2024, 1, 20, 5, 59, tzinfo=UTC)).to_pandas())
    assert str(orders.as_known_at("2024-01-20T06:00").to_pandas()["day"].max()) == "2024-01-19"
    assert orders.as_known_at("2023-12").rows.num_rows == 0
    trend = project.table("order_trend").as_known_at("2024-01-20").to_pandas()
    assert str(trend["day"].max()) == "2024-01-18"


def test_a_table_is_read_at_an_earlier_delta_version(project: Project) -> None:
    orders = project.table("orders")
    assert orders.as_known_at("2024-02", version=1).rows.num_rows < orders.as_known_at("2024-02").rows.num_rows


def test_a_training_set_is_what_the_model_was_trained_on(project: Project) -> None:
    model = project.platform.project.models["orders_forecast"]
    stored = project.platform.training_sets(model).read(["2024-01-24"])
    built = project.training_set("orders_forecast", at="2024-01-24").rows
    assert stored is not None
    assert built.sort_by("region").num_rows == stored.num_rows > 0
    names = [*model.schema.keys, *model.feature_names, model.label.column]
    order = [(name, "ascending") for name in ("day", "region", "product")]
    assert (
        built.sort_by(order).select(names).equals(stored.sort_by(order).select(names).cast(built.select(names).schema))
    )


def test_without_a_period_it_is_the_newest_that_can_be_trained_on(project: Project) -> None:
    newest = project.training_set("orders_forecast")
    assert newest.last.key == "2024-01-26"
    assert newest.rows.num_rows > project.training_set("orders_forecast", at="2024-01-24").rows.num_rows


def test_reading_writes_nothing(lived: Lived, project: Project) -> None:
    def files() -> dict[Path, tuple[int, int]]:
        found = {path: path.stat() for folder in (lived.home.folder, lived.project) for path in folder.rglob("*")}
        return {path: (status.st_size, status.st_mtime_ns) for path, status in found.items()}

    before = files()
    project.table("orders").as_known_at("2024-01-20")
    project.training_set("orders_forecast")
    rows = project.table("order_trend").between("2024-01-20", "2024-01-24", as_of="now")
    lookups = [FeatureLookup("order_trend", "log_units", rename={"log_units": "before"}), FeatureLookup("products")]
    rows = project.create_training_set(rows, lookups, timestamp="day")
    assert rows.to_arrow().num_rows > rows.to_arrow()["before"].null_count
    assert rows.versions.of("products").generation == "source"
    assert files() == before
    assert project.score_batch("orders_forecast", rows.to_arrow().select(["region", "product"])).version == 1
    changed = {path.name for path, status in files().items() if status != before.get(path)}
    assert changed <= {"registered_model_meta"}  # MLflow writes the same again where it loads a model


def test_reading_a_project_that_was_never_run_finds_no_rows_and_makes_no_home(
    lived: Lived, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(HOME_VARIABLE, str(tmp_path / "nothing"))
    project = Project.open(lived.project)
    assert project.table("orders").as_known_at("2024-02").rows.num_rows == 0
    with pytest.raises(MissingDataError) as caught:
        project.training_set("orders_forecast")
    assert caught.value.found == "no labels of 'orders_forecast' are known yet"
    assert not (tmp_path / "nothing").exists()


def test_names_and_periods_that_do_not_exist_are_answered_with_those_that_do(project: Project) -> None:
    with pytest.raises(DefinitionError) as table:
        project.table("sales")
    assert table.value.found == "table 'sales'"
    assert "order_trend" in table.value.expected
    with pytest.raises(DefinitionError) as model:
        project.training_set("forecast")
    assert "orders_forecast" in model.value.expected
    with pytest.raises(DefinitionError):
        project.training_set("orders_forecast", at="2024-13-01")
    with pytest.raises(MissingDataError):
        project.training_set("orders_forecast", at="2024-02-20")
