"""A backtest: policies that walk through what a home has recorded, by production's functions, writing nothing of it.

What is trained at a period depends on the period alone, so that all policies share it. It is kept below the home's
``backtests`` under the hash of what it was made from: what was stopped goes on, and a folder that is deleted is made
again.
"""

import io
import json
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field, fields, replace
from datetime import datetime
from functools import cached_property, partial
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from mlops_assets.errors import DefinitionError, MissingDataError, PlatformError
from mlops_assets.features.labels import labelled_period, newest_labelled
from mlops_assets.features.training_sets import build_training_set, rows_with_features, training_evidence
from mlops_assets.features.unknown_keys import unknown_rows
from mlops_assets.governance.evidence import environment_hash
from mlops_assets.lakehouse.clock import StandingClock
from mlops_assets.lakehouse.content_hash import definition_hash
from mlops_assets.lakehouse.periods import Period
from mlops_assets.models.baseline import Baseline
from mlops_assets.models.champion_scores import best_judged, figures_of_better
from mlops_assets.models.evaluation import JudgedRows, Who
from mlops_assets.models.fit_files import FitFile, read_fit, trust_of
from mlops_assets.models.fitting import feature_frame, fitting_of
from mlops_assets.models.gates import Facts
from mlops_assets.models.judging import fit_candidate, judge
from mlops_assets.models.logged import logged_fits
from mlops_assets.models.metrics import measure
from mlops_assets.models.predicting import scores_of_fit, stored_baseline, stored_scores, truth_of
from mlops_assets.models.predictor import Predictor
from mlops_assets.models.records import CandidateRecord
from mlops_assets.models.training import SHARE_OF_ROWS_TO_JUDGE, Request, Trained, asks_earlier, candidate_record
from mlops_assets.models.verdict import Verdict
from mlops_assets.monitoring.performance import PerformanceRecord
from mlops_assets.monitoring.walk_forward import Policy, Step, Walk, walk
from mlops_assets.platform import Platform
from mlops_assets.progress import Progress, untold
from mlops_assets.progress import Step as Told
from mlops_assets.project.definition import ModelDefinition
from mlops_assets.project.gates import Gate, LatencyGate
from mlops_assets.storage.files import write_atomically

if TYPE_CHECKING:
    import pyarrow as pa

T = TypeVar("T")
Entry = Mapping[str, Any]
"""What is kept of a training: arrays of bytes and scores, by name."""


@dataclass(frozen=True)
class Prepared:
    """What a training came to before anybody judged it.

    Args:
        at: Key of the period.
        training: Its record, or why there can be none, in words.
        kept: Where its fits and judged rows are kept.
        performance: How its fit predicted what became known in each later period.
    """

    at: str
    training: CandidateRecord | str
    kept: Path
    performance: Mapping[str, PerformanceRecord]


