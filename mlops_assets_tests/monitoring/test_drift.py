import hashlib
import json
import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from mlops_assets.errors import ContractError, DefinitionError
from mlops_assets.monitoring import drift
from mlops_assets.monitoring.drift import ColumnDrift, DriftReport, drift_report, write_report
from mlops_assets.monitoring.drift_statistics import chance
from mlops_assets.storage.opening import storage_at


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


def _compare(reference: Any, current: Any, **settings: Any) -> DriftReport:
    arguments: dict[str, Any] = {"numbers": ["cost", "units"], "categories": ["region"]} | settings
    return drift_report(reference, current, **arguments)


def _column(report: DriftReport, name: str) -> ColumnDrift:
    return next(column for column in report.columns if column.column == name)


def _drifted(report: DriftReport) -> list[str]:
    return [column.column for column in report.columns if column.drifted]


def _written(json_text: str, html: str | None) -> DriftReport:
    return DriftReport((), 0.0, html is not None, 1, 1, False, json_text, html)


@pytest.mark.slow
def test_an_unchanged_distribution_does_not_drift() -> None:
    report = _compare(_table(5_000, 1), _table(5_000, 2))
    assert _drifted(report) == []
    assert report.drifted_share == 0
    assert not report.dataset_drifted
    assert report.html is None
    assert [column.column for column in report.columns] == ["cost", "region", "units"]


@pytest.mark.slow
def test_a_shifted_column_drifts_and_the_page_needs_nothing_from_outside() -> None:
    report = _compare(_table(5_000, 1), _table(5_000, 2, shift=2.0), drift_share=0.3)
    assert _drifted(report) == ["cost"]
    assert report.drifted_share == pytest.approx(1 / 3)
    assert report.dataset_drifted
    assert report.html is not None
    assert "Value Drift for column cost" in report.html
    for outside in ("<script src", "<link", "@import url", "url(http", "url(//", "<img"):
        assert outside not in report.html.lower()


@pytest.mark.slow
@pytest.mark.parametrize("personal", [{"region"}, {"region", "cost", "units"}])
def test_the_page_draws_nothing_of_personal_columns_which_are_judged_as_all_others(personal: set[str]) -> None:
    reference = _table(500, 1, labels=["north-secret", "south-secret"])
    current = _table(500, 2, shift=2.0, labels=["north-secret", "other-secret"])
    report, drawn = (
        _compare(reference, current, html_on="column", personal=names) for names in (personal, frozenset[str]())
    )
    assert report.html is not None and drawn.html is not None
    assert "other-secret" in drawn.html and "secret" not in report.html + report.json
    assert (report.columns, report.json) == (drawn.columns, drawn.json)
    assert all(f"<td>{name}</td>" in report.html for name in ("region", "cost", "units"))


@pytest.mark.slow
def test_the_page_is_made_for_a_single_column_only_where_that_is_asked_for() -> None:
    reference, current = _table(5_000, 1), _table(5_000, 2, shift=2.0)
    assert _compare(reference, current).html is None
    report = _compare(reference, current, html_on="column")
    assert not report.dataset_drifted
    assert report.html is not None


@pytest.mark.slow
def test_the_verdict_is_evidentlys_and_the_current_data_come_first() -> None:
    """Wasserstein by the reference's deviation is not symmetric, so that swapped sides would show."""
    import numpy
    import pyarrow as pa
    from scipy.stats import wasserstein_distance  # type: ignore[import-untyped]

    random = numpy.random.default_rng(3)
    reference, current = random.normal(0, 1, 3_000), random.normal(0, 4, 2_000)
    report = drift_report(pa.table({"x": reference}), pa.table({"x": current}), numbers=["x"], categories=[])
    expected = wasserstein_distance(reference, current) / numpy.std(reference)
    assert report.columns[0].score == pytest.approx(expected, rel=1e-12)
    assert report.columns[0].method == "Wasserstein distance (normed)"
    assert report.columns[0].threshold == 0.1
    content = json.loads(report.json)
    assert [test["status"] for test in content["tests"]] == ["FAIL"]
    assert report.columns[0].drifted


@pytest.mark.slow
def test_a_column_that_became_all_null_drifts_by_its_null_share_and_costs_no_other_column() -> None:
    reference, current = _table(2_000, 1), _table(2_000, 2)
    for empty in ([None] * 2_000, [float("nan")] * 2_000, [float("inf")] * 2_000):
        report = _compare(reference, _with(current, "cost", empty))
        cost = _column(report, "cost")
        assert (cost.method, cost.score, cost.drifted) == ("null share", 1.0, True)
        assert (cost.reference_null_share, cost.current_null_share) == (0.0, 1.0)
        assert _column(report, "units").method == "Wasserstein distance (normed)"
        assert _drifted(report) == ["cost"]


