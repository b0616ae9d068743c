"""What a test asserts of a model's monitoring; each asks the monitoring itself, of past periods that it leaves out.

A power is shown: of the trials so many must succeed that it is at least as great with a certainty of 90 %. A rate of
false alarms is refuted: it fails where so many periods alarm as, at that rate, one of a hundred runs would have. Both
bounds are those of a binomial distribution, as if periods were independent (Clopper and Pearson, 1934). What is random
has seeds, so a test that passed passes again.
"""

from collections.abc import Iterator
from typing import TYPE_CHECKING

from mlops_assets.features.leaks import newest_certificate
from mlops_assets.platform import Platform
from mlops_assets.testing.injectors import Injector
from mlops_assets.testing.monitored import Monitored

if TYPE_CHECKING:
    import pyarrow as pa

SURE = 0.9
"""How sure it is that a power is at least what is asserted."""
BY_CHANCE = 0.01
"""So rarely a rate of false alarms is refuted though it holds."""
BENIGN = 4
"""In so many periods, spread over all, rows and columns are put in another order and other types."""


def assert_detects_drift(
    monitored: Monitored, injector: Injector, *, power: float = 0.95, trials: int = 50, by_segment: bool = False
) -> None:
    """A change is an alarm in the first period that has it; as `assert_detection_delay`."""
    assert_detection_delay(monitored, injector, max_periods=1, power=power, trials=trials, by_segment=by_segment)


def assert_detection_delay(
    monitored: Monitored,
    injector: Injector,
    *,
    max_periods: int,
    power: float = 0.95,
    trials: int = 50,
    by_segment: bool = False,
) -> None:
    """A change that begins in a past period, and stays, is an alarm within some periods.

    Args:
        monitored: The past periods; those that are changed are left out of what they are compared with.
        injector: What happens to each period from its first on.
        max_periods: In how many periods it must be an alarm.
        power: How often at least, shown with a certainty of 90 %.
        trials: In how many past periods it begins, each time in another; at most as many as there are.
        by_segment: Whether findings in segments count, in place of alarms of columns.

    Raises:
        AssertionError: It is not shown that it is found so often; or periods are not judged, or too few to show it.
    """
    starts = _spread(len(monitored.judged) - max_periods + 1, trials)
    found = 0
    for start in starts:
        keys = monitored.judged[start : start + max_periods]
        found += any(_alarms(monitored, keys, injector, by_segment))
    shown, best = (_at_least(count, len(starts)) for count in (found, len(starts)))
    if best < power:
        raise AssertionError(
            f"{len(starts)} trials show a power of at most {best:.3g}, and {power:g} was asserted: assert less, or "
            f"with more past periods ({_of(monitored)})"
        )
    if shown < power:
        raise AssertionError(
            f"{injector.words} was found within {_periods(max_periods)} in {found} of {len(starts)} trials: that shows "
            f"a power of at least {shown:.3g}, and {power:g} was asserted ({_of(monitored)})"
        )


def assert_false_alarm_rate(monitored: Monitored, *, max_rate: float = 0.1, by_segment: bool = False) -> None:
    """Past periods, each judged by the others, alarm no more often than at a rate.

    Args:
        monitored: The past periods; real ones may have real drift in them.
        max_rate: How often they may alarm.
        by_segment: Whether findings in segments count, in place of alarms of columns.

    Raises:
        AssertionError: More of them alarm than at that rate would by chance; or they are not judged.
    """
    alarmed = [key for key in monitored.judged if any(_alarms(monitored, [key], None, by_segment))]
    if _chance_of(len(alarmed), len(monitored.judged), max_rate) < BY_CHANCE:
        raise AssertionError(
            f"{len(alarmed)} of {_periods(len(monitored.judged))} alarm, more than a rate of {max_rate:g} explains: "
            f"{', '.join(alarmed)} ({_of(monitored)})"
        )


