"""The latest results of a table's checks, as Dagster's event log has them."""

from datetime import UTC, datetime
from pathlib import Path

import pytest

from mlops_assets.errors import DefinitionError
from mlops_assets.lakehouse.home import Home
from mlops_assets.platform import Platform
from mlops_assets.project.folder import find_project
from mlops_assets.serving.checks import CheckState, latest_checks
from mlops_assets_tests.conftest import Lived
from mlops_assets_tests.small_line import Line


def by_name(platform: Platform, table: str) -> dict[str, CheckState]:
    return {check.name: check for check in latest_checks(platform, table)}


def test_in_a_new_home_no_check_has_run_and_nothing_is_written(tmp_path: Path) -> None:
    line = Line(tmp_path / "line")
    found = by_name(line.platform, "sales")
    assert list(found) == ["contract", "delivery_whole"]
    assert {(check.passed, check.when, check.severity) for check in found.values()} == {(None, None, "block")}
    assert found["delivery_whole"].description.startswith("The delivery is not cut short")
    assert not list(line.platform.home.dagster.rglob("*.db"))


@pytest.mark.slow
def test_after_a_replay_the_checks_say_what_they_found_in_the_newest_period(lived: Lived, tmp_path: Path) -> None:
    copy = lived.copy(tmp_path)
    platform = Platform.of(find_project(copy.project).read(), Home(copy.home.folder))
    (contract,) = latest_checks(platform, "order_trend")
    assert (contract.name, contract.passed, contract.severity) == ("contract", True, "block")
    assert contract.when is not None and contract.when <= datetime.now(UTC)
    assert contract.partition == lived.last


@pytest.mark.slow
def test_a_failure_that_was_reported_is_the_latest_and_an_expectation_that_is_gone_is_not_shown(
    lived: Lived, tmp_path: Path
) -> None:
    import dagster as dg

    from mlops_assets.operations.in_process import enter, open_instance

    copy = lived.copy(tmp_path)
    project = find_project(copy.project)
    enter(copy.home, project)
    with open_instance(copy.home) as instance:
        for name in ("contract", "gone"):
            failed = dg.AssetCheckEvaluation(
                asset_key=dg.AssetKey("orders"), check_name=name, passed=False, description="2 nulls in 'units'"
            )
            instance.report_runless_asset_event(failed)
    found = by_name(Platform.of(project.read(), copy.home), "orders")
    assert list(found) == ["contract", "delivery_whole"]
    assert (found["contract"].passed, found["contract"].description) == (False, "2 nulls in 'units'")
    assert found["delivery_whole"].passed is True


def test_an_unknown_table_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DefinitionError, match="table 'sale'"):
        latest_checks(Line(tmp_path / "line").platform, "sale")
