"""The sensors of sources: the publisher of examples, and the one that sees deliveries and starts their ingestion."""

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import dagster as dg

from mlops_assets.automation.sensors import sensor_of
from mlops_assets.errors import PlatformError
from mlops_assets.lakehouse.content_hash import text_hash
from mlops_assets.lakehouse.deliveries import hash_of_contents
from mlops_assets.lakehouse.schema import STATIC_PERIOD
from mlops_assets.platform import Platform
from mlops_assets.project.attributes import Database
from mlops_assets.project.definition import Files, ProjectDefinition, SourceDefinition
from mlops_assets.sources.due import due_periods, pushed_periods
from mlops_assets.sources.landing import landed_periods, passed_over_in_words
from mlops_assets.sources.publisher import publish_due


@dataclass(frozen=True)
class Arrival:
    """A delivery in a landing folder.

    Args:
        period: Key of its period.
        files: Where it lies.
        sha256: Hash of its bytes, as deliveries are told apart by.
    """

    period: str
    files: tuple[Path, ...]
    sha256: str


def arrivals(platform: Platform, source: SourceDefinition, known: Mapping[str, str]) -> Iterator[tuple[Arrival, str]]:
    """Every complete delivery in a source's landing folder whose files are named by one of its periods.

    Args:
        platform: The platform.
        source: A source of files.
        known: Fingerprints by source and period from the last look; files whose names, sizes and times are the same
            are not read again.

    Yields:
        The delivery, and its fingerprint.
    """
    for period, files in landed_periods(platform, source):
        key = period.key if period else STATIC_PERIOD
        try:
            stamp = _stamp(files)
            before = known.get(f"{source.name}|{key}", "")
            digest = before.removeprefix(stamp) if before.startswith(stamp) else _hash(files)
        except FileNotFoundError:  # taken away since it was listed
            continue
        yield Arrival(key, tuple(files), digest), stamp + digest


def publisher_sensor(project: ProjectDefinition) -> dg.SensorDefinition:
    """Writes example files once the clock passes their publication; starts nothing."""

    def look(context: dg.SensorEvaluationContext, platform: Platform) -> dg.SkipReason:
        try:
            files = publish_due(platform)
        except PlatformError as error:
            context.log.error(str(error))
            return dg.SkipReason(str(error))
        return dg.SkipReason(f"published {', '.join(file.name for file in files)}" if files else "nothing is due")

    return sensor_of(
        project,
        look,
        name="publisher",
        description="Plays the outside world for examples: writes a period's file once it is due.",
        assets=map(dg.AssetKey, project.sources),
    )


def delivery_sensor(project: ProjectDefinition) -> dg.SensorDefinition:
    """Starts the ingestion of what arrived, changed or was pushed, once for each content, and of what is due."""

    def look(context: dg.SensorEvaluationContext, platform: Platform) -> dg.SensorResult:
        known: dict[str, str] = json.loads(context.cursor) if context.cursor else {}
        requests, faults, unread = list[dg.RunRequest](), list[str](), list[str]()
        seen: dict[str, str] = {}
        for source in platform.project.sources.values():
            try:
                asked, remembered = _look(platform, source, known)
                unread += filter(None, [passed_over_in_words(platform, source)])
            except (PlatformError, OSError) as error:  # of one source; the others are looked at all the same
                context.log.error(f"{source.name}: {error}")
                faults.append(f"{source.name}: {error}")
                asked, remembered = [], {place: stamp for place, stamp in known.items() if _is_of(source, place)}
            requests += asked
            seen |= remembered
        if not requests:
            words = "\n".join([*(faults or ["no file arrived or changed, no period is due"]), *unread])
            return dg.SensorResult(skip_reason=words, cursor=json.dumps(seen))
        for words in unread:
            context.log.warning(words)
        return dg.SensorResult(run_requests=requests, cursor=json.dumps(seen))

    return sensor_of(
        project,
        look,
        name="deliveries",
        description="Ingests what arrives in landing folders or was pushed, and what databases hold of due periods.",
        assets=map(dg.AssetKey, project.sources),
    )


def _look(
    platform: Platform, source: SourceDefinition, known: Mapping[str, str]
) -> tuple[list[dg.RunRequest], dict[str, str]]:
    """What is to be ingested of a source, and what to remember of it."""
    asked = platform.clock.now().isoformat()
    if isinstance(source.origin, Database):
        due, remembered = due_periods(platform, source, source.origin, known.get(source.name))
        return [_ingestion(source.name, key, asked, {}) for key in due], {source.name: remembered}
    if source.pushed:
        numbers, remembered = pushed_periods(platform, source, known.get(source.name))
        requests = [_ingestion(source.name, key, f"{number}|{asked}", {}) for key, number in numbers.items()]
        return requests, {source.name: remembered}
    requests, seen = [], {}
    calendar, now = source.schema.calendar, platform.clock.now()
    for arrival, fingerprint in arrivals(platform, source, known):
        if not source.static and calendar.at_key(arrival.period).end > now:
            continue  # it came before its period is over, and has no partition yet
        place = f"{source.name}|{arrival.period}"
        seen[place] = fingerprint
        if known.get(place, "").endswith(arrival.sha256):
            continue
        # With its number, because a content that comes back after another is a delivery of its own.
        number = platform.deliveries.number_of(arrival.sha256, source.name, arrival.period)
        tags = {"mlops/delivery": arrival.sha256[:12]}
        requests.append(_ingestion(source.name, arrival.period, f"{number}|{arrival.sha256}", tags))
    return requests, seen


def waits_for_ingestion(platform: Platform, source: SourceDefinition) -> set[str]:
    """The keys of the periods of a source for which something came that was not ingested, or that are due."""
    requests, _ = _look(platform, source, {})
    keys = {request.partition_key or STATIC_PERIOD: request.run_key or "" for request in requests}
    if isinstance(source.origin, Files):
        newest = {key: platform.deliveries.of(source.name, key)[-1:] for key in keys}
        return {
            key
            for key, why in keys.items()
            if not any(why.endswith(one.sha256) and one.accepted for one in newest[key])
        }
    return set(keys)


def _is_of(source: SourceDefinition, place: str) -> bool:
    return place.partition("|")[0] == source.name


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