def assert_quiet_on_benign(monitored: Monitored) -> None:
    """Nothing that means nothing is an alarm: the order of rows and columns, other types that hold the same, a season.

    Raises:
        AssertionError: A verdict changes with one of them; or a season alarms more often than the declared rate of
            false alarms explains, which the rate of all periods together may hide.
    """
    from mlops_assets.monitoring.period_null import season_of

    for place in _spread(len(monitored.judged), BENIGN):
        key = monitored.judged[place]
        rows = monitored.at(key)
        usual = monitored.judge(key, rows).findings
        for words, same in _the_same(rows):
            if monitored.judge(key, same).findings != usual:
                raise AssertionError(f"the verdict on {key} is another with {words} ({_of(monitored)})")
    seasons: dict[int, list[str]] = {}
    for key in monitored.judged:
        seasons.setdefault(season_of(monitored.calendar, key), []).append(key)
    for keys in seasons.values():
        alarmed = [key for key in keys if any(_alarms(monitored, [key], None, False))]
        if _chance_of(len(alarmed), len(keys), monitored.drift.false_alarms) < BY_CHANCE / len(seasons):
            raise AssertionError(
                f"{len(alarmed)} of {_periods(len(keys))} of a season alarm: {', '.join(alarmed)} ({_of(monitored)})"
            )


def assert_no_leakage(platform: Platform, model: str, *, moments: int = 5) -> None:
    """Features of a training set are the same, to the last bit, where all that became known later is gone.

    Skips the test where the home has no labels yet.

    Args:
        platform: The project and its home, such as the fixture ``project_under_test``.
        model: The model's name.
        moments: At how many of the moments that rows were predicted at, the newest training set's.

    Raises:
        AssertionError: One is another; with the row, and both values unless they are personal.
    """
    import pytest

    found = newest_certificate(platform, platform.project.model(model), moments)
    if found.why_not:
        pytest.skip(f"{found.words}: a replay brings some")
    assert not found.leaks, found.words


def _alarms(monitored: Monitored, keys: list[str], injector: Injector | None, by_segment: bool) -> Iterator[bool]:
    """Whether each of some periods alarms, judged by the others.

    Raises:
        AssertionError: One is not judged: of such a period nothing is shown.
    """
    from mlops_assets.monitoring.period_null import MIN_PERIODS

    before, without = None, monitored.around(keys)
    for key in keys:
        rows = monitored.at(key)
        rows = injector(rows, monitored.keys.index(key)) if injector else rows
        if by_segment and (not monitored.drift.segments or len(monitored.keys) - len(without) < MIN_PERIODS):
            raise AssertionError(f"segments are not judged: none declared, or too few periods ({_of(monitored)})")
        if by_segment:
            yield bool(monitored.findings(rows, without))
            continue
        verdict = monitored.judge(key, rows, without, before)
        before = rows
        if verdict.why_not:
            raise AssertionError(f"{key} is not judged: {verdict.why_not} ({_of(monitored)})")
        yield verdict.alarm


def _the_same(rows: "pa.Table") -> "Iterator[tuple[str, pa.Table]]":
    """Rows that say the same in another way, each with what is other."""
    import numpy as np
    import pyarrow as pa

    yield "rows in another order", rows.take(np.random.default_rng(0).permutation(rows.num_rows))
    yield "columns in another order", rows.select(rows.column_names[::-1])
    texts = [field.name for field in rows.schema if pa.types.is_string(field.type)]
    whole = [field.name for field in rows.schema if pa.types.is_integer(field.type)]
    for names, kind in (
        (texts, pa.dictionary(pa.int32(), pa.string())),
        (texts, pa.large_string()),
        (whole, pa.float64()),
    ):
        fields = [field.with_type(kind) if field.name in names else field for field in rows.schema]
        yield f"columns as {kind}", rows.cast(pa.schema(fields), safe=False)


def _spread(count: int, most: int) -> list[int]:
    """So many places at most, spread over all."""
    return sorted({number * count // min(count, most) for number in range(min(count, most))}) if count > 0 else []


def _at_least(found: int, trials: int) -> float:
    """The least share that so many of some trials show."""
    from scipy.stats import binomtest  # type: ignore[import-untyped]

    return float(binomtest(found, trials, alternative="greater").proportion_ci(SURE, "exact").low) if trials else 0.0


def _chance_of(found: int, trials: int, rate: float) -> float:
    """How often so many of some trials, or more, come about by a rate."""
    from scipy.stats import binomtest

    return float(binomtest(found, trials, rate, alternative="greater").pvalue) if trials else 1.0


def _periods(count: int) -> str:
    return f"{count} period{'' if count == 1 else 's'}"


def _of(monitored: Monitored) -> str:
    return f"of {monitored.origin}: {_periods(len(monitored.keys))}"
