"""How conditions are shared out between sensors, and which moments let a sensor at rest look again."""

from datetime import UTC, datetime, timedelta
from pathlib import Path

import dagster as dg
import pytest

from mlops_assets.automation import carrying_on
from mlops_assets.automation.carrying_on import came_due, carry_on_sensors, in_shares
from mlops_assets_tests.project.small_project import SmallProject


def groups(number: int) -> dict[str, list[dg.AssetKey]]:
    names = [f"model_{position}" for position in range(number)]
    return {name: [dg.AssetKey([name, step]) for step in ("labels", "predictions")] for name in names}


@pytest.mark.parametrize("number", [1, 7, 100])
def test_every_asset_is_in_one_share_with_its_group_and_no_share_is_too_large(number: int) -> None:
    shares = in_shares(groups(number), 10)
    assert max(map(len, shares)) <= 10
    assert sorted(key for share in shares for key in share) == sorted(
        key for group in groups(number).values() for key in group
    )
    assert all(sum(set(group) <= set(share) for share in shares) == 1 for group in groups(number).values())


def test_a_group_stays_in_its_share_when_others_come() -> None:
    few, more = groups(100), groups(103)
    before, after = in_shares(few, 40), in_shares(more, 40)
    assert len(before) == len(after) > 1
    assert all(set(old) <= set(new) for old, new in zip(before, after, strict=True))


def test_more_conditions_than_dagster_takes_in_one_sensor_are_evaluated_by_several(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def asset(*path: str, condition: bool = True) -> dg.AssetsDefinition:
        chosen = dg.AutomationCondition.eager() if condition else None

        @dg.asset(key=dg.AssetKey(path), automation_condition=chosen)
        def made() -> None: ...

        return made

    project = SmallProject(tmp_path / "defs").load()
    named = [asset(f"table_{number}") for number in range(5)]
    loaded = dg.Definitions(
        assets=[asset("trend"), asset("trend", "trend_online"), *named, asset("by_hand", condition=False)]
    )
    (one,) = carry_on_sensors(project, loaded)
    assert (one.name, one.asset_selection) == ("automation_conditions", dg.AssetSelection.all())

    monkeypatch.setattr(carrying_on, "MAX_CONDITIONS", 4)
    sensors = carry_on_sensors(project, loaded)
    graph = loaded.resolve_asset_graph()
    shares = [sensor.asset_selection.resolve(graph) for sensor in sensors]
    assert [sensor.name for sensor in sensors] == [
        "automation_conditions",
        *(f"automation_conditions_{n}" for n in range(2, len(sensors) + 1)),
    ]
    assert len(shares) > 1 and max(map(len, shares)) <= 4
    assert sorted(key.to_user_string() for share in shares for key in share) == sorted(
        key.to_user_string() for key in graph.get_all_asset_keys() if key.path != ["by_hand"]
    )
    both = frozenset({"trend", "trend/trend_online"})
    assert {both & {key.to_user_string() for key in share} for share in shares} == {frozenset(), both}


@pytest.mark.parametrize(("hours", "expected"), [(5, False), (6, True), (7, True), (23, True), (24, True)])
def test_a_time_comes_with_a_period_s_end_and_with_the_lag_after_it(tmp_path: Path, hours: int, expected: bool) -> None:
    project = SmallProject(tmp_path / "defs").load()
    midnight = datetime(2024, 1, 10, tzinfo=UTC)
    assert came_due(project, midnight, midnight + timedelta(hours=hours)) is expected
    assert not came_due(project, midnight + timedelta(hours=6), midnight + timedelta(hours=23, minutes=59))
