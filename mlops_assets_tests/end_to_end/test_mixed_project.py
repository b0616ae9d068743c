"""A project of many periods, keys and origins runs the whole line, and every number is computed again in pandas."""

import math
import re
import shutil
import sqlite3
from collections.abc import Sequence
from datetime import UTC, date, datetime, time, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

import dagster as dg
import pytest

from mlops_assets.features.training_sets import label_window
from mlops_assets.lakehouse.home import HOME_VARIABLE, Home
from mlops_assets.lakehouse.periods import Calendar, Period
from mlops_assets.models.records import candidates
from mlops_assets.monitoring.performance import performance_history
from mlops_assets.operations.in_process import open_instance
from mlops_assets.platform import Platform
from mlops_assets.project.folder import find_project
from mlops_assets.sources.landing import landing_file
from mlops_assets.sources.pushed import accept
from mlops_assets_tests import forks
from mlops_assets_tests.conftest import Lived
from mlops_assets_tests.end_to_end.replaying import replay
from mlops_assets_tests.mixed_project import (
    DAYS,
    FIRST_DAY,
    SHOPS,
    MixedProject,
    price,
    returned,
    units,
    visitors,
    write_mixed_project,
)
from mlops_assets_tests.small_line import locked, shared_folder

if TYPE_CHECKING:
    import pandas as pd

pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]
FIRST, BEFORE, LAST = date(2024, 2, 28), date(2024, 3, 1), date(2024, 3, 5)
"""The replay lives through these days, in two parts; between them corrections arrive."""

CORRECTED_AT = datetime(2024, 3, 6, tzinfo=UTC)
"""The first moment of the second part: the first ended three days, the largest lag, after its last day."""

EVER = datetime(2100, 1, 1, tzinfo=UTC)
CORRECTED = date(2024, 3, 1), "s03", 500
CORRECTED_WEEK = date(2024, 2, 21), "s05", 4321
"""A day or Wednesday, a shop, and what the vendor says later of it."""

FEATURES = ["level", "growth_1w", "revenue", "crowd", "crowd_change", "returned", "region"]


@pytest.fixture(scope="session")
def platform(tmp_path_factory: pytest.TempPathFactory) -> Platform:
    """The project after its replay, in the middle of which a day and a week were corrected, and rows pushed."""
    folder = shared_folder(tmp_path_factory) / "mixed_home"
    made = Lived(folder / "mixed", Home(folder / "home"), str(FIRST), str(LAST))
    with locked(folder):
        if not (folder / "done").exists():
            shutil.rmtree(folder, ignore_errors=True)
            live(made, write_mixed_project(made.project))
            (folder / "done").touch()
    return Platform.of(find_project(made.project).read(), made.home)


def live(made: Lived, project: MixedProject) -> None:
    begun = replay(made, str(BEFORE), **project.variables)
    assert begun.wait() == 0, begun.complained
    platform = Platform.of(find_project(made.project).read(), made.home)
    correct(platform, "sales", CORRECTED, units(CORRECTED[1], CORRECTED[0]))
    correct(platform, "visitors", CORRECTED_WEEK, visitors(CORRECTED_WEEK[1], CORRECTED_WEEK[0]))
    rows = [
        {"till": 7, "sold_at": f"2024-03-02T1{hour}:00:00Z", "items": 3 + hour, "voucher": True} for hour in range(2)
    ]
    declare_more(project, landing_file(platform, platform.project.sources["shops"], None))
    platform = Platform.of(find_project(made.project).read(), made.home)
    accept(platform, platform.project.sources["tills"], rows, "a batch", platform.clock.now())
    variables = {HOME_VARIABLE: str(made.home.folder), **project.variables}
    done = forks.run(["--project", str(made.project), "backfill", "trend"], **variables)
    assert done.returncode == 0, done.stderr
    ended = replay(made, str(LAST), **project.variables)
    assert ended.wait() == 0, ended.complained
    waits = r"spending: no prediction has a label yet; nothing was trained \(a training waits: \d+ labels are known"
    assert re.search(waits, ended.printed), "why there is no figure"