@dataclass(frozen=True)
class _Preparing:
    """One process's part in preparing: it opens what it reads by itself.

    Args:
        platform: The platform, of which nothing was read before processes parted.
        model: The model.
        first: Key of the first period to train at; None for the first in which labels become known.
        last: Key of the last period; None for the newest.
    """

    platform: Platform
    model: ModelDefinition
    first: str | None
    last: str | None

    @cached_property
    def steps(self) -> tuple[Step, ...]:
        """The periods to walk through."""
        platform, model, calendar = self.platform, self.model, self.model.schema.calendar
        newest, first = newest_labelled(platform, model), model.first_label_period
        if newest is None:
            raise MissingDataError(
                f"no labels of '{model.name}'",
                "labels and features of the periods to walk through",
                f"ingest its sources, then: mlops-assets backfill {model.name}/labels --upstream",
            )
        begin = calendar.at_key(self.first) if self.first else first
        end = calendar.at_key(self.last) if self.last else newest
        if not first <= begin <= end <= newest:
            raise DefinitionError(
                f"the periods from {begin.key} to {end.key}",
                f"periods in which labels of '{model.name}' are known: from {first.key} to {newest.key}",
                "choose --from and --to among them",
            )
        return tuple(map(self._step, calendar.between(begin, end)))

    def _step(self, at: Period) -> Step:
        about = labelled_period(self.model, at)
        known_at = self.platform.labels_as_of(self.model, at)
        return Step(at, known_at, about, self.platform.model_as_of(self.model, about))

    @cached_property
    def rows(self) -> Mapping[str, "pa.Table"]:
        """What became known in each period, as it was known first, with the features of the time of the prediction.

        In the order of keys, as production measures it, so that sums of them are the same.
        """
        import pyarrow as pa
        import pyarrow.compute as pc

        platform, model = self.platform, self.model
        table, found = platform.labels(model), list[pa.Table]()
        for step in self.steps:
            labels = platform.engine.known_at(table, step.known_at, first=step.about, last=step.about)
            found.append(labels.filter(labels.column(model.label.column).is_valid()))
        looked_up = rows_with_features(platform, model, pa.concat_tables(found), as_of="predicted_at")
        rows = platform.engine.to_arrow(looked_up)
        if known := tuple(model.known_columns.values()):
            missing = [rows.column(name).is_null().to_numpy(zero_copy_only=False) for name in known]
            rows = rows.filter(pa.array([not unknown for unknown in unknown_rows(missing)]))
        rows = rows.sort_by([(name, "ascending") for name in model.schema.names])
        when = rows.column("event_time")
        return {
            step.at.key: rows.filter(
                pc.and_(pc.greater_equal(when, step.about.start), pc.less(when, step.about.end))
            )
            for step in self.steps
        }  # fmt: skip

    def prepare(self, at: Period) -> Prepared:
        """Train at a period, unless that was done and kept, and measure the fit on all that became known later."""
        try:
            file = self._file(at)
            fit = None if file.exists() else self._train(at, file)
            entry = _read(file)
            training = CandidateRecord(**_with_moment(json.loads(_text(entry, "record"))))
            fit = _fit(self.model, entry, "model") if fit is None else fit
            return Prepared(at.key, training, file, self._performance(training, fit))
        except PlatformError as error:  # of one period, such as too few labels: as in production it has no training
            return Prepared(at.key, str(error), Path(), {})

    def _file(self, at: Period) -> Path:
        """Where a training is kept, by what it is made from."""
        model = self.model
        evidence = training_evidence(self.platform, model, at)
        made_from = {
            "read": [(read.name, read.generation, read.data_version) for read in evidence],
            "definition": [model.generation, model.template.definition_hash, fitting_of(model), environment_hash()],
            "record": [version("mlops-assets"), *(member.name for member in fields(CandidateRecord))],
            "trained by": {name: of for name, of in model.trained_by.items() if not name.startswith("gates")},
        }
        return self.platform.home.backtests / model.name / f"{at.key}.{definition_hash(made_from)[:16]}.npz"

    def _train(self, at: Period, file: Path) -> Any:
        """Train and keep it; gives the fit that would serve."""
        import numpy as np
        import pyarrow as pa

        model, known_at = self.model, self.platform.labels_as_of(self.model, at)
        rows = build_training_set(self.platform, model, at).rows
        fitted = fit_candidate(model, rows, at, None)
        fits = logged_fits(model, {"judged": fitted.judged, "model": fitted.model})
        trained = Trained(at, rows, "", Request("", "a backtest"), fitted, fits, Verdict(()))
        then = replace(self.platform, clock=StandingClock(known_at))
        record = candidate_record(then, model, trained, file.stem, "", dict.fromkeys(fits, ""))
        judged, stream = fitted.judged_on, io.BytesIO()
        with pa.ipc.new_stream(stream, judged.rows.schema) as writer:
            writer.write_table(judged.rows)
        texts = {
            "record": json.dumps(asdict(record), default=str).encode(),
            "rows": stream.getvalue(),
            **{name: fit.data for name, fit in fits.items()},
        }
        held, arrays = io.BytesIO(), dict[str, Any]()
        arrays |= {name: np.frombuffer(data, np.uint8) for name, data in texts.items()}
        arrays |= {f"scores of {who}": said for who, said in judged.scores.items()}
        np.savez_compressed(held, **arrays)
        write_atomically(file, held.getvalue())
        return fitted.model

    def _performance(self, training: CandidateRecord, fit: Any) -> dict[str, PerformanceRecord]:
        import pyarrow as pa

        model = self.model
        later = [
            step for step in self.steps if step.spoken_at > training.trained_at and self.rows[step.at.key].num_rows
        ]
        if not later:
            return {}
        predictor = Predictor(model, 0, fit, "", Baseline.from_json(training.baseline))
        rows = pa.concat_tables([self.rows[step.at.key] for step in later])
        said = predictor(rows)
        kept = [column.name for column in (*model.prediction_columns, *model.baseline_columns)]
        label = model.label.column
        made = pa.table({label: rows.column(label), **{name: said[name] for name in kept}})
        found, begin = {}, 0
        for step in later:
            count = self.rows[step.at.key].num_rows
            its, begin = made.slice(begin, count).drop_null(), begin + count
            if its.num_rows == 0:
                continue
            truth = truth_of(model, its)
            measured = measure(model.task, truth, stored_scores(model, its))
            baseline = measure(model.task, truth, stored_baseline(model, its))
            found[step.at.key] = PerformanceRecord(
                period=step.at.key,
                about=step.about.key,
                version=0,
                rows=measured.rows,
                error=measured.of(model.metric),
                baseline_error=baseline.of(model.metric),
                level=training.level,
                figures=json.dumps(measured.values, sort_keys=True),
            )
        return found


