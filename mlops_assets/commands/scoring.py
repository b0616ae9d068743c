"""``mlops-assets models score``: predictions for a file."""

from collections.abc import Callable, Mapping
from io import BytesIO
from pathlib import Path
from typing import TYPE_CHECKING

import click

from mlops_assets.commands.one_message import in_one_message
from mlops_assets.commands.opening import open_platform
from mlops_assets.commands.progress import shown_progress
from mlops_assets.errors import ContractError
from mlops_assets.progress import Step

if TYPE_CHECKING:
    import pyarrow as pa


@click.command()
@click.argument("model")
@click.argument("file", type=click.Path(path_type=Path))
@click.option("--out", type=click.Path(path_type=Path), help="Where to write: .csv, .jsonl or .parquet; without, CSV.")
@click.option("--version", type=int, help="Which version predicts; by default the one that serves.")
@click.option("--timestamp", help="The column with each row's time; without, features are as known now.")
@click.pass_obj
@in_one_message
def score(folder: Path, model: str, file: Path, out: Path | None, version: int | None, timestamp: str | None) -> None:
    """Predict by MODEL for each row of FILE (CSV, JSON lines or Parquet), in its order.

    FILE has the keys and what comes with a request; features that are in it are not looked up. With the columns anchor
    and as_of, features are as known at each row's own time.
    """
    from mlops_assets.models.batch import columns_to_score
    from mlops_assets.notebook import Project
    from mlops_assets.sources.files import read_rows
    from mlops_assets.storage.files import write_atomically

    write = _WRITERS.get(out.suffix if out else ".csv")
    if write is None:
        raise ContractError(f"a file {out} to write", f"one of: *{', *'.join(_WRITERS)}", "name it so")
    platform = open_platform(folder)
    with shown_progress() as progress:
        progress(Step("score", 0, 3, words=f"reading {file.name}", minor=True))
        rows = read_rows(file, list(columns_to_score(platform.project.model(model)).values()))
        progress(Step("score", 1, 3, words=f"predicting {rows.num_rows} rows", minor=True))
        scored = Project(platform).score_batch(model, rows, version=version, timestamp=timestamp)
        progress(Step("score", 2, 3, words="writing", minor=True))
        content = write(scored.rows)
        progress(Step("score", 3, 3, minor=True))
    if out is None:
        click.echo(content, nl=False)
        return
    write_atomically(out, content)
    click.echo(f"{out}: {scored.rows.num_rows} rows by version {scored.version} of {model}")


def _csv(rows: "pa.Table") -> bytes:
    import pyarrow.csv as pcsv

    stream = BytesIO()
    pcsv.write_csv(rows, stream)
    return stream.getvalue()


def _json_lines(rows: "pa.Table") -> bytes:
    from mlops_assets.serving.values import to_json

    return b"".join(to_json(row) + b"\n" for row in rows.to_pylist())


def _parquet(rows: "pa.Table") -> bytes:
    import pyarrow.parquet as pq

    stream = BytesIO()
    pq.write_table(rows, stream)
    return stream.getvalue()


_WRITERS: Mapping[str, Callable[["pa.Table"], bytes]] = {".csv": _csv, ".jsonl": _json_lines, ".parquet": _parquet}
