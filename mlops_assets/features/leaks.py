"""Whether features know more than was known: rows of a training set are computed again without all that came later.

Tables are copied without any state that became known after the as_of of the rows; the newest period of each feature
table is computed anew, by its own SQL or Python, from copies of what it reads; and features are looked up there. What
comes out equal to the last bit depends on nothing that came later.
"""

import random
from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import datetime
from typing import TYPE_CHECKING

from mlops_assets.errors import ContractError
from mlops_assets.features.labels import newest_labelled
from mlops_assets.features.recomputing import recomputed, spans_read
from mlops_assets.features.training_sets import build_training_set, rows_with_features
from mlops_assets.lakehouse.content_hash import content_hash
from mlops_assets.lakehouse.masking import told
from mlops_assets.platform import Platform
from mlops_assets.project.definition import ModelDefinition

if TYPE_CHECKING:
    import pyarrow as pa

MAX_ROWS = 200
"""So many rows of each as_of are computed again."""
MAX_STATES = 500_000
"""A training copies no more states than these."""
_NEWEST, _TOLD = 1, 5


@dataclass(frozen=True)
class LeakCertificate:
    """What was found.

    Args:
        rows: Rows that were computed again.
        features: Features of each.
        as_of: As of which moments.
        content: Hash of the rows as they were computed again.
        leaks: Each value that is another, in words; those of personal columns are masked.
        why_not: Why nothing was computed again, in words; empty where it was.
    """

    rows: int
    features: int
    as_of: tuple[datetime, ...] = ()
    content: str = ""
    leaks: tuple[str, ...] = ()
    why_not: str = ""

    @property
    def words(self) -> str:
        """All of it in a line; of many leaks the first."""
        if self.why_not:
            return f"leaks: not looked for, {self.why_not}"
        known = ", ".join(moment.isoformat() for moment in self.as_of)
        of = f"of {self.rows} rows × {self.features} features as known at {known} ({self.content[:16]})"
        more = f"; and {len(self.leaks) - _TOLD} more" if len(self.leaks) > _TOLD else ""
        return f"leaks: {len(self.leaks) or 'none'} {of}" + (
            f": {'; '.join(self.leaks[:_TOLD])}{more}" if self.leaks else ""
        )

    def require_none(self, model: str) -> None:
        """See that nothing leaks.

        Raises:
            ContractError: Something does.
        """
        if self.leaks:
            raise ContractError(
                f"a training set of '{model}' that knows more than was known when it was predicted ({self.words})",
                "features that are the same where all later knowledge is hidden",
                "see what the feature reads beside its inputs, and which states have a known_at that is too early",
            )


def newest_certificate(platform: Platform, model: ModelDefinition, moments: int = 5) -> LeakCertificate:
    """Certify what a training would learn from now, at so many of the moments that its rows were predicted at.

    Raises:
        MissingDataError: A definition is new, and its past was not computed.
    """
    at = newest_labelled(platform, model)
    if at is None:
        return LeakCertificate(0, len(model.feature_names), why_not="for no labels are known yet")
    rows = build_training_set(platform, replace(model, min_rows=0), at).rows
    return certify(platform, model, rows, moments=moments, seed=at.key)


def certify(
    platform: Platform,
    model: ModelDefinition,
    rows: "pa.Table",
    *,
    moments: int = 1,
    seed: str = "",
    max_states: int | None = None,
) -> LeakCertificate:
    """Compute some rows of a training set again, of so many of the moments that they were predicted at.

    Args:
        platform: The platform.
        model: The model.
        rows: The training set.
        moments: Of how many moments.
        seed: Decides which, and which rows of them.
        max_states: Where more states would have to be copied, nothing is computed again; None for no bound.
    """
    draw, known = random.Random(seed), rows.column("predicted_at").to_pylist()
    chosen = sorted(draw.sample(sorted(set(known)), min(moments, len(set(known)))))
    given = {*model.schema.names, *(column.name for column in model.request)}
    features = [name for name in model.feature_names if name not in given]
    counted, leaks, content = 0, list[str](), list[str]()
    for as_of in chosen:
        places = [place for place, moment in enumerate(known) if moment == as_of]
        sample = rows.take(sorted(draw.sample(places, min(MAX_ROWS, len(places)))))
        again = _without_later(platform, model, as_of, sample.drop_columns(features), max_states)
        if again is None:
            why = f"for that would copy more than {max_states:,} states: `mlops-assets check --leaks` does"
            return LeakCertificate(0, len(features), why_not=why)
        leaks += _differences(model, sample, again, features)
        content.append(content_hash(again, sample.column_names))
        counted += sample.num_rows
    return LeakCertificate(counted, len(features), tuple(chosen), "".join(content), tuple(leaks))


def _without_later(
    platform: Platform, model: ModelDefinition, as_of: datetime, asked: "pa.Table", max_states: int | None
) -> "pa.Table | None":
    """Rows with their features from what was known at a moment; None where that is too much to copy."""
    import pyarrow as pa
    import pyarrow.compute as pc

    times = asked.column(str(model.schema.timestamp)).cast(pa.timestamp("us", "UTC"))
    spans = spans_read(platform, model, model.schema.calendar.of(times[0].as_py()), _NEWEST)
    held = (platform.table(name).moments(*(span or (None, None))) for name, span in spans.items())
    states = sum(one.states for table in held for of_period in table.values() for one in of_period)
    if max_states is not None and states > max_states:
        return None

    def kept(name: str, states: "pa.Table") -> "pa.Table":
        return states.filter(pc.field("known_at") <= as_of)

    with recomputed(platform, spans, as_of, kept, _NEWEST) as hidden:
        found = rows_with_features(hidden, model, asked.append_column("event_time", times), as_of="predicted_at")
        return hidden.engine.to_arrow(found)


def _differences(model: ModelDefinition, rows: "pa.Table", again: "pa.Table", features: list[str]) -> Iterator[str]:
    columns = {column.name: column for column in (*model.schema.columns, *model.features)}
    for feature in features:
        before, after = rows.column(feature), again.column(feature)
        if before.equals(after):
            continue
        for place, pair in enumerate(zip(before.to_pylist(), after.to_pylist(), strict=True)):
            if repr(pair[0]) != repr(pair[1]):
                was, known = (told(columns[feature], value) for value in pair)
                row = ", ".join(
                    f"{name} {told(columns[name], rows.column(name)[place])}" for name in model.schema.names
                )
                yield f"{feature} of {row} is {was}, and {known} by what was known"
