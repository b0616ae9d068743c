"""What a label must find among some states, case by case; a question may be about one case or about all of them."""

import random
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from mlops_assets.engines.contract import Engine, ResolvedLookup
from mlops_assets.lakehouse.periods import Duration
from mlops_assets_tests.engines.contract_pack import (
    DAY,
    MICROSECOND,
    Tables,
    at,
    label,
    label_table,
    sale,
)

MARCH_END = at(4) - MICROSECOND
Row = dict[str, Any]
Place = tuple[str, int]
"""A label: the name of its case, and its place there."""


@dataclass(frozen=True)
class Case:
    """States in the order of their commits, and labels with the note that each must find."""

    commits: Sequence[Sequence[Row]]
    asked: Sequence[tuple[Row, str | None]]
    lookback: Duration | None = None

    @property
    def removes(self) -> bool:
        return any(state["removed"] for states in self.commits for state in states)

    @property
    def expected(self) -> list[str | None]:
        return [note for _, note in self.asked]


NAMES = ["north", "North", "north ", " north", "", "nörth", "no\u0308rth", "it's", 'a "b"', "a\nb", "0", "00"]
CASES = {
    "the newest row that is known": Case(
        [[sale("january", at(1), at(2)), sale("february", at(2), at(3)), sale("march", at(3), at(4))]],
        [(label(MARCH_END, at(3, 31)), "february"), (label(MARCH_END, at(4)), "march")],
    ),
    "its own answer, however often and in which order it is asked": Case(
        [[sale("early", at(1), at(1)), sale("late", at(3), at(3))]],
        [
            (label(at(3), at(3)), "late"),
            (label(at(1), at(3)), "early"),
            (label(at(3), at(3)), "late"),
            (label(None, at(3)), None),
            (label(at(1), at(3)), "early"),
        ],
    ),
    "the newest of daily rows that are known all at once": Case(
        [[sale(f"day {day}", at(2, day), at(3, 5)) for day in reversed(range(1, 30))]],
        [
            (label(at(3), at(3, 5)), "day 29"),
            (label(at(2, 20), at(3, 5)), "day 20"),
            (label(at(3), at(3, 5) - MICROSECOND), None),
        ],
    ),
    "no late row before a newer one": Case(
        [[sale("february", at(2), at(2, 2))], [sale("january, late", at(1), at(3), seq=2)]],
        [(label(at(3), at(4)), "february"), (label(at(1, 5), at(4)), "january, late")],
    ),
    "a correction from the moment it is known": Case(
        [[sale("first", at(1), at(2))], [sale("corrected", at(1), at(3), seq=2)]],
        [
            (label(at(2), at(3) - MICROSECOND), "first"),
            (label(at(2), at(3)), "corrected"),
            (label(at(2), at(2) - MICROSECOND), None),
        ],
    ),
    "no late correction of an old row before a newer row": Case(
        [
            [sale("january", at(1), at(2)), sale("february", at(2), at(3))],
            [sale("january, corrected", at(1), at(3, 20), seq=2)],
        ],
        [(label(at(3), at(4)), "february"), (label(at(1, 9), at(4)), "january, corrected")],
    ),
    # Both states are known long before a label asked forty days after its anchor may use the event.
    "a correction quicker than the lag": Case(
        [
            [
                sale("corrected", at(1), at(1, 3)),
                sale("first", at(1), at(1, 2)),
                sale("between", at(1), at(1, 2), seq=2),
            ]
        ],
        [(label(at(1), at(1) + 40 * DAY), "corrected")],
    ),
    "the last ingested of states known at the same moment": Case(
        [[sale("second", at(1), at(2), seq=2), sale("first", at(1), at(2), seq=1)]], [(label(at(3), at(3)), "second")]
    ),
    "the last ingested of states known at the same moment, written last": Case(
        [[sale("first", at(1), at(2), seq=1), sale("second", at(1), at(2), seq=2)]], [(label(at(3), at(3)), "second")]
    ),
    "what is known later before what was ingested later": Case(
        [[sale("known later", at(1), at(3), seq=1)], [sale("ingested later", at(1), at(2), seq=2)]],
        [(label(at(2), at(2)), "ingested later"), (label(at(2), at(3)), "known later")],
    ),
    "an older row where the newest is removed": Case(
        [
            [sale("january", at(1), at(2)), sale("february", at(2), at(3))],
            [sale("gone", at(2), at(3, 9), seq=2, removed=True)],
        ],
        [(label(MARCH_END, at(3, 9) - MICROSECOND), "february"), (label(MARCH_END, at(3, 9)), "january")],
    ),
    "an older row for a removed one inside the lookback": Case(
        [[sale("january", at(1), at(1)), sale("gone", at(2), at(2), removed=True)]],
        [(label(at(2, 10), at(2, 10)), "january")],
        Duration(rest=40 * DAY + MICROSECOND),
    ),
    "no older row for a removed one outside the lookback": Case(
        [[sale("january", at(1), at(1)), sale("gone", at(2), at(2), removed=True)]],
        [(label(at(2, 10), at(2, 10)), None)],
        Duration(rest=40 * DAY),
    ),
    "a row that was removed and came back": Case(
        [
            [sale("january", at(1), at(2)), sale("february", at(2), at(3))],
            [sale("gone", at(2), at(3, 5), seq=2, removed=True)],
            [sale("back", at(2), at(3, 9), seq=3)],
        ],
        [
            (label(MARCH_END, at(3, day)), note)
            for day, note in ((4, "february"), (5, "january"), (8, "january"), (9, "back"))
        ],
    ),
    "nothing where every row was removed": Case(
        [
            [sale("there", *times) for times in ((at(1), at(1)), (at(2), at(2)))],
            [sale("gone", *times, seq=2, removed=True) for times in ((at(1), at(1)), (at(2), at(2)))],
        ],
        [(label(at(3), at(3)), None)],
    ),
    "a row until its removal is known": Case(
        [[sale("there", at(2), at(2))], [sale("gone", at(2), at(3), seq=2, removed=True)]],
        [(label(at(2), at(3) - MICROSECOND), "there"), (label(at(2), at(3)), None)],
    ),
    "a row known before its event from the event on": Case(
        [[sale("today", at(1), at(1)), sale("planned", at(3), at(1))]],
        [
            (label(at(3) - MICROSECOND, at(5)), "today"),
            (label(at(3), at(5)), "planned"),
            (label(at(3), at(1)), "planned"),
        ],
    ),
    # A slow table makes the model wait for two months; the quick one then shows March already.
    "no period that a quick table shows early": Case(
        [[sale("february", at(2), at(3)), sale("march", at(3), at(4))]],
        [(label(at(3) - MICROSECOND, at(5)), "february")],
    ),
    "nothing where it matches none or has a null": Case(
        [[sale("found", at(1), at(1))]],
        [
            (label(at(2), at(2)), "found"),
            (label(at(2), at(2), shop="nowhere"), None),
            (label(at(2), at(2), shop=None), None),
            (label(at(2), at(2), product=None), None),
            (label(None, at(2)), None),
            (label(at(2), None), None),
            (label(None, None, shop=None, product=None), None),
            (label(at(2), at(2) + DAY), "found"),
        ],
    ),
    "exactly its own key": Case(
        [[sale(f"of {name!r}", at(1), at(1), shop=name) for name in NAMES]],
        [
            *((label(at(2), at(2), shop=name), f"of {name!r}") for name in NAMES),
            *((label(at(2), at(2), shop=name), None) for name in ("NORTH", "0.0")),
        ],
    ),
    "an event at the very anchor, known at the very moment": Case(
        [[sale("exact", at(2), at(3))]],
        [
            (label(at(2), at(3)), "exact"),
            (label(at(2) - MICROSECOND, at(3)), None),
            (label(at(2), at(3) - MICROSECOND), None),
            (label(at(2) + MICROSECOND, at(3) + MICROSECOND), "exact"),
        ],
    ),
}
EDGES = [
    ("1 hours", at(2, 1, 1), at(2)),
    ("28 days", at(2, 29), at(2)),
    ("1 weeks", at(3, 8), at(3)),
    # Months count from the instant after the anchor: the last of April, back to the end of March.
    ("1 months", at(5) - MICROSECOND, at(4) - MICROSECOND),
    ("2 months", at(5) - MICROSECOND, at(3) - MICROSECOND),
    ("1 years", at(3) - MICROSECOND, datetime.fromisoformat("2023-03-01T00:00Z") - MICROSECOND),
    # A day that the earlier month does not have is its last.
    ("1 months", at(3, 31) - MICROSECOND, at(2, 29) - MICROSECOND),
    ("1 months", at(3, 30, 12), at(2, 29, 12)),
    ("1 months", at(2, 29), at(1, 29)),
]
_ROWS, _ASKED = [], []
for _place, (_lookback, _anchor, _outside) in enumerate(EDGES):
    _states = [
        sale(note, moment, moment, product=2 * _place + number)
        for number, (note, moment) in enumerate([("out", _outside), ("in", _outside + MICROSECOND)])
    ]
    _out, _in = (label(_anchor, _anchor, product=state["product"]) for state in _states)
    CASES[f"what is a microsecond inside {_lookback} before {_anchor}"] = Case(
        [_states], [(_out, None), (_in, "in")], Duration.parse(_lookback)
    )
    _ROWS += _states
    _ASKED += [(_out, "out"), (_in, "in")]