def declare_more(project: MixedProject, shops: Path) -> None:
    """Columns that come to a pushed source, a database's, a static one and a feature table, in the middle of all."""
    for after, new in (
        ("items: {type: bigint, description: Items, nullable: false}", "voucher: {type: boolean, description: Whose}"),
        ("returned: {type: bigint, description: Units that came back}", "reason: {type: string, description: Why}"),
        ("region: {type: string, description: Its region}", "floors: {type: bigint, description: Its floors}"),
    ):
        project.files.change("sources/defs.yaml", after, f"{after}\n    {new}")
    level = "level: {type: double, description: Logarithm of the units}"
    project.files.change("tables/defs.yaml", level, f"{level}\n    paid: {{type: double, description: Price}}")
    project.files.change("tables/trend.sql", "AS level,", "AS level, a.price AS paid,")
    for file in (shops, project.files.folder / "sources" / "data" / "shops.csv"):
        header, *rows = file.read_text(encoding="utf-8").splitlines()
        lines = [f"{header},floors", *(f"{row},{len(row)}" for row in rows)]
        file.write_text("\n".join(lines) + "\n", encoding="utf-8")
    with sqlite3.connect(project.database) as connection:
        connection.execute("ALTER TABLE returned ADD COLUMN reason TEXT DEFAULT 'broken'")


def correct(platform: Platform, name: str, correction: tuple[date, str, int], before: int) -> None:
    source, (day, shop, value) = platform.project.sources[name], correction
    file = landing_file(platform, source, period_of(source.schema.calendar, day))
    text, row = file.read_text(encoding="utf-8"), f"{shop},{day},"
    assert text.count(f"{row}{before}") == 1
    file.write_text(text.replace(f"{row}{before}", f"{row}{value}"), encoding="utf-8")


def period_of(calendar: Calendar, day: date) -> Period:
    return calendar.of(datetime.combine(day, time(), UTC))


def wednesday(day: date) -> date:
    """That of the newest week that is over at the end of a day; weeks end on Saturdays."""
    return day - timedelta(days=(day.weekday() - 5) % 7 + 3)


# What the vendors' numbers come to, computed from them alone


def sold(*, corrected: bool) -> dict[tuple[str, date], int]:
    days = [FIRST_DAY + timedelta(days=number) for number in range(DAYS)]
    found = {(shop, day): units(shop, day) for day in days for shop in SHOPS}
    return {**found, (CORRECTED[1], CORRECTED[0]): CORRECTED[2]} if corrected else found


