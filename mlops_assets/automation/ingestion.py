"""The sensors of sources: the publisher of examples, and the one that sees deliveries and starts their ingestion."""

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import dagster as dg

from mlops_assets.components.loading import platform_of
from mlops_assets.lakehouse.content_hash import text_hash
from mlops_assets.lakehouse.deliveries import hash_of_contents
from mlops_assets.lakehouse.schema import STATIC_PERIOD
from mlops_assets.project.definition import Database, Files, ProjectDefinition
from mlops_assets.project.platform import Platform
from mlops_assets.sources.due import due_periods, pushed_periods
from mlops_assets.sources.landing import landed_periods
from mlops_assets.sources.publisher import publish_due

SECONDS_BETWEEN_TICKS = 30


@dataclass(frozen=True)
class Arrival:
    """A delivery in a landing folder.

    Args:
        source: The source's name.
        period: Key of its period.
        files: Where it lies.
        sha256: Hash of its bytes, as deliveries are told apart by.
    """

    source: str
    period: str
    files: tuple[Path, ...]
    sha256: str


def arrivals(platform: Platform, known: Mapping[str, str]) -> Iterator[tuple[Arrival, str]]:
    """Every complete delivery in every landing folder whose files are named by one of its source's periods.

    Args:
        platform: The platform.
        known: Fingerprints by source and period from the last look; files whose names, sizes and times are the same
            are not read again.

    Yields:
        The delivery, and its fingerprint.
    """
    for source in platform.project.sources.values():
        if not isinstance(source.origin, Files):
            continue
        for period, files in landed_periods(platform, source):
            key = period.key if period else STATIC_PERIOD
            try:
                stamp = _stamp(files)
                before = known.get(f"{source.name}|{key}", "")
                digest = before.removeprefix(stamp) if before.startswith(stamp) else _hash(files)
            except FileNotFoundError:  # taken away since it was listed
                continue
            yield Arrival(source.name, key, tuple(files), digest), stamp + digest


def publisher_sensor(project: ProjectDefinition) -> dg.SensorDefinition:
    """Writes example files once the clock passes their publication; starts nothing."""

    @dg.sensor(
        name="publisher",
        target=_selection(project),
        minimum_interval_seconds=SECONDS_BETWEEN_TICKS,
        default_status=dg.DefaultSensorStatus.RUNNING,
        description="Plays the outside world for examples: writes a period's file once it is due.",
    )
    def publisher(context: dg.SensorEvaluationContext) -> dg.SkipReason:
        files = publish_due(platform_of(project))
        return dg.SkipReason(f"published {', '.join(file.name for file in files)}" if files else "nothing is due")

    return publisher


def delivery_sensor(project: ProjectDefinition) -> dg.SensorDefinition:
    """Starts the ingestion of what arrived, changed or was pushed, once for each content, and of what is due."""

    @dg.sensor(
        name="deliveries",
        target=_selection(project),
        minimum_interval_seconds=SECONDS_BETWEEN_TICKS,
        default_status=dg.DefaultSensorStatus.RUNNING,
        description="Ingests what arrives in landing folders or was pushed, and what databases hold of due periods.",
    )
    def deliveries(context: dg.SensorEvaluationContext) -> dg.SensorResult:
        platform = platform_of(project)
        known: dict[str, str] = json.loads(context.cursor) if context.cursor else {}
        requests, seen = [], {}
        for arrival, fingerprint in arrivals(platform, known):
            place = f"{arrival.source}|{arrival.period}"
            seen[place] = fingerprint
            if known.get(place, "").endswith(arrival.sha256):
                continue
            # With its number, because a content that comes back after another is a delivery of its own.
            number = platform.deliveries.number_of(arrival.sha256, arrival.source, arrival.period)
            tags = {"mlops/delivery": arrival.sha256[:12]}
            requests.append(_ingestion(arrival.source, arrival.period, f"{number}|{arrival.sha256}", tags))
        for source in platform.project.sources.values():
            if isinstance(source.origin, Database):
                due, seen[source.name] = due_periods(platform, source, source.origin, known.get(source.name))
                asked = platform.clock.now().isoformat()
                requests += [_ingestion(source.name, key, asked, {}) for key in due]
            elif source.pushed:
                numbers, seen[source.name] = pushed_periods(platform, source, known.get(source.name))
                asked = platform.clock.now().isoformat()
                requests += [_ingestion(source.name, key, f"{number}|{asked}", {}) for key, number in numbers.items()]
        if not requests:
            return dg.SensorResult(skip_reason="no file arrived or changed, no period is due", cursor=json.dumps(seen))
        return dg.SensorResult(run_requests=requests, cursor=json.dumps(seen))

    return deliveries


def _selection(project: ProjectDefinition) -> dg.AssetSelection:
    return dg.AssetSelection.assets(*(dg.AssetKey(name) for name in project.sources))


def _ingestion(source: str, period: str, reason: str, tags: Mapping[str, str]) -> dg.RunRequest:
    return dg.RunRequest(
        run_key=f"{source}|{period}|{reason}",
        partition_key=None if period == STATIC_PERIOD else period,
        asset_selection=[dg.AssetKey(source)],
        tags=dict(tags),
    )


def _stamp(files: Sequence[Path]) -> str:
    statuses = [(file, file.stat()) for file in files]
    return text_hash(*(f"{file.name} {status.st_size} {status.st_mtime_ns}" for file, status in statuses))[:16] + " "


def _hash(files: Sequence[Path]) -> str:
    return hash_of_contents(file.read_bytes() for file in files)
