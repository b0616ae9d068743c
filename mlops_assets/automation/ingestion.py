"""The sensors of sources: the publisher of examples, and the one that sees deliveries and starts their ingestion."""

import hashlib
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import dagster as dg

from mlops_assets.components.loading import platform_of
from mlops_assets.errors import DefinitionError
from mlops_assets.lakehouse.schema import STATIC_PERIOD
from mlops_assets.project.definition import ProjectDefinition, SourceDefinition
from mlops_assets.project.platform import Platform
from mlops_assets.sources.ingest import landing_folder
from mlops_assets.sources.publisher import publish_due

SECONDS_BETWEEN_TICKS = 30


@dataclass(frozen=True)
class Arrival:
    """A file in a landing folder.

    Args:
        source: The source's name.
        period: Key of its period.
        file: Where it lies.
        sha256: Hash of its bytes.
    """

    source: str
    period: str
    file: Path
    sha256: str


def arrivals(platform: Platform, known: Mapping[str, str]) -> Iterator[tuple[Arrival, str]]:
    """Every file in every landing folder whose name is one of its source's periods, with its fingerprint.

    Args:
        platform: The platform.
        known: Fingerprints by path from the last look; a file whose size and time are the same is not read again.
    """
    for source in platform.project.sources.values():
        for file in sorted(landing_folder(platform, source).glob("*.csv")):
            if not _is_period(source, file.stem):
                continue
            status = file.stat()
            stamp = f"{status.st_size} {status.st_mtime_ns} "
            before = known.get(str(file), "")
            digest = before[len(stamp) :] if before.startswith(stamp) else _sha256(file)
            yield Arrival(source.name, file.stem, file, digest), stamp + digest


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
    """Starts the ingestion of each file that arrived or changed, once for each content."""

    @dg.sensor(
        name="deliveries",
        target=_selection(project),
        minimum_interval_seconds=SECONDS_BETWEEN_TICKS,
        default_status=dg.DefaultSensorStatus.RUNNING,
        description="Ingests every delivery that arrives in a landing folder.",
    )
    def deliveries(context: dg.SensorEvaluationContext) -> dg.SensorResult:
        platform = platform_of(project)
        known: dict[str, str] = json.loads(context.cursor) if context.cursor else {}
        requests, seen = [], {}
        for arrival, fingerprint in arrivals(platform, known):
            seen[str(arrival.file)] = fingerprint
            if known.get(str(arrival.file), "").endswith(arrival.sha256):
                continue
            # With its number, because a content that comes back after another is a delivery of its own.
            number = platform.deliveries.number_of(arrival.sha256, arrival.source, arrival.period)
            requests.append(
                dg.RunRequest(
                    run_key=f"{arrival.source}|{arrival.period}|{number}|{arrival.sha256}",
                    partition_key=None if arrival.period == STATIC_PERIOD else arrival.period,
                    asset_selection=[dg.AssetKey(arrival.source)],
                    tags={"mlops/delivery": arrival.sha256[:12]},
                )
            )
        if not requests:
            return dg.SensorResult(skip_reason="no file arrived or changed", cursor=json.dumps(seen))
        return dg.SensorResult(run_requests=requests, cursor=json.dumps(seen))

    return deliveries


def _selection(project: ProjectDefinition) -> dg.AssetSelection:
    return dg.AssetSelection.assets(*(dg.AssetKey(name) for name in project.sources))


def _is_period(source: SourceDefinition, name: str) -> bool:
    if source.static:
        return name == STATIC_PERIOD
    try:
        period = source.schema.calendar.at_key(name)
    except DefinitionError:
        return False
    first, last = source.first, source.last
    return (first is None or period >= first) and (last is None or period <= last)


def _sha256(file: Path) -> str:
    return hashlib.sha256(file.read_bytes()).hexdigest()
