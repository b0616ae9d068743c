"""Evidently's page: the same for the same rows, safe, and of use beside our verdict."""

import hashlib
import json
import os
import re
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from mlops_assets.monitoring import evidently_report
from mlops_assets.monitoring.evidently_report import evidently_page

pytestmark = pytest.mark.slow


def _table(rows: int, seed: int, shift: float = 0.0, labels: Sequence[str] = "abcd") -> Any:
    import numpy
    import pyarrow as pa

    random = numpy.random.default_rng(seed)
    return pa.table(
        {
            "cost": random.normal(10 + shift, 2, rows),
            "units": random.normal(0, 1, rows),
            "region": pa.array(random.choice(list(labels), rows)),
        }
    )


def _with(table: Any, name: str, values: Any) -> Any:
    import pyarrow as pa

    column = values if isinstance(values, pa.Array) else pa.array(values)
    return table.set_column(table.column_names.index(name), name, column)


def _page(reference: Any, current: Any, **settings: Any) -> str:
    named = {"numbers": ["cost", "units"], "categories": ["region"], "personal": ()}
    told = {"title": "forecast, version 2", "verdict": "beyond the bar of 3", "beyond": ["cost"]}
    return evidently_page(reference, current, **{**named, **told, **settings})


def _rows(page: str) -> dict[str, list[str]]:
    found = re.findall(r"<tr><td>(.*?)</td>(.*?)</tr>", page)
    return {name: re.findall(r"<td>(.*?)</td>", cells) for name, cells in found}


def test_the_page_tells_both_verdicts_and_why_they_differ_and_needs_nothing_from_outside() -> None:
    page = _page(_table(2_000, 1), _table(2_000, 2, shift=2.0), beyond=["units"])
    told = _rows(page)
    assert "<h1>forecast, version 2</h1><p>beyond the bar of 3</p>" in page
    assert told["cost"][:2] == ["as usual", "drifted"] and told["cost"][3].startswith("Evidently compares rows")
    assert told["units"][:2] == ["drifted", "as usual"] and told["units"][3].startswith("as a distribution it is near")
    assert told["region"] == ["as usual", "as usual", told["region"][2], ""]
    for outside in ("<script src", "<link", "@import url", "url(http", "url(//", "<img"):
        assert outside not in page.lower()


@pytest.mark.parametrize("personal", [{"region"}, {"cost", "units", "region"}])
def test_the_page_shows_nothing_of_personal_columns_but_our_verdict(personal: set[str]) -> None:
    current = _with(_table(400, 2), "region", ["canary-value"] * 400)
    page = _page(_table(400, 1), current, personal=personal)
    assert "canary-value" not in page
    assert _rows(page)["region"] == ["as usual", "", "not told", ""]
    assert len(_rows(page)) == 3


def test_columns_that_evidently_cannot_measure_cost_no_other_column() -> None:
    current = _with(_table(300, 2), "units", [None] * 300)
    refused = _with(_table(300, 1), "cost", [1e17] * 300), _with(current, "cost", [1e17] * 300)
    told = _rows(_page(*refused))
    assert told["units"][2] == "not told"
    assert told["region"][2].startswith("chi-square")


def test_the_order_of_rows_and_columns_does_not_matter_and_equal_rows_keep_their_shares() -> None:
    import numpy
    import pyarrow as pa

    reference, current = _table(12_000, 1), _table(12_000, 2, shift=2.0, labels="abcde")
    shuffled = current.take(numpy.random.default_rng(9).permutation(12_000)).select(["region", "units", "cost"])
    assert _page(reference, current) == _page(reference.take(list(range(11_999, -1, -1))), shuffled)
    levels = pa.table({"level": [float(row % 4) for row in range(40_000)]})
    sample = evidently_report._sample(levels, ["level"])["level"].tolist()
    assert len(sample) == evidently_report.MAX_ROWS
    assert all(2_300 < sample.count(level) < 2_700 for level in (0.0, 1.0, 2.0, 3.0))


def digest() -> str:
    labels = "abcdefghijklmnopqrstuvwxyz"
    page = _page(_table(800, 1, labels=labels), _table(800, 2, shift=2.0, labels=labels[:20]))
    return hashlib.sha256(page.encode()).hexdigest()


def test_two_processes_make_the_same_page_and_write_nothing_elsewhere(tmp_path: Path) -> None:
    folders = dict.fromkeys(("HOME", "XDG_CONFIG_HOME", "XDG_CACHE_HOME"), str(tmp_path))
    another_seed = "2" if os.environ.get("PYTHONHASHSEED") == "1" else "1"
    ended = subprocess.run(
        [sys.executable, "-c", f"import json; from {__name__} import digest; print(json.dumps(digest()))"],
        cwd=tmp_path,
        env=os.environ | {"PYTHONHASHSEED": another_seed, "PYTHONPATH": str(Path(__file__).parents[2])} | folders,
        capture_output=True,
        text=True,
        check=True,
    )
    assert json.loads(ended.stdout) == digest()
    assert list(tmp_path.iterdir()) == []


def test_a_label_cannot_run_as_a_script_in_the_page() -> None:
    attack = "</script><script>alert(1)</script>"
    current = _with(_table(2_000, 2), "region", [attack if row % 2 else "a" for row in range(2_000)])
    names = [attack if name == "cost" else name for name in current.column_names]
    page = _page(
        _table(2_000, 1).rename_columns(names),
        current.rename_columns(names),
        numbers=[attack, "units"],
        title=attack,
        verdict=attack,
    )
    assert attack not in page
    assert "\\u003c/script>\\u003cscript>alert(1)" in page


def test_loading_the_module_loads_nothing_heavy() -> None:
    heavy = "[name for name in ('evidently', 'numpy', 'pandas') if name in sys.modules]"
    code = f"import sys, {evidently_report.__name__}; print({heavy})"
    ended = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert ended.stdout.strip() == "[]"
