"""A table that is scored on each engine: the same predictions to the last bit, on Spark by the executors."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from mlops_assets.engines.contract import Engine
from mlops_assets.notebook import Project
from mlops_assets_tests.serving.predicting import KEYS, shared_line


@pytest.mark.slow
def test_a_table_is_scored_the_same_on_each_engine(
    engine: Engine, tmp_path_factory: pytest.TempPathFactory, tmp_path: Path
) -> None:
    import pyarrow as pa

    line = shared_line(tmp_path_factory).copy(tmp_path / "line")
    own: Any = getattr(engine, "engine", engine)
    rows = pa.Table.from_pylist([*KEYS, {"shop": "nowhere"}, KEYS[3]])
    scored = Project(replace(line.platform, engine=own)).score_batch("forecast", rows)
    assert scored.rows.equals(Project(line.platform).score_batch("forecast", rows).rows)
    unknown = scored.rows["prediction"].is_null().to_pylist()
    assert unknown == [shop == "nowhere" for shop in rows["shop"].to_pylist()]
