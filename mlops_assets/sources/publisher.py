"""The publisher of examples: it plays the outside world, and writes each period's file once it is due."""

import csv
import gzip
import io
from collections.abc import Iterator
from functools import lru_cache
from pathlib import Path

from mlops_assets.errors import ContractError, DefinitionError, PlatformError
from mlops_assets.lakehouse.periods import Period, parse_moment
from mlops_assets.lakehouse.schema import TableSchema
from mlops_assets.lakehouse.write_points import write_point
from mlops_assets.platform import Platform
from mlops_assets.project.definition import SourceDefinition
from mlops_assets.quality.expectations import expected_figures, require_expected
from mlops_assets.sources.csv_files import require_whole_rows
from mlops_assets.sources.files import read_delivery, unpacked
from mlops_assets.sources.landing import landing_file
from mlops_assets.storage.files import write_atomically

_MAX_TEXT_LENGTH = 2**31 - 1


def publish_due(platform: Platform) -> list[Path]:
    """Write every file that is due by the platform clock and was never written.

    Returns:
        The files written, sources in the order of their names, periods in their order.

    Raises:
        ContractError: The file of a source cannot be split; those of all others were written.
    """
    written: list[Path] = []
    faults: list[PlatformError] = []
    for name in sorted(platform.project.sources):
        try:
            written += _publish(platform, name)
        except PlatformError as error:
            faults.append(error)
    if faults:
        raise faults[0]
    return written


def require_published_keeps_contract(platform: Platform, source: SourceDefinition) -> None:
    """See that the file that a source is published from keeps the source's contract; others have none to look at.

    Raises:
        ContractError: It does not; says every check that failed.
    """
    if source.published_from is None or source.max_bad_share:  # else bad rows are put aside, delivery by delivery
        return
    delivered = read_delivery([source.published_from], source.schema, source.name)
    if delivered.wrong:
        raise delivered.refusal(source.name)
    rows = platform.engine.rows(delivered.rows)
    measured = platform.engine.measure(rows, expected_figures(source.schema, ()))
    require_expected(platform.engine, rows, measured, source.schema, source.name, (), last_count=lambda: None)


def _publish(platform: Platform, name: str) -> Iterator[Path]:
    source = platform.project.sources[name]
    if source.published_from is None:
        return
    if source.static:
        file = landing_file(platform, source, None)
        if not file.exists():
            write_atomically(file, _packed(unpacked(source.published_from), file))
            write_point(f"publish {name}")
            yield file
        return
    now = platform.clock.now()
    for key, content in split_by_period(source).items():
        period = source.schema.calendar.at_key(key)
        file = landing_file(platform, source, period)
        if period.end + source.lag <= now and not _is_published(platform, source, period, file, content):
            write_atomically(file, _packed(content, file))
            write_point(f"publish {name}")
            yield file


def _is_published(platform: Platform, source: SourceDefinition, period: Period, file: Path, content: bytes) -> bool:
    """Whether a period's file is out; one that was refused is written anew once what it is published from is mended."""
    if not file.exists():
        return False
    refused = platform.deliveries.of(source.name, period.key)
    return not refused or any(one.accepted for one in refused) or file.read_bytes() == _packed(content, file)


def split_by_period(source: SourceDefinition) -> dict[str, bytes]:
    """The content of each period's file, by period key, from the source's one big file."""
    if source.published_from is None or source.schema.timestamp is None:
        raise DefinitionError(
            f"source '{source.name}' without published_from", "a source with a file to publish from", "declare it"
        )
    seen = source.published_from.stat()
    return _split(source.published_from, source.schema, source.schema.timestamp, (seen.st_mtime_ns, seen.st_size))


@lru_cache(maxsize=8)
def _split(file: Path, schema: TableSchema, timestamp: str, seen: tuple[int, int]) -> dict[str, bytes]:
    """Split a file; ``seen`` only tells the cache that it was replaced."""
    csv.field_size_limit(_MAX_TEXT_LENGTH)
    try:
        text = unpacked(file).decode("utf-8-sig")
        require_whole_rows(text.encode(), schema.columns)
        reader = csv.reader(io.StringIO(text, newline=""), strict=True)
    except UnicodeDecodeError as error:
        raise ContractError(f"{file}, which is not UTF-8 ({error})", "a CSV in UTF-8", "correct the file") from None
    except ValueError as error:
        raise ContractError(f"{file}, in which {error}", "a CSV of whole rows", "correct the file") from None
    header = next(reader, None)
    if header is None or timestamp not in header:
        raise ContractError(f"no column '{timestamp}' in {file}", "a CSV with a header", "correct the file")
    position = header.index(timestamp)
    periods: dict[str, str] = {}
    parts: dict[str, io.StringIO] = {}
    for row in filter(None, reader):
        if len(row) != len(header):
            raise ContractError(
                f"a row of {len(row)} values at line {reader.line_num} of {file}",
                f"{len(header)} values, as in the header",
                "correct the file",
            )
        text = row[position]
        if text not in periods:
            periods[text] = schema.calendar.of(parse_moment(text)).key
        key = periods[text]
        if key not in parts:
            parts[key] = io.StringIO()
            csv.writer(parts[key], lineterminator="\n").writerow(header)
        csv.writer(parts[key], lineterminator="\n").writerow(row)
    return {key: parts[key].getvalue().encode() for key in sorted(parts)}


def _packed(content: bytes, file: Path) -> bytes:
    """Bytes for a file of a name; the same each time, so that no time in them makes a delivery of its own."""
    return gzip.compress(content, mtime=0) if file.suffix == ".gz" else content
