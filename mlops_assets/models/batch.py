"""Scoring a table that somebody brings, by a version: each row once, in its place, with features of its own time."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING

from mlops_assets.errors import DefinitionError, MissingDataError, nearest
from mlops_assets.features.created_training_sets import TIMES, FeatureLookup, look_up, moments_asked
from mlops_assets.features.frames import typed_values
from mlops_assets.features.read_versions import Read
from mlops_assets.lakehouse.schema import Column
from mlops_assets.models.records import present_champion
from mlops_assets.models.scoring import predict_rows, ready_version
from mlops_assets.platform import Platform
from mlops_assets.project.definition import ModelDefinition

if TYPE_CHECKING:
    import pyarrow as pa


@dataclass(frozen=True)
class ScoredTable:
    """A table that was scored.

    Args:
        rows: Every column given but ``as_of``, then `added`.
        added: The features that were looked up or computed, the prediction columns, ``version``,
            ``feature_versions`` and ``as_of`` (UTC).
        version: The version that predicted.
        reads: What was read for it.
    """

    rows: "pa.Table"
    added: tuple[str, ...]
    version: int
    reads: tuple[Read, ...]


def score_table(
    platform: Platform,
    model: ModelDefinition,
    rows: "pa.Table",
    *,
    version: int | None,
    timestamp: str | None,
    as_of: datetime | None,
    read_at: datetime,
) -> ScoredTable:
    """Score the rows of a table. Nothing is written.

    Args:
        platform: The platform.
        model: The model.
        rows: Keys and columns of the request. A feature that is among the columns is taken as it is given; the others
            are looked up and computed. Any other column is carried along.
        version: Which version predicts; None for the champion.
        timestamp: The column that is a row's anchor and as_of where it has no column ``anchor`` or ``as_of``. Where
            nothing says a row's time, features are those of now, as over HTTP: of the newest period that the model
            can speak about.
        as_of: One as_of for all rows, UTC; None for each row's own.
        read_at: Now, UTC; what became known later is not seen.

    Raises:
        DefinitionError: A column is missing, of another type, or named as one of the answer; or it is not said which
            time a row is asked at.
        MissingDataError: There is no such version, no champion, or the fit is not there.
        ContractError: The version was deleted, was trained on definitions that say something else, or does not
            predict for these rows; or one is of an unknown key, and the model refuses such.
    """
    import pyarrow as pa

    by = ready_version(platform, model, _champion(platform, model) if version is None else version)
    made = [column.name for column in (*model.answer_columns, *model.version_columns)]
    _require_other_names(rows, made)
    given = _given(model, rows)
    times = _times(model, rows, timestamp, as_of, read_at)
    asked = pa.table({**given, **times})
    # Of a row that brings looked-up features itself something is known.
    brings = any(name in given for lookup in model.lookups for name in lookup.names)
    known = {} if brings else model.known_columns
    found, reads = look_up(
        platform,
        asked,
        _lookups_of_others(model, given),
        timestamp=None,
        as_of=None,
        read_at=read_at,
        versions=None,
        known=known,
    )
    for name in found.column_names:
        asked = asked.append_column(name, found.column(name))
    computed = [feature for feature in model.computed if feature.name not in given]
    engine = platform.engine
    seen = engine.rows(asked)
    predicted = engine.to_arrow(
        predict_rows(
            platform,
            model,
            by,
            engine.compute(seen, computed) if computed else seen,
            looked_up={read.table.name: read.table.delta.folder.name for read in reads},
            baseline=False,
            known=tuple(known.values()),
        )
    )
    features = [name for name in found.column_names if name not in known.values()]
    added = (*features, *(feature.name for feature in computed), *made, "as_of")
    answer = rows.drop_columns(["as_of"]) if "as_of" in rows.column_names else rows
    for name in added:
        answer = answer.append_column(name, predicted.column(name))
    return ScoredTable(answer, added, by.version, tuple(reads))


def columns_to_score(model: ModelDefinition) -> dict[str, Column]:
    """The columns that rows to be scored may have: keys, timestamp, request, features, and the times asked at."""
    columns = (*model.schema.columns, *model.request, *model.features, *(Column(name, "timestamp") for name in TIMES))
    return {column.name: column for column in columns}


def _champion(platform: Platform, model: ModelDefinition) -> int:
    champion = present_champion(platform, model)
    if champion is None:
        raise MissingDataError(
            f"no version of '{model.name}' that serves",
            "a version that was promoted",
            f"train and promote one, or name a version: mlops-assets models show {model.name}",
        )
    return champion.version


def _require_other_names(rows: "pa.Table", made: Sequence[str]) -> None:
    for name in made:
        if name in rows.column_names:
            raise DefinitionError(
                f"a column '{name}' of the rows, named as one of the answer",
                f"any name but {', '.join(made)}",
                "rename the column, or leave it out",
            )


def _lookups_of_others(model: ModelDefinition, given: Collection[str]) -> list[FeatureLookup]:
    """The model's lookups, as far as their features are not given."""
    return [
        FeatureLookup(
            lookup.table, [feature for feature in lookup.columns if lookup.rename.get(feature, feature) not in given],
            lookup.lookup_key, {of: name for of, name in lookup.rename.items() if name not in given},
            str(lookup.lookback) if lookup.lookback else None,
            {of: value for of, value in lookup.default.items() if lookup.rename.get(of, of) not in given},
        )
        for lookup in model.lookups
        if not {*lookup.names} <= {*given}
    ]  # fmt: skip


def _given(model: ModelDefinition, rows: "pa.Table") -> "dict[str, pa.ChunkedArray]":
    """Keys, request and features among the columns, in their types; the timestamp if something is computed from it."""
    of_request = [column.name for column in model.request if column.name in model.feature_names]
    for name in of_request:
        if name not in rows.column_names:
            raise DefinitionError(
                f"rows without the column '{name}', which comes with each request for '{model.name}'",
                f"the columns {', '.join([*model.schema.keys, *of_request])}",
                nearest(name, rows.column_names, "add it; null where it is not known"),
            )
    computed_from = {name.lower() for feature in model.computed for name in feature.expression.columns}
    left_out = {*TIMES} if str(model.schema.timestamp).lower() in computed_from else {*TIMES, model.schema.timestamp}
    return {
        name: typed_values(name, rows.column(name), column.type)
        for name, column in columns_to_score(model).items()
        if name in rows.column_names and name not in left_out
    }


def _times(
    model: ModelDefinition, rows: "pa.Table", timestamp: str | None, as_of: datetime | None, read_at: datetime
) -> "dict[str, pa.ChunkedArray]":
    """Anchor and as_of of each row."""
    import pyarrow as pa

    if timestamp is not None or not {*TIMES}.isdisjoint(rows.column_names):
        return moments_asked(rows, timestamp, as_of, read_at)
    if model.schema.timestamp in rows.column_names:
        raise DefinitionError(
            f"rows with a column '{model.schema.timestamp}', and nothing that says when they are asked",
            "the name of the column with each row's time, or columns anchor and as_of",
            "name it as timestamp; or leave the column out, for features as known now",
        )
    moment = read_at if as_of is None else min(as_of, read_at)
    times = {"anchor": model.speaks_about(moment).anchor, "as_of": moment}
    type_ = pa.timestamp("us", "UTC")
    return {name: pa.chunked_array([pa.repeat(pa.scalar(at, type_), rows.num_rows)]) for name, at in times.items()}
