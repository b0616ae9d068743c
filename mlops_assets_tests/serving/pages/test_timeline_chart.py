"""The drawings of a timeline, as measures."""

from dataclasses import replace

import pytest

from mlops_assets.serving.pages.timeline_chart import LEFT, WIDTH, Axis, axis_of, error_chart, heat_map, sparkline
from mlops_assets_tests.monitoring.timelines import day, drift, moved, performance, timeline, training


def test_the_axis_holds_every_period_between_also_those_of_which_nothing_is_known_and_where_was_trained() -> None:
    made = timeline([performance(0, 1.0), performance(3, 1.0)], [], [training(5, 1)])
    axis = axis_of(made)
    assert axis.keys == tuple(day(number) for number in range(6))
    assert axis.x(day(0)) == LEFT
    assert axis.x(day(5)) + axis.step == pytest.approx(WIDTH - 12, abs=0.2)
    assert axis_of(timeline()).keys == ()


@pytest.mark.parametrize(
    ("first", "months", "labels"),
    [
        ("1998-02", 9, ["1998-02", "1998-03", "1998-04"]),
        ("1998-02", 47, ["1998-07", "1999-01", "1999-07"]),
        ("1996-05", 110, ["1997", "1998", "1999"]),
    ],
)
def test_months_are_named_where_there_is_room_and_years_by_their_januaries(
    first: str, months: int, labels: list[str]
) -> None:
    year, month = int(first[:4]), int(first[5:])
    keys = [f"{year + (month - 1 + number) // 12}-{(month - 1 + number) % 12 + 1:02}" for number in range(months)]
    axis = Axis(tuple(keys), "month")
    assert [text for _, text in axis.labels][:3] == labels
    assert len(axis.labels) <= 12


def test_champion_and_baseline_stand_on_one_scale_and_a_line_ends_where_a_period_is_missing() -> None:
    made = timeline([performance(0, 1.0), performance(1, 4.0), performance(3, 1.0)], [], [training(0, 1)])
    chart = error_chart(made, axis_of(made), lambda period: period.key)
    heights = {point.words: point.y for point in chart.points}
    assert heights[day(1)] < heights[day(0)] == heights[day(3)]
    assert [len(line.split()) for line in chart.champion] == [2, 1]
    baseline = float(chart.baseline[0].split()[0].split(",")[1])
    assert heights[day(1)] < baseline < heights[day(0)]
    assert [text for _, text in chart.ticks] == ["0", "1", "2", "3", "4"]


def test_bands_say_which_version_predicted_and_trainings_stand_behind_what_they_knew() -> None:
    records = [performance(0, 1.0), performance(1, 1.0), performance(2, 1.0, version=2)]
    made = timeline(records, [], [training(1, 2)])
    axis = axis_of(made)
    chart = error_chart(made, axis, lambda period: period.key)
    assert [version for _, _, version in chart.bands] == [1, 2]
    (first, width, _), (second, *_) = chart.bands
    assert first + width == pytest.approx(second, abs=0.2)
    ((x, place),) = chart.trainings
    assert place == 0
    assert x == pytest.approx(axis.x(day(2)), abs=0.2)


def test_errors_of_nothing_and_of_zero_are_drawn() -> None:
    none = replace(performance(0, 0.0, baseline=0.0), level=0.0)
    for made in (timeline(), timeline([none], [], [training(0, 1)])):
        assert error_chart(made, axis_of(made), lambda period: period.key).ticks
        assert sparkline(made)


def test_a_feature_is_the_darker_the_further_it_lay_and_beyond_the_bar_it_is_marked() -> None:
    made = timeline([], [drift(0), drift(1, beyond=["level"]), drift(2, judged=False)])
    found = heat_map(made, axis_of(made))
    assert [row.name for row in found.features] == ["level", "crowd"]
    assert [shade for _, shade, _ in found.features[0].cells] == [1, 4, 0]
    assert found.features[0].first == day(1)
    assert found.features[0].cells[1][2] == f"{day(1)}: level distance 8, bar 4"
    assert found.features[1].first is None


def test_features_are_ordered_by_importance_where_it_is_known() -> None:
    trained = training(0, 1)
    assert trained.evaluation
    trained = replace(trained, evaluation=replace(trained.evaluation, importance={"crowd": 0.8, "level": 0.2}))
    made = timeline([], [drift(0, beyond=["level"])], [trained])
    found = heat_map(made, axis_of(made))
    assert [row.name for row in found.features] == ["crowd", "level"]


def test_segments_that_were_off_are_listed_by_how_often_but_not_by_columns_that_are_hidden() -> None:
    off = [
        drift(0, segments=[moved("north")]),
        drift(1, segments=[moved("north"), moved("south"), moved("9", by="crowd")]),
    ]
    made = timeline([], off)
    found = heat_map(made, axis_of(made), hidden=("crowd",))
    assert [(row.name, row.first, len(row.cells)) for row in found.segments] == [
        ("shop north", day(0), 2),
        ("shop south", day(1), 1),
    ]