@dataclass(frozen=True)
class _Kept:
    """What gates look at of a training: its judged fit, the rows that it was judged on, and what was said of them."""

    judged: Any
    rows: "pa.Table"
    scores: Mapping[Who, Any]
    size: int

    @classmethod
    def read(cls, model: ModelDefinition, file: Path) -> "_Kept":
        import pyarrow as pa

        entry = _read(file)
        scores: dict[Who, Any] = {who: entry[f"scores of {who}"] for who in ("candidate", "baseline")}
        rows = pa.ipc.open_stream(entry["rows"].tobytes()).read_all()
        return cls(_fit(model, entry, "judged"), rows, scores, len(entry["model"]))


@dataclass(frozen=True)
class _Past:
    """What was prepared, as a walk asks for it; see `mlops_assets.monitoring.walk_forward.Past`."""

    model: ModelDefinition
    prepared: Mapping[str, Prepared]
    kept: dict[str, "_Kept"] = field(default_factory=dict)
    said: dict[tuple[str, str], Any] = field(default_factory=dict)

    def trained(self, at: Period) -> CandidateRecord | str:
        return self.prepared[at.key].training

    def judged(
        self, training: CandidateRecord, policy: Policy, champions: Sequence[CandidateRecord]
    ) -> CandidateRecord:
        if policy.gates is None:
            return replace(training, passed=True, verdict="the policy has no gates")
        verdict = self._verdict(training, policy.gates, champions)
        return replace(training, passed=verdict.passed, verdict=verdict.reason, outcomes=verdict.as_json())

    def performance(self, training: CandidateRecord, at: Period) -> PerformanceRecord | None:
        return self.prepared[training.at].performance.get(at.key)

    def _verdict(
        self, training: CandidateRecord, gates: Sequence[Gate], champions: Sequence[CandidateRecord]
    ) -> Verdict:
        # How long a prediction takes is no matter of the past: the machine's load now would decide about it.
        model = replace(self.model, gates=tuple(gate for gate in gates if not isinstance(gate, LatencyGate)))
        kept = self._kept(training)
        truth = truth_of(model, kept.rows)
        scores = dict(kept.scores)
        if champions:
            scores["champion"] = self._said(champions[-1], training)
        before = dict[int, CandidateRecord](enumerate(champions[:-1], start=1) if asks_earlier(model) else ())
        earlier = best_judged(model, model.schema.calendar.at_key(training.at), before)
        judged = JudgedRows(kept.rows, truth, scores)
        facts = Facts(
            model,
            judged,
            {who: measure(model.task, truth, said) for who, said in scores.items()},
            fit=None,
            size=kept.size,
            earlier=figures_of_better(
                model, judged, {number: self._said(before[number], training) for number in earlier}
            ),
        )
        return judge(facts, min_rows=model.min_rows // SHARE_OF_ROWS_TO_JUDGE)

    def _said(self, champion: CandidateRecord, candidate: CandidateRecord) -> Any:
        """What a champion's judged fit says of the rows that a candidate is judged on."""
        if champion.is_baseline:
            return self._kept(candidate).scores["baseline"]
        asked = (champion.at, candidate.at)
        if asked not in self.said:
            rows = feature_frame(self.model, self._kept(candidate).rows)
            self.said[asked] = scores_of_fit(self.model, self._kept(champion).judged, rows)
        return self.said[asked]

    def _kept(self, training: CandidateRecord) -> "_Kept":
        if training.at not in self.kept:
            self.kept[training.at] = _Kept.read(self.model, self.prepared[training.at].kept)
        return self.kept[training.at]


@dataclass(frozen=True)
class Backtest:
    """What came of a backtest.

    Args:
        steps: The periods that were walked through.
        walks: What came of each policy; empty where trainings are left.
        left: How many periods are not prepared yet, for the time was up.
        untrained: Why there was no training at some periods, in words, by key.
    """

    steps: Sequence[Step]
    walks: Sequence[Walk]
    left: int
    untrained: Mapping[str, str]


def run_backtest(
    platform: Platform,
    model: ModelDefinition,
    policies: Sequence[Policy],
    *,
    first: str | None = None,
    last: str | None = None,
    minutes: float | None = None,
    processes: int = 1,
    progress: Progress = untold,
) -> Backtest:
    """Let policies walk through recorded history.

    Args:
        platform: The platform; with several processes, one of which nothing was read yet.
        model: The model.
        policies: Which policies.
        first: Key of the first period to train at; None for the first in which labels become known.
        last: Key of the last period; None for the newest.
        minutes: No further training is begun after so many; what is left is done by the next call.
        processes: How many processes train beside each other; what they find does not depend on it.
        progress: Told of each training.

    Raises:
        DefinitionError: The periods are none of the model's.
        MissingDataError: There are no labels, or in no period could anything be trained.
    """
    until = None if minutes is None else time.monotonic() + minutes * 60
    found = dict[str, Prepared]()
    with _in_processes(_Preparing(platform, model, first, last), processes) as prepared:
        (steps,) = prepared(_steps, [None])
        for one in prepared(_prepare, [step.at for step in steps]):
            found[one.at] = one
            progress(Told(f"backtest of {model.name}", len(found), len(steps), one.at, "trained", minor=True))
            if until is not None and time.monotonic() > until:
                break
    untrained = {key: one.training for key, one in found.items() if isinstance(one.training, str)}
    if len(found) < len(steps):
        return Backtest(steps, (), len(steps) - len(found), untrained)
    if len(untrained) == len(steps):
        raise MissingDataError(
            f"no period from {steps[0].at.key} to {steps[-1].at.key} in which '{model.name}' can be trained",
            "labels and features of some periods before",
            f"look at the last one's reason: {untrained[steps[-1].at.key]}",
        )
    past = _Past(model, found)
    return Backtest(steps, [walk(model, steps, past, policy) for policy in policies], 0, untrained)


_preparing: list[_Preparing] = []
"""In a process that was forked, its part."""


def _steps(preparing: _Preparing, _: None) -> tuple[Step, ...]:
    return preparing.steps


def _prepare(preparing: _Preparing, at: Period) -> Prepared:
    return preparing.prepare(at)


def _do(work: Callable[[_Preparing, Any], T], item: Any) -> T:
    return work(_preparing[0], item)


@contextmanager
def _in_processes(preparing: _Preparing, count: int) -> Iterator[Callable[[Callable[..., Any], Iterable[Any]], Any]]:
    """A ``map`` over so many processes, forked before anything is read: neither DuckDB nor Delta outlives a fork."""
    if count < 2:
        yield lambda work, items: map(partial(work, preparing), items)
        return
    from multiprocessing import get_context

    pool = ProcessPoolExecutor(count, get_context("fork"), _preparing.append, (preparing,))
    try:
        yield lambda work, items: pool.map(partial(_do, work), items)
    finally:
        pool.shutdown(cancel_futures=True)


def _read(file: Path) -> Entry:
    import numpy as np

    entry: Entry = np.load(file, allow_pickle=False)
    return entry


def _text(entry: Entry, name: str) -> str:
    return bytes(entry[name]).decode()


def _fit(model: ModelDefinition, entry: Entry, part: str) -> Any:
    record = json.loads(_text(entry, "record"))
    file = FitFile.from_json(json.loads(record["files"])[part])
    content = file.content if file.form == "skops" else ""
    return read_fit(
        bytes(entry[part]), file.form, trust_of(model), file, content, f"a fit kept in backtests of '{model.name}'"
    )


def _with_moment(record: dict[str, Any]) -> dict[str, Any]:
    return {**record, "trained_at": datetime.fromisoformat(record["trained_at"])}