CASES["a row of any age without a lookback"] = Case([_ROWS], _ASKED)


def ask_alone(engine: Engine, tables: Tables, case: Case, times: int) -> list[Any]:
    """The notes that the labels of a case find in a table of its own, asked so many times one after the other."""
    rows = label_table([row for row, _ in case.asked] * times)
    answered = engine.lookup(rows, [ResolvedLookup(tables.of(*case.commits), ("note",), case.lookback)])
    return list(answered.column("note").to_pylist())


def ask_together(
    engine: Engine, tables: Tables, cases: Mapping[str, Case], max_lags: int | None
) -> dict[str, list[Any]]:
    """The notes that the labels of each case find where many cases share a table and a question.

    Those with removals share one table, and those without another one.

    Args:
        engine: Who is asked.
        tables: Where the tables are written.
        cases: By name.
        max_lags: How many distances from anchor to asking one question has; None for more than an engine answers one
            after the other.
    """
    found: dict[Place, Any] = {}
    for removes in (False, True):
        mine = {name: case for name, case in cases.items() if case.removes is removes}
        products = {name: 1000 * number for number, name in enumerate(mine)}
        table = tables.of(
            *(
                [
                    state | {"product": state["product"] + products[name]}
                    for name, case in mine.items()
                    for state in (case.commits[commit] if commit < len(case.commits) else ())
                ]
                for commit in range(max(len(case.commits) for case in mine.values()))
            )
        )
        labels: dict[Place, Row] = {
            (name, place): row | {"product": None if row["product"] is None else row["product"] + products[name]}
            for name, case in mine.items()
            for place, (row, _) in enumerate(case.asked)
        }
        for places in _questions(labels, mine, max_lags):
            lookbacks = list(dict.fromkeys(mine[name].lookback for name, _ in places))
            asked = [labels[place] for place in places]
            if max_lags is None:
                asked += [label(at(2), at(2) + number * DAY, shop="nowhere") for number in range(9)]
            answered = engine.lookup(
                label_table(asked),
                [
                    ResolvedLookup(table, ("note",), lookback, rename={"note": f"note {number}"})
                    for number, lookback in enumerate(lookbacks)
                ],
            )
            for row, (name, place) in zip(answered.to_pylist(), places, strict=False):
                found[name, place] = row[f"note {lookbacks.index(mine[name].lookback)}"]
    return {name: [found[name, place] for place in range(len(case.asked))] for name, case in cases.items()}


def _questions(
    labels: Mapping[Place, Row], of_cases: Mapping[str, Case], max_lags: int | None
) -> Iterable[list[Place]]:
    """The labels, mixed, in questions of no more than so many distances from anchor to asking."""
    mixed = list(labels)
    random.Random(7).shuffle(mixed)
    for bounded in (False, True):
        mine = [place for place in mixed if (of_cases[place[0]].lookback is not None) is bounded]
        lags = list(dict.fromkeys(_lag(labels[place]) for place in mine))
        step = max_lags or len(lags)
        for first in range(0, len(lags), step):
            yield [place for place in mine if _lag(labels[place]) in lags[first : first + step]]


def _lag(row: Row) -> timedelta | None:
    return None if row["anchor"] is None or row["as_of"] is None else row["as_of"] - row["anchor"]
