"""Bringing one delivery into the lakehouse: kept as it came, read against its contract, appended as states."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

from mlops_assets.errors import ConflictError, ContractError, MissingDataError
from mlops_assets.lakehouse.deliveries import Delivery
from mlops_assets.lakehouse.masking import told
from mlops_assets.lakehouse.periods import Period
from mlops_assets.lakehouse.pushed import Waiting
from mlops_assets.lakehouse.schema import STATIC_PERIOD
from mlops_assets.platform import Platform
from mlops_assets.project.attributes import Database, Push
from mlops_assets.project.definition import SUFFIXES, Files, SourceDefinition
from mlops_assets.quality.contract import BrokenContractError, CheckOutcome, moments
from mlops_assets.quality.expectations import expected_figures, require_expected
from mlops_assets.sources.appending import StatesToAppend, append, compare, first_known_at
from mlops_assets.sources.databases import read_database
from mlops_assets.sources.delivered import Delivered
from mlops_assets.sources.files import read_delivery
from mlops_assets.sources.landing import landed_files
from mlops_assets.sources.pushed import last_of_each, require_over, write_waiting
from mlops_assets.sources.quarantine import put_aside, quarantined
from mlops_assets.sources.row_faults import BadRows, find_bad_rows
from mlops_assets.sources.statements import covered_periods, stated_later, within

if TYPE_CHECKING:
    import pyarrow as pa


@dataclass(frozen=True)
class Ingested:
    """What one delivery did.

    Args:
        delivery: The delivery, as kept.
        rows: How many rows of it were taken.
        appended: How many states were appended to each period that it touched.
        removed: How many of them are removals.
        put_aside: How many of its rows wait in quarantine.
        held_back: How many rows it lacks that were not removed, because they may be those that were put aside.
        checks: What the contract's checks found.
        stated_later: How many of its good rows were not taken, because a delivery for a later period came before it
            and says what their periods hold.
    """

    delivery: Delivery
    rows: int
    appended: Mapping[str, int]
    removed: int
    put_aside: int
    held_back: int
    checks: tuple[CheckOutcome, ...]
    stated_later: int = 0


def ingest(platform: Platform, source: SourceDefinition, period: Period | None) -> Ingested:
    """Ingest the newest delivery of a period; again without effect, if it was ingested before.

    Of a source that is pushed, all batches that wait for the period are one delivery, in which the later of two rows
    of the same key and time counts; a period that is over without a batch has a delivery without rows.

    Args:
        platform: The platform.
        source: The source.
        period: The period delivered; None for a static table.

    Raises:
        MissingDataError: There is no file, or nothing was pushed and the period is not over.
        UnusableEnvironmentError: The source's database cannot be read.
        ContractError: The delivery breaks its contract or is cut short; the last good state stays as it was.
        ConflictError: Another run ingests the same period at the same time.
    """
    _require_period(source, period)
    if source.delivers in ("window", "snapshot"):
        # One at a time: what is compared must not be stated later, and by another run, before it is appended.
        with platform.deliveries.held(source.name):
            return _ingest(platform, source, period)
    for _ in range(_FURTHER_ATTEMPTS if source.pushed else 0):
        try:
            return _ingest(platform, source, period)
        except ConflictError:
            continue  # another run took what waited, perhaps not all of it
    return _ingest(platform, source, period)


_FURTHER_ATTEMPTS = 2


def _ingest(platform: Platform, source: SourceDefinition, period: Period | None) -> Ingested:
    key = period.key if period else STATIC_PERIOD
    now = platform.clock.note()
    covered = covered_periods(source, period)
    table = platform.table(source.name)
    # Before what waits is read: were it ingested between, and newer rows with it, appending it is a conflict.
    counters = table.delta.counters(table.period_keys(covered))
    waiting = platform.pushed.waiting(source.name, key) if source.pushed else None
    delivery = _keep(platform, source, period, waiting, now)
    delivered = read_kept(platform, source, delivery)
    bad = _sort_out(platform, source, delivered)
    rows = last_of_each(bad.good, source) if source.pushed else bad.good
    own_rows = _count_inside(rows, source, period)
    checks = require_kept_by(platform, source, period, rows)
    require_inside(rows, source, covered)
    if delivery.accepted and (counters[key] or not own_rows):
        # What it restated of other periods may have been restated since: its rows must not come back.
        bad_rows = [row for row in quarantined(platform, source, key) if row.waits and row.delivery == delivery.number]
        _settle(platform, source, key, waiting, now)
        return Ingested(delivery, rows.num_rows, {}, 0, len(bad_rows), 0, tuple(checks))
    later = _stated_since(platform, source, delivery)
    spoken = [period for period in covered if period.key not in later]
    taken = within(rows, source, spoken) if spoken else rows.slice(0, 0) if covered else rows
    difference = compare(platform, source, taken, bad, spoken) if spoken or not covered else None
    first_rows = None if counters[key] or key in later else _count_inside(delivered.rows, source, period)
    if difference:
        require_few_removed(source, difference)
    _require_many_rows(platform, source, period, first_rows)
    put_aside(platform, source, delivery, bad)  # before the rows: none may be in neither place
    corrected_at = delivery.arrived_at if delivery.accepted else now  # accepted before: the table is built anew
    appended: Mapping[str, int] = {}
    if difference:
        appended = append(platform, source, difference, delivery, counters, corrected_at=corrected_at)
    accepted = platform.deliveries.accept(delivery)
    _settle(platform, source, key, waiting, now)
    return Ingested(
        accepted,
        taken.num_rows,
        appended,
        difference.removed if difference else 0,
        len(bad.faults),
        difference.held_back if difference else 0,
        tuple(checks),
        stated_later=rows.num_rows - taken.num_rows,
    )


def _stated_since(platform: Platform, source: SourceDefinition, delivery: Delivery) -> set[str]:
    """The keys of the periods of which the table holds what was stated later than in a delivery.

    Where a table is built anew, the deliveries that came after this one count once they are in it again.
    """
    if source.static or source.delivers not in ("window", "snapshot"):
        return set()

    def counts(other: Delivery) -> bool:
        held = platform.table(source.name).delta.counters([other.period])[other.period]
        return not delivery.accepted or bool(held) or other.arrived_at < delivery.arrived_at

    return stated_later(platform, source, delivery, counts)


def is_correction(source: SourceDefinition, period: Period | None, delivery: Delivery) -> bool:
    """Whether a delivery corrects what had been known of its period; rows pushed before its as_of are its first."""
    if period is not None and source.pushed:
        return delivery.arrived_at > period.end + source.lag
    return delivery.number > 1


def require_kept_by(
    platform: Platform, source: SourceDefinition, period: Period | None, rows: "pa.Table"
) -> list[CheckOutcome]:
    """See that the rows taken of a period's delivery keep the contract and every expectation that blocks.

    Raises:
        ContractError: They do not; says every check that failed.
    """
    given = platform.engine.rows(rows)
    return require_expected(
        platform.engine,
        given,
        platform.engine.measure(given, expected_figures(source.schema, source.expectations)),
        source.schema,
        source.name,
        source.expectations,
        count=_count_inside(rows, source, period),
        last_count=lambda: _last_rows(platform, source, period),
    )


def _keep(
    platform: Platform, source: SourceDefinition, period: Period | None, waiting: Waiting | None, arrived_at: datetime
) -> Delivery:
    """Keep what was delivered for a period: what landed, what the database holds of the periods covered, or what waits.

    Of what is pushed it is the newest delivery again, if nothing waits.
    """
    key = period.key if period else STATIC_PERIOD
    newest = platform.deliveries.newest(source.name, key) if waiting and not waiting.rows else None
    if newest and newest.accepted:
        return newest
    platform.home.scratch.mkdir(parents=True, exist_ok=True)
    with TemporaryDirectory(dir=platform.home.scratch) as name:
        folder, known_at = Path(name), first_known_at(source, period, arrived_at)
        if isinstance(source.origin, Files):
            files = landed_files(platform, source, period)
            suffix = SUFFIXES[source.origin.format] + (".gz" if source.origin.pattern.text.endswith(".gz") else "")
        elif isinstance(source.origin, Database):
            files, suffix = [folder / "read.parquet"], SUFFIXES["parquet"]
            covered = covered_periods(source, period)
            between = (covered[0].start, covered[-1].end) if covered else None
            read_database(source, source.origin, files[0], between=between)
        else:
            assert waiting is not None and period is not None  # for it is pushed
            files = [write_waiting(platform, source, period, waiting, folder)]
            suffix = files[0].suffix
        return platform.deliveries.keep(
            files, source.name, key, suffix=suffix, arrived_at=arrived_at, known_at=known_at
        )


def read_kept(platform: Platform, source: SourceDefinition, delivery: Delivery) -> Delivered:
    """Read a kept delivery against today's contract, see `read_delivery`."""
    escape = source.origin.escape if isinstance(source.origin, Files) else None
    files = platform.deliveries.proven_files(delivery)
    return read_delivery(files, source.schema, source.name, escape=escape)