@pytest.mark.slow
def test_a_column_without_a_reference_is_not_applicable_and_costs_no_other_column() -> None:
    report = _compare(_with(_table(2_000, 1), "region", [None] * 2_000), _table(2_000, 2))
    region = _column(report, "region")
    assert region.method == "not applicable"
    assert region.score != region.score
    assert not region.drifted
    assert region.reference_null_share == 1.0
    assert _column(report, "cost").method == "Wasserstein distance (normed)"


@pytest.mark.slow
def test_all_columns_null_is_drift_with_a_page_that_says_so() -> None:
    import pyarrow as pa

    nothing = pa.nulls(2_000)
    current = pa.table({"cost": nothing, "units": nothing, "region": nothing})
    report = _compare(_table(2_000, 1), current)
    assert report.drifted_share == 1.0
    assert json.loads(report.json) == {"metrics": [], "tests": []}
    assert report.html is not None
    assert report.html.count("<td>null share</td>") == 3


@pytest.mark.slow
@pytest.mark.filterwarnings("error::RuntimeWarning", "error::FutureWarning")
@pytest.mark.parametrize("rows", [500, 5_000])
def test_a_new_category_drifts_without_a_warning(rows: int) -> None:
    report = _compare(_table(rows, 1), _table(rows, 2, labels="abcde"), drift_share=0.1)
    assert "region" in _drifted(report)
    assert report.html is not None
    assert '"e"' in report.html


@pytest.mark.slow
@pytest.mark.filterwarnings("error::RuntimeWarning", "error::FutureWarning")
def test_a_share_of_nulls_that_grew_is_what_drifted_and_a_few_are_none() -> None:
    reference = _table(2_000, 1)
    texts = reference.column("region").to_pylist()
    holes = [None if row % 2 else text for row, text in enumerate(texts)]
    report = _compare(reference, _with(reference, "region", holes), drift_share=0.01, html_on="column")
    region = _column(report, "region")
    assert (region.method, region.drifted, region.current_null_share) == ("null share", True, 0.5)
    assert region.score == pytest.approx(0.46450140)
    assert report.html is not None and "a value" in report.html
    back = _column(_compare(_with(reference, "region", holes), reference), "region")
    assert (back.drifted, back.reference_null_share, back.current_null_share) == (False, 0.5, 0.0)
    for rows, missing, drifted in ((100, 1, False), (100, 15, True), (2_000, 20, False), (2_000, 400, True)):
        numbers = [None if row < missing else float(row) for row in range(rows)]
        part = reference.slice(0, rows)
        whole = _with(part, "cost", [float(row) for row in range(rows)])
        cost = _column(_compare(whole, _with(part, "cost", numbers)), "cost")
        assert (cost.drifted, cost.method == "null share") == (drifted, drifted)
    empty = ["" if text is None else text for text in holes]
    assert _column(_compare(reference, _with(reference, "region", empty)), "region").drifted


@pytest.mark.slow
@pytest.mark.parametrize("rows", [300, 1_500])
def test_the_verdict_does_not_depend_on_the_unit(rows: int) -> None:
    import numpy

    reference, near, far = (_table(rows, seed, shift) for seed, shift in ((1, 0.0), (2, 0.0), (2, 1.0)))
    for unit in (1.0, 2.0**-17, 1e-9, 1e-200, 1e150, 1e300):
        of_unit = [_with(table, "cost", numpy.asarray(table.column("cost")) * unit) for table in (reference, near, far)]
        for measured, same, drifted in ((of_unit[1], near, False), (of_unit[2], far, True)):
            found, one = (_column(_compare(*pair), "cost") for pair in ((of_unit[0], measured), (reference, same)))
            assert (found.method, found.drifted, one.drifted) == (one.method, drifted, drifted)
            assert found.score == pytest.approx(one.score, rel=1e-9)
    # A reference of one number has no deviation: then any other number is far.
    for unit in (1.0, 1e-9):
        constant = _with(reference, "cost", [unit] * rows)
        assert _column(
            _compare(constant, of := _with(near, "cost", [unit * place for place in range(rows)])), "cost"
        ).drifted
        assert not _column(_compare(of, of), "cost").drifted


