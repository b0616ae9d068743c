"""What may happen to the rows of a period: each changes what it says, by a seed, and leaves the rest as it was."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING, Any, TypeVar

from mlops_assets.errors import DefinitionError, none_of
from mlops_assets.lakehouse.exact import decoded, doubles, finite

if TYPE_CHECKING:
    import numpy as np
    import pyarrow as pa

    Random = np.random.Generator

Rows = TypeVar("Rows")
"""A table of Arrow, or a frame of pandas."""


@dataclass(frozen=True)
class Injector:
    """A change of rows.

    Args:
        words: What it does, for messages.
        columns: The columns that it needs.
        change: What does it to a table, with what is random.
    """

    words: str
    columns: tuple[str, ...]
    change: "Callable[[pa.Table, Random], pa.Table]"

    def __call__(self, rows: Rows, seed: int | Sequence[int] = 0) -> Rows:
        """The changed rows, in the form that they were given in; those given stay as they are.

        Args:
            rows: A table of Arrow, or a frame of pandas.
            seed: Of what is random: the same seed and rows give the same rows.

        Raises:
            DefinitionError: A column is not there, or the change makes no sense of what it holds.
        """
        import numpy as np
        import pyarrow as pa

        given: Any = rows
        random, in_arrow = np.random.default_rng(seed), isinstance(given, pa.Table)
        table = given if in_arrow else pa.Table.from_pandas(given, preserve_index=False)
        for name in self.columns:
            if name not in table.column_names:
                raise none_of(f"column '{name}', which the rows do not have", name, table.column_names)
        answer: Any = self.change(table if in_arrow else table.append_column(_PLACE, [range(len(table))]), random)
        if not in_arrow:
            places = answer.column(_PLACE).to_numpy()
            frame = given.iloc[places].copy()
            for name in table.column_names:
                if not answer.column(name).equals(table.column(name).take(places)):
                    frame[name] = answer.column(name).to_pandas().to_numpy()
            answer = frame
        changed: Rows = answer
        return changed


_PLACE = "place of the row"


def covariate_shift(column: str, deviations: float = 1.0) -> Injector:
    """The numbers of a column become greater by so many of their standard deviations in these rows; nulls stay."""

    def change(rows: "pa.Table", random: "Random") -> "pa.Table":
        known = doubles(finite(rows.column(column))).drop_null().to_numpy()
        step = deviations * float(known.std()) if len(known) else 0.0
        return _computed(rows, column, lambda values: values + step)

    return Injector(f"a shift of '{column}' by {deviations:g} deviations", (column,), change)


def unit_change(column: str, factor: float = 100.0) -> Injector:
    """The numbers of a column are told in another unit."""
    words = f"another unit of '{column}' (× {factor:g})"
    return Injector(words, (column,), lambda rows, random: _computed(rows, column, lambda values: values * factor))


def nulls(column: str, share: float = 0.5) -> Injector:
    """Of a share of the rows, drawn at random, the column is null."""

    def change(rows: "pa.Table", random: "Random") -> "pa.Table":
        import pyarrow as pa
        import pyarrow.compute as pc

        values = rows.column(column)
        chosen = pa.array(_chosen(rows.num_rows, share, random))
        return _with(rows, column, pc.if_else(chosen, pa.scalar(None, values.type), values))

    return Injector(f"nulls in {share:.0%} of '{column}'", (column,), change)


def new_level(column: str, share: float = 0.05, level: object = "a new level") -> Injector:
    """A share of the rows, drawn at random, has a level that there was not before."""

    def change(rows: "pa.Table", random: "Random") -> "pa.Table":
        import pyarrow as pa
        import pyarrow.compute as pc

        values = decoded(rows.column(column))
        chosen = pa.array(_chosen(rows.num_rows, share, random))
        return _with(rows, column, pc.if_else(chosen, pa.scalar(level, values.type), values))

    return Injector(f"a level of '{column}' that is new in {share:.0%} of the rows", (column,), change)


def label_shift(label: str, share: float = 0.8, level: object = None) -> Injector:
    """A label becomes more frequent, while what belongs to it stays as it was: rows are drawn anew by their label.

    Args:
        label: The column of the label.
        share: What share of the rows has the label afterwards.
        level: The label; None for one above the median of these rows.
    """

    def change(rows: "pa.Table", random: "Random") -> "pa.Table":
        import numpy as np

        if level is None:
            values = doubles(finite(rows.column(label))).to_numpy()
            has = values > np.nanmedian(values)
        else:
            has = np.array([value == level for value in rows.column(label).to_pylist()], bool)
        count = round(share * rows.num_rows)
        sides = ((np.flatnonzero(has), count), (np.flatnonzero(~has), rows.num_rows - count))
        if any(asked and not len(places) for places, asked in sides):
            raise DefinitionError(
                f"rows of one kind of '{label}' alone", "rows with the label, and rows without", "name another level"
            )
        drawn = [random.choice(places, asked) for places, asked in sides if asked]
        return rows.take(np.sort(np.concatenate(drawn)))

    return Injector(f"a '{label}' {'above the median' if level is None else level!r} in {share:.0%}", (label,), change)


def concept_change(label: str, share: float = 0.5) -> Injector:
    """The label no longer follows from the features: those of a share of the rows are shuffled among one another."""

    def change(rows: "pa.Table", random: "Random") -> "pa.Table":
        import numpy as np

        places = np.arange(rows.num_rows)
        chosen = np.flatnonzero(_chosen(rows.num_rows, share, random))
        places[chosen] = random.permutation(chosen)
        return _with(rows, label, rows.column(label).take(places))

    return Injector(f"a '{label}' that is shuffled among {share:.0%} of the rows", (label,), change)


def duplicated_rows(share: float = 0.5) -> Injector:
    """A share of the rows, drawn at random, is there twice; the second ones are appended."""

    def change(rows: "pa.Table", random: "Random") -> "pa.Table":
        import pyarrow as pa

        return pa.concat_tables([rows, rows.filter(pa.array(_chosen(rows.num_rows, share, random)))])

    return Injector(f"{share:.0%} of the rows twice", (), change)


def late_rows(share: float = 0.5, by: timedelta = timedelta(days=1), column: str = "known_at") -> Injector:
    """A share of the rows, drawn at random, becomes known later."""

    def change(rows: "pa.Table", random: "Random") -> "pa.Table":
        import pyarrow as pa
        import pyarrow.compute as pc

        values = rows.column(column)
        later = pc.cast(pc.add(values, pa.scalar(by)), values.type)
        return _with(rows, column, pc.if_else(pa.array(_chosen(rows.num_rows, share, random)), later, values))

    return Injector(f"{share:.0%} of the rows known {by} later", (column,), change)


def within(injector: Injector, by: str, value: object) -> Injector:
    """A change of the rows of one segment alone; rows that it adds come last."""

    def change(rows: "pa.Table", random: "Random") -> "pa.Table":
        import numpy as np
        import pyarrow as pa

        inside = np.array([one == value for one in rows.column(by).to_pylist()], bool)
        parts = [rows.filter(pa.array(~inside)), injector.change(rows.filter(pa.array(inside)), random)]
        order = np.argsort(np.concatenate([np.flatnonzero(~inside), np.flatnonzero(inside)]), kind="stable")
        together = pa.concat_tables(parts)
        return together.take(np.concatenate([order, np.arange(len(order), together.num_rows)]))

    return Injector(f"{injector.words} where '{by}' is {value!r}", (by, *injector.columns), change)


def _chosen(count: int, share: float, random: "Random") -> Any:
    """Which of so many rows are concerned: as many as the share says, in random places."""
    import numpy as np

    chosen = np.zeros(count, bool)
    chosen[random.permutation(count)[: round(share * count)]] = True
    return chosen


def _computed(rows: "pa.Table", column: str, computed: Callable[[Any], Any]) -> "pa.Table":
    """Rows with other numbers in a column, in its own type."""
    import numpy as np
    import pyarrow as pa
    import pyarrow.compute as pc

    values = rows.column(column)
    numbers = computed(doubles(values).to_numpy())
    if pa.types.is_integer(values.type):
        numbers = np.round(numbers)
    return _with(rows, column, pc.cast(pa.array(numbers, mask=values.is_null().to_numpy()), values.type, safe=False))


def _with(rows: "pa.Table", column: str, values: Any) -> "pa.Table":
    return rows.set_column(rows.column_names.index(column), column, values)