def came(*, corrected: bool) -> dict[tuple[str, date], int]:
    weeks = [date(2024, 1, 10) + timedelta(days=7 * number) for number in range(DAYS // 7 - 1)]
    found = {(shop, week): visitors(shop, week) for week in weeks for shop in SHOPS}
    return {**found, (CORRECTED_WEEK[1], CORRECTED_WEEK[0]): CORRECTED_WEEK[2]} if corrected else found


def demand_rows(days: Sequence[date], *, corrected: bool) -> "pd.DataFrame":
    """Population, features and label of the model by day, by the time rule."""
    import pandas as pd

    sales, weeks = sold(corrected=corrected), came(corrected=corrected)
    rows = []
    for day in days:
        week = wednesday(day)
        for shop in SHOPS:
            if sales[shop, day] == 0:
                continue
            level, crowd = math.log(sales[shop, day] + 1), math.log(weeks[shop, week])
            before = weeks.get((shop, week - timedelta(days=7)))
            rows.append(
                {
                    "shop": shop,
                    "day": day,
                    "level": level,
                    "growth_1w": level - math.log(sales[shop, day - timedelta(days=7)] + 1),
                    "revenue": sales[shop, day] * price(shop),
                    "crowd": crowd,
                    "crowd_change": crowd - math.log(before) if before else None,
                    "returned": returned(shop, day),
                    "region": ("north", "south")[SHOPS.index(shop) % 2],
                    "growth": math.log(sales[shop, day + timedelta(days=1)] + 1) - level,
                }
            )
    return pd.DataFrame(rows).sort_values(["shop", "day"]).reset_index(drop=True)


def same(found: "pd.DataFrame", expected: "pd.DataFrame") -> None:
    import pandas as pd

    found = found.sort_values(list(found.columns[:2])).reset_index(drop=True)
    pd.testing.assert_frame_equal(found, expected[list(found.columns)], check_dtype=False, rtol=1e-12, atol=1e-12)


# The line


def test_check_passes_and_says_how_much_there_is(platform: Platform) -> None:
    project = platform.project.folder.parent.parent
    variables = MixedProject(project, project.parent / "returns.db").variables
    done = forks.run(["--project", str(project), "check"], MLOPS_HOME=str(platform.home.folder), **variables)
    assert (done.returncode, done.stdout) == (0, "ok: 6 sources, 3 feature tables, 3 models\n"), done.stderr


def test_every_period_of_every_source_is_there(platform: Platform) -> None:
    counts = {name: platform.engine.known_at(platform.table(name), EVER).num_rows for name in platform.project.sources}
    days = (LAST - FIRST_DAY).days + 1
    assert days >= 60
    # What has a shorter lag is known a day or two further, when the slowest is.
    assert counts == {
        "sales": 12 * (days + 3),
        "visitors": 12 * 8,
        "budgets": 6,
        "returns": 12 * (days + 2 - 9),
        "tills": 2,
        "shops": 12,
    }


def test_a_model_by_day_predicts_from_days_weeks_and_a_database_as_computed_by_hand(platform: Platform) -> None:
    model = platform.project.models["demand"]
    for day in (FIRST + timedelta(days=number) for number in range(1, (LAST - FIRST).days + 1)):
        period = period_of(model.schema.calendar, day)
        as_of = platform.model_as_of(model, period)
        assert as_of == period.end + timedelta(days=2)
        rows = platform.engine.known_at(platform.predictions(model), as_of, first=period, last=period)
        expected = demand_rows([day], corrected=as_of >= CORRECTED_AT)
        same(rows.select(["shop", "day", *FEATURES]).to_pandas(), expected)


def test_what_a_model_learned_from_is_what_was_known_at_each_prediction(platform: Platform) -> None:
    model = platform.project.models["demand"]
    at = model.schema.calendar.at_key(candidates(platform, model)[0].at)
    first, last = label_window(model, at)
    days = [date.fromisoformat(period.key) for period in model.schema.calendar.between(first, last)]
    assert days[0] == date(2024, 1, 13)  # where the last of its tables has something to say: the first week's end
    found = platform.training_sets(model).read([at.key])
    assert found is not None
    same(found.select(["shop", "day", *FEATURES, "growth"]).to_pandas(), demand_rows(days, corrected=False))


def test_a_model_by_week_predicts_from_days_and_is_measured_two_weeks_later(platform: Platform) -> None:
    import pandas as pd

    model = platform.project.models["footfall"]
    scored = platform.engine.known_at(platform.predictions(model), EVER).to_pandas()
    sales, weeks = sold(corrected=False), came(corrected=False)
    expected = []
    for shop, week in zip(scored.shop, scored.week_of, strict=True):
        crowd = math.log(weeks[shop, week])
        change = crowd - math.log(weeks[shop, week - timedelta(days=7)])
        level = math.log(sales[shop, week + timedelta(days=3)] + 1)  # of the Saturday, the last day of the week
        revenue = sales[shop, week + timedelta(days=3)] * price(shop)
        numbers = {"crowd": crowd, "crowd_change": change, "level": level, "revenue": revenue}
        expected.append({"shop": shop, "week_of": week, **numbers})
    assert expected
    ordered = pd.DataFrame(expected).sort_values(["shop", "week_of"]).reset_index(drop=True)
    same(scored[["shop", "week_of", "crowd", "crowd_change", "level", "revenue"]], ordered)
    assert (scored.lower < scored.prediction).all() and (scored.prediction < scored.upper).all()  # from twelve rows
    for record in performance_history(platform, model):
        assert (date.fromisoformat(record.period) - date.fromisoformat(record.about)).days == 14


def test_performance_is_that_of_the_predictions_against_what_came_true(platform: Platform) -> None:
    model = platform.project.models["demand"]
    history = performance_history(platform, model)
    assert len(history) >= 5
    for record in history:
        day, period = date.fromisoformat(record.about), model.schema.calendar.at_key(record.about)
        made = platform.engine.known_at(platform.predictions(model), EVER, first=period, last=period).to_pandas()
        sales = sold(corrected=True)  # performance follows its labels, also where they were corrected later
        truth = [math.log((sales[shop, day + timedelta(days=1)] + 1) / (sales[shop, day] + 1)) for shop in made.shop]
        assert record.rows == len(made)
        assert record.error == pytest.approx((made.prediction - truth).abs().mean(), rel=1e-12)
        held = (made.lower <= truth) & (truth <= made.upper)
        assert record.figure_values["coverage"] == pytest.approx(held.mean(), rel=1e-12)


@pytest.mark.parametrize(
    ("name", "correction", "column", "shift"),
    [("trend", CORRECTED, "level", 1), ("crowd", CORRECTED_WEEK, "crowd", 0)],
)
def test_a_correction_changes_what_is_known_and_not_what_was(
    platform: Platform, name: str, correction: tuple[date, str, int], column: str, shift: int
) -> None:
    day, shop, value = correction
    table = platform.table(name)
    period = period_of(table.schema.calendar, day)

    def of_shop(moment: datetime) -> float:
        rows = platform.engine.known_at(table, moment, first=period, last=period).to_pylist()
        (found,) = [row[column] for row in rows if row["shop"] == shop and day in row.values()]
        return float(found)

    before = {"trend": units, "crowd": visitors}[name](shop, day)
    assert of_shop(platform.known_from([name], period)) == pytest.approx(math.log(before + shift))
    assert of_shop(EVER) == pytest.approx(math.log(value + shift))


def test_what_was_pushed_becomes_features(platform: Platform) -> None:
    rows = platform.engine.known_at(platform.table("baskets"), EVER).to_pylist()
    assert [(row["till"], row["day"], row["items"]) for row in rows] == [(7, date(2024, 3, 2), 7)]


def test_columns_that_came_in_the_middle_are_null_before_and_nothing_ran_again_for_them(
    platform: Platform, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DAGSTER_HOME", str(platform.home.dagster))

    def held(name: str, column: str) -> dict[date | None, set[Any]]:
        table, found = platform.table(name), dict[date | None, set[Any]]()
        for row in platform.engine.known_at(table, EVER).to_pylist():
            found.setdefault(row[table.schema.timestamp] if table.schema.timestamp else None, set()).add(row[column])
        return found

    reasons = held("returns", "reason")
    assert reasons[BEFORE - timedelta(days=5)] == {None}
    assert reasons[LAST] == {"broken"}
    assert {value for values in held("tills", "voucher").values() for value in values} == {True}
    assert held("shops", "floors") == {None: {len("s00,north")}}
    assert {type(value) for values in held("trend", "paid").values() for value in values} == {float}
    quiet = [str(BEFORE - timedelta(days=number)) for number in range(20, 30)]  # that no correction reaches
    with open_instance(platform.home) as instance:
        for asset, times in (("trend", 2), ("demand/labels", 1), ("baskets", 1)):
            key = dg.AssetKey(asset.split("/"))
            counted = instance.fetch_materializations(dg.AssetRecordsFilter(key, asset_partitions=quiet), limit=1000)
            assert len(counted.records) == times * len(quiet), asset
        key = dg.AssetKey(["demand", "predictions"])
        scored = instance.fetch_materializations(
            dg.AssetRecordsFilter(key, asset_partitions=[str(FIRST), str(FIRST + timedelta(days=1))]), limit=1000
        )
        assert len(scored.records) == 2


def test_a_model_that_lacks_labels_waits_and_stops_no_other(platform: Platform) -> None:
    trained = {name: len(candidates(platform, model)) for name, model in platform.project.models.items()}
    assert trained["spending"] == 0
    assert trained["demand"] >= 1
    assert trained["footfall"] >= 1