@pytest.mark.slow
@pytest.mark.parametrize("rows", [500, 2_000])
def test_one_row_of_a_new_level_is_told_in_words_and_is_no_drift(rows: int) -> None:
    for known in ("a", "ab", "abcd", "abcdefgh"):
        reference = _with(_table(rows, 1), "region", [known[row % len(known)] for row in range(rows)])
        for few in (16, 40, 104):
            levels = [known[row % len(known)] for row in range(few)]
            for new, drifted in ((1, False), (few // 2, True)):
                current = _with(_table(few, 2), "region", ["new"] * new + levels[new:])
                region = _column(_compare(reference, current, numbers=[]), "region")
                assert (region.drifted, region.new_levels, region.rows_of_new_levels) == (drifted, 1, new)
    assert region.in_new_levels == "52 rows of 1 new level"
    assert not _column(_compare(reference, reference, numbers=[]), "region").in_new_levels


@pytest.mark.slow
def test_statistics_that_stand_in_are_evidentlys_where_these_hold() -> None:
    import numpy
    from evidently.legacy.calculations import stattests

    reference, current = _table(1_500, 1).to_pandas(), _table(900, 2, shift=0.3, labels="abce").to_pandas()
    for statistic, name, theirs in (
        (drift._distance_of_levels, "region", stattests.jensenshannon_stat_test),
        (drift._distance_of_numbers, "cost", stattests.wasserstein_stat_test),
    ):
        kind = theirs.allowed_feature_types[0]
        expected = theirs.func(reference[name], current[name], kind, 0.1)
        found = statistic(reference[name], current[name])
        assert (pytest.approx(found[0], rel=1e-12), found[1]) == expected
    # By chance alone: how often a permutation of the rows differs as much, counted one by one.
    random, pooled = numpy.random.default_rng(4), numpy.array([0] * 40 + [1] * 25 + [2] * 6 + [3] * 2)
    ours = chance(numpy.array([36, 20, 3, 1]), numpy.array([4, 5, 3, 1]))
    expected_counts = numpy.bincount(pooled) * 13 / 73
    drawn = [numpy.bincount(random.permutation(pooled)[:13], minlength=4) for _ in range(4_000)]
    drawn = [numpy.array([4, 5, 3, 1]), *drawn]
    differs = numpy.array([(((counts - expected_counts) ** 2) / expected_counts).sum() for counts in drawn])
    assert ours == pytest.approx((differs[1:] >= differs[0] - 1e-9).mean(), abs=0.03)
    for few in ([0, 0], [0, 1], [3, 0]):
        assert chance(numpy.array([5, 0]), numpy.array(few)) == 1.0
    assert chance(numpy.array([5] + [0] * 9), numpy.array([0] + [1] * 9)) < 0.01


@pytest.mark.slow
@pytest.mark.filterwarnings("error::RuntimeWarning", "error::FutureWarning")
@pytest.mark.parametrize("rows", [500, 5_000])
def test_a_constant_column_drifts_only_when_its_value_changes(rows: int) -> None:
    reference, current = _table(rows, 1), _table(rows, 2)
    same = _compare(_with(reference, "units", [3.5] * rows), _with(current, "units", [3.5] * rows))
    assert not _column(same, "units").drifted
    other = _compare(_with(reference, "units", [3.5] * rows), _with(current, "units", [4.5] * rows))
    assert _column(other, "units").drifted


@pytest.mark.slow
@pytest.mark.filterwarnings("error::RuntimeWarning", "error::FutureWarning")
def test_a_column_that_evidently_refuses_costs_no_other_column() -> None:
    reference, current = _table(2_000, 1), _table(2_000, 2, shift=2.0)
    report = _compare(_with(reference, "units", [1e17] * 2_000), _with(current, "units", [1e17] * 2_000))
    assert _column(report, "units").method == "not applicable"
    assert _drifted(report) == ["cost"]
    large = [value * 1e300 for value in reference.column("units").to_pylist()]
    assert not _column(_compare(_with(reference, "units", large), _with(current, "units", large)), "units").drifted


@pytest.mark.slow
def test_a_level_written_as_integer_and_as_double_is_one_level() -> None:
    import pyarrow as pa

    levels = [row % 4 for row in range(2_000)]
    reference = _with(_table(2_000, 1), "region", pa.array(levels, pa.int32()))
    current = _with(_table(2_000, 2), "region", pa.array([float(level) for level in levels]))
    assert _column(_compare(reference, current), "region").score == 0


@pytest.mark.slow
def test_integers_booleans_decimals_and_dictionaries_are_measured() -> None:
    from decimal import Decimal

    import pyarrow as pa

    count = 1_200
    table = pa.table(
        {
            "whole": pa.array([row % 50 for row in range(count)], pa.int16()),
            "flag": pa.array([row % 3 == 0 for row in range(count)]),
            "price": pa.array([Decimal(row % 40) / 4 for row in range(count)], pa.decimal128(12, 2)),
            "name": pa.array([f"n{row % 5}" for row in range(count)]).dictionary_encode(),
        }
    )
    report = drift_report(table, table, numbers=["whole", "flag", "price"], categories=["name"])
    assert [column.score for column in report.columns] == [0, 0, 0, 0]


def test_no_row_is_refused_with_what_to_do() -> None:
    with pytest.raises(ContractError) as caught:
        _compare(_table(10, 1), _table(0, 2))
    assert str(caught.value) == (
        "Found: the current data have 0 rows. "
        "Expected: at least one row to compare with the reference. "
        "What to do: find out why nothing was delivered or scored for this partition, and run it again."
    )
    with pytest.raises(ContractError, match="the reference data have 0 rows"):
        _compare(_table(0, 1), _table(10, 2))


def test_no_column_a_missing_column_and_a_wrong_type_are_refused() -> None:
    table = _table(10, 1)
    with pytest.raises(ContractError, match="no column to compare for drift"):
        drift_report(table, table, numbers=[], categories=[])
    with pytest.raises(ContractError, match="the current data have no column region"):
        _compare(table, table.drop_columns(["region"]))
    with pytest.raises(ContractError, match="column 'region' is of type string"):
        _compare(table, table, numbers=["region"], categories=[])


def test_a_column_declared_twice_and_settings_out_of_range_are_refused() -> None:
    table = _table(10, 1)
    with pytest.raises(DefinitionError, match="declared twice for drift: cost"):
        _compare(table, table, categories=["cost"])
    with pytest.raises(DefinitionError, match="above 0 and at most 1"):
        _compare(table, table, drift_share=0.0)
    with pytest.raises(DefinitionError, match="at least one row"):
        _compare(table, table, max_rows=0)


@pytest.mark.slow
def test_at_max_ten_thousand_rows_of_each_side_reach_evidently(monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[list[int]] = []
    run = drift._run

    def counting(frames: Any, names: Any, categories: Any) -> Any:
        seen.append([len(frame) for frame in frames])
        return run(frames, names, categories)

    monkeypatch.setattr(drift, "_run", counting)
    report = _compare(_table(25_000, 1), _table(10_001, 2))
    assert seen == [[10_000, 10_000]]
    assert (report.reference_rows, report.current_rows, report.sampled) == (25_000, 10_001, True)
    assert not _compare(_table(10_000, 1), _table(300, 2)).sampled


def test_a_sample_of_equal_rows_keeps_their_shares() -> None:
    import pyarrow as pa

    table = pa.table({"level": [float(row % 4) for row in range(40_000)]})
    sample = drift._sample(table, 10_000, 0).column("level").to_pylist()
    assert all(2_300 < sample.count(level) < 2_700 for level in (0.0, 1.0, 2.0, 3.0))


@pytest.mark.slow
def test_the_order_of_rows_and_columns_does_not_matter() -> None:
    import numpy

    reference, current = _table(12_000, 1), _table(12_000, 2, shift=2.0, labels="abcde")
    holes = [None if row % 7 == 0 else value for row, value in enumerate(current.column("units").to_pylist())]
    current = _with(current, "units", holes)
    shuffled = current.take(numpy.random.default_rng(9).permutation(12_000))
    first = _compare(reference, current)
    second = drift_report(
        reference.take(list(range(11_999, -1, -1))),
        shuffled.select(["region", "units", "cost"]),
        numbers=["units", "cost"],
        categories=["region"],
    )
    assert first == second


def digests() -> list[str]:
    """Of the JSON and the page of two reports, of few rows and of many."""
    labels = "abcdefghijklmnopqrstuvwxyz"
    reports = [
        _compare(_table(rows, 1, labels=labels), _table(rows, 2, shift=2.0, labels=labels[:20]))
        for rows in (800, 3_000)
    ]
    return [hashlib.sha256(text.encode()).hexdigest() for made in reports for text in (made.json, str(made.html))]


@pytest.mark.slow
def test_two_processes_make_the_same_json_and_page_and_write_nothing_elsewhere(tmp_path: Path) -> None:
    folders = dict.fromkeys(("HOME", "XDG_CONFIG_HOME", "XDG_CACHE_HOME"), str(tmp_path))
    another_seed = "2" if os.environ.get("PYTHONHASHSEED") == "1" else "1"
    ended = subprocess.run(
        [sys.executable, "-c", f"import json; from {__name__} import digests; print(json.dumps(digests()))"],
        cwd=tmp_path,
        env=os.environ | {"PYTHONHASHSEED": another_seed, "PYTHONPATH": str(Path(__file__).parents[2])} | folders,
        capture_output=True,
        text=True,
        check=True,
    )
    assert json.loads(ended.stdout) == digests()
    assert list(tmp_path.iterdir()) == []


@pytest.mark.slow
def test_a_label_cannot_run_as_a_script_in_the_page() -> None:
    reference, current = _table(2_000, 1), _table(2_000, 2)
    attack = "</script><script>alert(1)</script>"
    current = _with(current, "region", [attack if row % 2 else "a" for row in range(2_000)])
    names = [attack if name == "cost" else name for name in current.column_names]
    report = drift_report(
        reference.rename_columns(names),
        current.rename_columns(names),
        numbers=[attack, "units"],
        categories=["region"],
        html_on="column",
    )
    assert report.html is not None
    assert attack not in report.html
    assert "\\u003c/script>\\u003cscript>alert(1)" in report.html


def test_writing_twice_gives_the_same_files_and_writes_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    written: list[str] = []
    monkeypatch.setattr(drift, "write_point", written.append)
    report = _written('{"a": 1}', "<p>drift</p>")
    assert str(write_report(report, storage_at(tmp_path / "deep"))) == str(tmp_path / "deep" / "drift.json")
    before = {file.name: (file.read_bytes(), file.stat().st_mtime_ns) for file in (tmp_path / "deep").iterdir()}
    write_report(report, storage_at(tmp_path / "deep"))
    after = {file.name: (file.read_bytes(), file.stat().st_mtime_ns) for file in (tmp_path / "deep").iterdir()}
    assert before == after
    assert sorted(before) == ["drift.html", "drift.json"]
    assert written == ["drift report", "drift report"]


def test_a_page_from_before_is_removed(tmp_path: Path) -> None:
    write_report(_written("{}", "<p>drift</p>"), storage_at(tmp_path))
    write_report(_written('{"a": 1}', None), storage_at(tmp_path))
    assert [file.name for file in tmp_path.iterdir()] == ["drift.json"]
    assert (tmp_path / "drift.json").read_text() == '{"a": 1}'


def test_killed_at_any_write_leaves_whole_files_of_one_report_and_the_next_run_completes_them(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Killed(BaseException):
        pass

    old, new = _written('{"report": "old"}', "<p>old</p>"), _written('{"report": "new"}', "<p>new</p>")
    for kill_at in (1, 2, 3):
        folder = tmp_path / str(kill_at)
        write_report(old, storage_at(folder))
        points: list[str] = []

        def killing(name: str, points: list[str] = points, kill_at: int = kill_at) -> None:
            points.append(name)
            if len(points) == kill_at:
                raise Killed

        with monkeypatch.context() as patched, pytest.raises(Killed):
            patched.setattr(drift, "write_point", killing)
            write_report(new, storage_at(folder))
        json_text = (folder / "drift.json").read_text()
        assert json_text in (old.json, new.json)
        if (folder / "drift.html").exists():
            page = (folder / "drift.html").read_text()
            assert page == (new.html if json_text == new.json else old.html)
        write_report(new, storage_at(folder))
        assert {file.name: file.read_text() for file in folder.iterdir()} == {
            "drift.json": new.json,
            "drift.html": new.html,
        }


def test_killed_while_writing_leaves_the_old_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_report(_written('{"report": "old"}', None), storage_at(tmp_path))

    def failing(*_: object) -> None:
        raise OSError("no more power")

    with monkeypatch.context() as patched, pytest.raises(OSError, match="no more power"):
        patched.setattr(os, "replace", failing)
        write_report(_written('{"report": "new"}', None), storage_at(tmp_path))
    assert (tmp_path / "drift.json").read_text() == '{"report": "old"}'


def test_loading_the_module_loads_nothing_heavy() -> None:
    program = (
        "import sys, mlops_assets.monitoring.drift; "
        "print([n for n in ('evidently', 'pandas', 'pyarrow', 'numpy', 'dagster') if n in sys.modules])"
    )
    environment = os.environ | {"PYTHONPATH": str(Path(__file__).parents[2])}
    ended = subprocess.run([sys.executable, "-c", program], env=environment, capture_output=True, text=True, check=True)
    assert ended.stdout.strip() == "[]"