def _settle(platform: Platform, source: SourceDefinition, key: str, waiting: Waiting | None, now: datetime) -> None:
    if waiting and isinstance(source.origin, Push):
        platform.pushed.settle(source.name, key, waiting.through, known_since=now - source.origin.remember_keys)


def _sort_out(platform: Platform, source: SourceDefinition, delivered: Delivered) -> BadRows:
    """Tell the bad rows of a delivery apart, where the source puts such aside, and they are not too many.

    Raises:
        ContractError: They are, or a value is not of its column's type where nothing may be put aside.
    """
    if not source.max_bad_share:
        if delivered.wrong:
            raise delivered.refusal(source.name)
        return BadRows(delivered, {})
    bad = find_bad_rows(platform.engine, delivered, source.schema)
    count, rows = len(bad.faults), delivered.rows.num_rows
    if count > source.max_bad_share * rows:
        raise BrokenContractError.of(
            bad.outcomes(),
            source.name,
            f"at most {source.max_bad_share:.4g} of the rows to be put aside, and not {count} of {rows}",
            "correct the data, the contract or max_bad_share in YAML; nothing was written",
        )
    return bad


def _require_period(source: SourceDefinition, period: Period | None) -> None:
    if period is None or source.first is None:
        return
    if period < source.first or (source.last is not None and period > source.last):
        raise MissingDataError(
            f"no period {period.key} of source '{source.name}'",
            f"a period from {source.first.key} {f'to {source.last.key}' if source.last else 'on'}",
            "choose one of these, or correct first_period and last_period in YAML",
        )


