"""Past periods of a model with how the platform judges one more: by its own monitoring, never by a copy of it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

from mlops_assets.lakehouse.periods import Calendar
from mlops_assets.models.records import candidates
from mlops_assets.platform import Platform
from mlops_assets.project.definition import ModelDefinition
from mlops_assets.project.model_attributes import DriftChoice

if TYPE_CHECKING:
    import pyarrow as pa

    from mlops_assets.monitoring.period_null import PeriodNull, Verdict
    from mlops_assets.monitoring.segments import SegmentFinding
    from mlops_assets.monitoring.summaries import Summaries

FOLDS = 6
"""About a sixth of the periods, beside one another, are left out together."""


@dataclass(frozen=True, eq=False)
class Monitored:
    """Past periods without drift, and how a period is judged by them.

    Args:
        rows: The rows of all periods.
        periods: The key of each row's period.
        calendar: How periods are cut.
        numbers: Columns of numbers that are watched.
        categories: Columns of categories that are watched.
        drift: How, as in the model's YAML.
        origin: Where the periods come from, in words.
    """

    rows: "pa.Table"
    periods: Sequence[str]
    calendar: Calendar
    numbers: tuple[str, ...]
    categories: tuple[str, ...]
    drift: DriftChoice
    origin: str

    @cached_property
    def keys(self) -> list[str]:
        """The keys of the periods, in their order."""
        return sorted(self._places)

    @cached_property
    def judged(self) -> list[str]:
        """The keys of the periods that can be judged by the others: by the one before, where that is there."""
        if self.drift.reference != "previous":
            return self.keys
        return [key for key in self.keys if self._before(key) in self._places]

    def at(self, key: str) -> "pa.Table":
        """The rows of a period."""
        return self.rows.take(self._places[key])

    def around(self, keys: Sequence[str]) -> frozenset[str]:
        """The periods that are left out where some of them are judged: they, and their neighbours.

        So few nulls serve many periods, and a period is not judged by those that it hangs together with most.
        """
        from mlops_assets.monitoring.period_null import MIN_PERIODS

        count = len(self.keys)
        size = max(1, min(count // FOLDS, (count - MIN_PERIODS) // 2))
        folds = {self.keys.index(key) // size for key in keys}
        return frozenset(key for place, key in enumerate(self.keys) if place // size in folds)

    def judge(
        self, key: str, rows: "pa.Table", without: frozenset[str] = frozenset(), before: "pa.Table | None" = None
    ) -> "Verdict":
        """What is said of some rows if they are those of a period.

        Args:
            key: The period that they are taken for.
            rows: The rows.
            without: Periods that they are not compared with, nor the bar is made of.
            before: The rows of the period before, where that is what counts; None for those that there are.
        """
        if before is None and self._before(key) in self._places:
            before = self.at(self._before(key))
        known = self._summarized(self._before(key), before) if before is not None else None
        return self.null(without).judge(self._summarized(key, rows), known)

    def findings(self, rows: "pa.Table", without: frozenset[str] = frozenset()) -> "list[SegmentFinding]":
        """What moved in segments, if some rows are those of a period; none where no segments are declared."""
        from mlops_assets.monitoring.segments import SegmentNull

        if ("segments", without) not in self._nulls:
            kept = [place for place, key in enumerate(self.periods) if key not in without]
            self._nulls["segments", without] = SegmentNull.of(
                self.rows.take(kept),
                [self.periods[place] for place in kept],
                by=self.drift.segments,
                numbers=self.numbers,
                categories=self.categories,
                rate=self.drift.false_alarms,
            )
        null: SegmentNull = self._nulls["segments", without]
        return null.findings(rows)

    def null(self, without: frozenset[str] = frozenset()) -> "PeriodNull":
        """How the periods lie from one another, without some of them."""
        from mlops_assets.monitoring.period_null import PeriodNull

        if ("columns", without) not in self._nulls:
            kept = [place for place, key in enumerate(self.summaries.periods) if key not in without]
            self._nulls["columns", without] = PeriodNull.of(
                self.summaries.at(kept), self.calendar, self.drift.reference, self.drift.false_alarms
            )
        found: PeriodNull = self._nulls["columns", without]
        return found

    def _before(self, key: str) -> str:
        return self.calendar.shift(self.calendar.at_key(key), -1).key

    def _summarized(self, key: str, rows: "pa.Table") -> "Summaries":
        from mlops_assets.monitoring.summaries import summarize

        return summarize(rows, [key] * rows.num_rows, numbers=self.numbers, categories=self.categories)

    @cached_property
    def summaries(self) -> "Summaries":
        """What monitoring keeps of the periods."""
        from mlops_assets.monitoring.summaries import summarize

        return summarize(self.rows, self.periods, numbers=self.numbers, categories=self.categories)

    @cached_property
    def _places(self) -> Mapping[str, Any]:
        found: dict[str, list[int]] = {}
        for place, key in enumerate(self.periods):
            found.setdefault(key, []).append(place)
        return found

    @cached_property
    def _nulls(self) -> dict[tuple[str, frozenset[str]], Any]:
        return {}


def monitored_model(platform: Platform, model: ModelDefinition) -> Monitored:
    """The periods of a model's newest training set; where they are too few to judge, synthetic ones of its columns."""
    from mlops_assets.monitoring.drift import periods_of
    from mlops_assets.monitoring.period_null import MIN_PERIODS
    from mlops_assets.testing.synthetic import SyntheticPeriods

    made = [record.at for record in candidates(platform, model)]
    rows = platform.training_sets(model).read(made[-1:]) if made else None
    if rows is not None and rows.num_rows:
        keys = periods_of(model, rows)
        if len(set(keys)) > MIN_PERIODS:  # one of them is left out
            calendar, of = model.schema.calendar, f"the training set of {made[-1]}"
            return Monitored(rows, keys, calendar, model.numbers, model.categories, model.drift, of)
    texts = (*model.categories, *(name for name in model.drift.segments if name not in model.feature_names))
    made_up = SyntheticPeriods(model.numbers, texts, model.schema.calendar)
    return made_up.monitored(range(2 * MIN_PERIODS), model.drift)