def require_inside(rows: "pa.Table", source: SourceDefinition, covered: list[Period]) -> None:
    """See that every row lies in a period that its delivery covers.

    Raises:
        ContractError: One does not.
    """
    if not covered:
        return
    first, last = covered[0], covered[-1]
    for moment in moments(rows, source.schema):
        if moment is not None and not first.start <= moment < last.end:
            time = source.schema.column(str(source.schema.timestamp))
            raise ContractError(
                f"a row of {told(time, moment.isoformat())} in the delivery of '{source.name}' for {last.key}",
                f"rows from {first.start.isoformat()} to before {last.end.isoformat()}",
                "put the row into its own period's file, or declare what a delivery holds",
            )


def _count_inside(rows: "pa.Table", source: SourceDefinition, period: Period | None) -> int:
    """How many rows of a delivery lie in its own period."""
    if period is None:
        return int(rows.num_rows)
    return sum(moment is not None and moment >= period.start for moment in moments(rows, source.schema))


def require_few_removed(source: SourceDefinition, difference: StatesToAppend) -> None:
    """Refuse what looks like a file cut short, because too much would be removed.

    Raises:
        ContractError: It would.
    """
    if difference.held and difference.removed > source.max_removed_share * difference.held:
        raise _cut_short(
            source,
            f"a delivery that would remove {difference.removed} of {difference.held} rows",
            difference.removed,
            f"at most {source.max_removed_share:.0%} removed: more is likely a file cut short",
            "ask for the whole file, or raise max_removed_share if so much was really removed",
        )


def _require_many_rows(
    platform: Platform, source: SourceDefinition, period: Period | None, first_rows: int | None
) -> None:
    """Refuse what looks like a file cut short, because it has too few rows against the last period.

    ``first_rows`` is how many rows of its own period a delivery holds; None if the period was delivered before.
    """
    if period is None or first_rows is None or source.delivers == "increment":
        return
    last_rows = _last_rows(platform, source, period)
    if first_rows < source.min_rows_share * last_rows:
        raise _cut_short(
            source,
            f"{first_rows} rows of {period.key} in its first delivery, after {last_rows} rows in "
            f"{source.schema.calendar.shift(period, -1).key}",
            last_rows - first_rows,
            f"at least {source.min_rows_share:.0%} of the last period's: fewer is likely a file cut short",
            "ask for the whole file, or lower min_rows_share if there are really so few",
        )


def _last_rows(platform: Platform, source: SourceDefinition, period: Period | None) -> int:
    """How many rows the period before has, as known now."""
    if period is None:
        return 0
    before = source.schema.calendar.shift(period, -1)
    known = platform.engine.known_at(platform.table(source.name), platform.clock.now(), first=before, last=before)
    return int(known.num_rows)


def _cut_short(source: SourceDefinition, found: str, failures: int, expected: str, cure: str) -> BrokenContractError:
    return BrokenContractError.of([CheckOutcome("delivery_whole", False, found, failures)], source.name, expected, cure)


def require_delivered(platform: Platform, source: SourceDefinition, period: Period) -> None:
    """See that a source was delivered for a period.

    Raises:
        MissingDataError: No delivery of that period was accepted; of a source that is pushed, the period is not over,
            or its publication lag has not passed: what was pushed until then is all there is to wait for.
    """
    if source.pushed:
        require_over(platform, source, period)
        return
    lands = ""
    if isinstance(source.origin, Files):
        lands = f"put {source.origin.pattern.path(period)} into its landing folder, and "
    if not source.static and platform.deliveries.first_accepted(source.name, period.key) is None:
        raise MissingDataError(
            f"no accepted delivery of source '{source.name}' for {period.key}",
            f"a delivered period, from {source.first.key if source.first else 'its first'} on",
            f"{lands}materialize {source.name} for it first",
        )
