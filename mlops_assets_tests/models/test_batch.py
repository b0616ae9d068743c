"""Scoring a table of one's own: each row in its place, with features of its time, as over HTTP and as in batch."""

from collections.abc import Callable
from dataclasses import replace
from datetime import date
from pathlib import Path
from typing import Any

import pytest

from mlops_assets.errors import ContractError, DefinitionError, MissingDataError, PlatformError
from mlops_assets.lakehouse.records import write_new_record
from mlops_assets.models.records import TransitionRecord, transitions
from mlops_assets.notebook import Predictions, Project
from mlops_assets_tests.local_paths import path_of
from mlops_assets_tests.serving.predicting import KEYS, serving, shared_line
from mlops_assets_tests.small_line import Line

pytestmark = pytest.mark.slow
LOOKED_UP = ("crowd", "level", "region", "twice", "northern", "per_asked")


@pytest.fixture(scope="module")
def line(tmp_path_factory: pytest.TempPathFactory) -> Line:
    return shared_line(tmp_path_factory).copy(tmp_path_factory.mktemp("batch") / "line")


def table(rows: list[dict[str, Any]]) -> Any:
    import pyarrow as pa

    return pa.Table.from_pylist(rows)


def score(line: Line, rows: Any, **how: Any) -> Predictions:
    return Project(line.platform).score_batch("forecast", rows, **how)


def test_without_times_it_is_the_answer_over_http(line: Line) -> None:
    scored = score(line, table(KEYS))
    with serving(line) as client:
        answer = client.post("/v1/models/forecast/predict", json={"rows": KEYS}).json()
    for name in ("prediction", "lower", "upper"):
        assert scored.rows[name].to_pylist() == [row[name] for row in answer["rows"]]
    assert (scored.version, scored.rows["version"].to_pylist()) == (2, [2] * len(KEYS))
    assert set(scored.rows["as_of"].to_pylist()) == {line.platform.clock.now()}
    assert len(set(scored.rows["prediction"].to_pylist())) == len(KEYS)
    assert [number for number, value in enumerate(scored.rows["per_asked"].to_pylist()) if value is None] == [0]
    assert {read.table.name for read in scored.reads} == {"trend", "shops"}


def test_each_row_comes_back_once_in_its_place_whatever_stands_beside_it(line: Line) -> None:
    whole = score(line, table(KEYS)).rows.to_pylist()
    asked = [KEYS[3], {"shop": "nowhere", "sister": None, "asked": None}, KEYS[0], KEYS[3]]
    rows = [{**row, "number": number} for number, row in enumerate(asked)]
    scored = score(line, table(rows)).rows.to_pylist()
    assert [row.pop("number") for row in scored] == [0, 1, 2, 3]
    assert [scored[0], scored[2], scored[3]] == [whole[3], whole[0], whole[3]]
    assert (scored[1]["level"], scored[1]["region"], scored[1]["prediction"]) == (None, None, None)
    assert score(line, table(rows).slice(0, 0)).rows.schema == score(line, table(rows)).rows.schema


def test_an_unknown_key_is_answered_as_the_model_says_in_tables_and_over_http(line: Line, tmp_path: Path) -> None:
    from mlops_assets.project.definition import ModelDefinition

    unknown = [{**KEYS[0], "shop": "nowhere"}, {**KEYS[1], "shop": None}]  # their sister is known
    rows = [KEYS[2], *unknown]
    given = score(line, table(unknown)).rows.select(["shop", "sister", "asked", *LOOKED_UP])
    assert score(line, given).rows["prediction"].null_count == 0, "who brings features knows something"
    models: dict[str, ModelDefinition] = {}
    for choice in ("predict", "null", "refuse"):
        other = line.copy(tmp_path / choice)
        other.files.change("forecast/defs.yaml", "  baseline:", f"  unknown_keys: {choice!r}\n  baseline:")
        models[choice] = other.open().model
        with serving(other) as client:
            answer = client.post("/v1/models/forecast/predict", json={"rows": rows})
        if choice == "refuse":
            assert (answer.status_code, answer.json()["found"]) == (
                422, "rows[1] and 1 more of keys that nothing is known of"
            )  # fmt: skip
            with pytest.raises(ContractError) as refused:
                score(other, table(rows))
            assert refused.value.found == "2 of 3 rows of keys that nothing is known of"
            assert refused.value.expected == "keys with a row in one of: trend, shops"
            continue
        scored = score(other, table(rows)).rows["prediction"].to_pylist()
        assert [row["prediction"] for row in answer.json()["rows"]] == scored
        assert [value is None for value in scored] == ([False] * 3 if choice == "predict" else [False, True, True])
        assert [row["found"]["trend"] is None for row in answer.json()["rows"]] == [False, True, True]
    assert len({model.generation for model in models.values()}) == 1
    assert models["null"].known_columns == {0: "found 0", 1: "found 1"}


def test_a_frame_of_pandas_comes_back_as_it_was_with_columns_more(line: Line) -> None:
    frame = table(KEYS).to_pandas().set_index("asked", drop=False).rename_axis("place")
    scored = score(line, frame)
    back = scored.to_pandas()
    assert back[list(frame.columns)].equals(frame)
    assert tuple(back.columns[len(frame.columns) :]) == scored.added
    assert set(scored.added) == {*LOOKED_UP, "prediction", "lower", "upper", "version", "feature_versions", "as_of"}
    assert back["prediction"].tolist() == score(line, table(KEYS)).rows["prediction"].to_pylist()


def test_a_feature_that_is_given_is_not_looked_up(line: Line) -> None:
    import json

    looked_up = score(line, table(KEYS))
    given = looked_up.rows.drop_columns([name for name in looked_up.added if name not in LOOKED_UP])
    again = score(line, given.drop_columns(["shop"]))  # no key is needed where nothing is looked up
    assert again.rows["prediction"].equals(looked_up.rows["prediction"])
    assert (set(again.rows["feature_versions"].to_pylist()), again.reads) == ({"{}"}, ())
    crowd = looked_up.rows["crowd"]
    changed = score(line, table(KEYS).append_column("level", crowd).append_column("crowd", crowd)).rows
    assert changed["twice"].to_pylist() == [2 * value for value in crowd.to_pylist()]
    assert set(json.loads(changed["feature_versions"][0].as_py())) == {"shops"}
    assert not changed["prediction"].equals(looked_up.rows["prediction"])


def test_times_of_the_rows_are_those_of_a_training_set(line: Line) -> None:
    day = line.period("2024-01-12")
    rows = [{**row, "anchor": day.anchor, "as_of": line.platform.model_as_of(line.model, day)} for row in KEYS]
    scored = score(line, table(rows), version=1).rows.to_pylist()
    trend = line.known("trend", rows[0]["as_of"], "level")
    assert [row["level"] for row in scored] == [trend[row["shop"], day.key] for row in KEYS]
    assert {row["as_of"] for row in scored} == {rows[0]["as_of"]}
    assert {row["version"] for row in scored} == {1}
    # What is known of a day is known two days after its end.
    earlier = score(line, table([{**row, "at": day.start} for row in KEYS]), timestamp="at").rows.to_pylist()
    assert [row["level"] for row in earlier] == [trend[row["shop"], "2024-01-09"] for row in KEYS]


def without(name: str) -> list[dict[str, Any]]:
    return [{key: value for key, value in row.items() if key != name} for row in KEYS]


def with_one(name: str, value: Any) -> list[dict[str, Any]]:
    return [{**row, name: value} for row in KEYS]


@pytest.mark.parametrize(
    ("rows", "how", "kind", "found", "cure"),
    [
        (without("shop"), {}, DefinitionError, "rows without the column 'shop'", "add the column (a pandas index"),
        (without("asked"), {}, DefinitionError, "rows without the column 'asked', which comes with each request for "
         "'forecast'", "add it; null where it is not known"),
        (with_one("asked", "many"), {}, DefinitionError, "column 'asked' of type string", "cast the column"),
        (with_one("level", "high"), {}, DefinitionError, "column 'level' of type string", "cast the column"),
        (with_one("version", 7), {}, DefinitionError, "a column 'version' of the rows, named as one of the answer",
         "rename the column, or leave it out"),
        (with_one("day", date(2024, 1, 12)), {}, DefinitionError, "rows with a column 'day', and nothing that says",
         "name it as timestamp; or leave the column out, for features as known now"),
        (KEYS, {"timestamp": "dya"}, DefinitionError, "rows without the column 'dya'", "add the column"),
        (KEYS, {"version": 9}, MissingDataError, "no version 9 of 'forecast'", "look with mlops-assets models show"),
        (KEYS, {"version": 0}, MissingDataError, "no version 0 of 'forecast'", "look with mlops-assets models show"),
    ],
)  # fmt: skip
def test_what_cannot_be_scored_is_refused_with_a_cure(
    line: Line, rows: list[dict[str, Any]], how: dict[str, Any], kind: type[PlatformError], found: str, cure: str
) -> None:
    with pytest.raises(kind) as refused:
        score(line, table(rows), **how)
    assert refused.value.found.startswith(found)
    assert refused.value.cure.startswith(cure)


def delete_first(line: Line) -> None:
    number = len(transitions(line.platform, line.model)) + 1
    record = TransitionRecord(number, 1, "deletion", line.platform.clock.now(), "a test", "to see it gone")
    write_new_record(line.platform.records(line.model, "transition"), record)


def change_model(line: Line) -> None:
    line.files.change("forecast/defs.yaml", "lookback: 30 days", "lookback: 20 days")
    line.open()


def serve_nothing(line: Line) -> None:
    path_of(line.platform.records(line.model, "transition").delta.folder).rename(line.folder / "transitions")


@pytest.mark.parametrize(
    ("change", "version", "kind", "found"),
    [
        (delete_first, 1, ContractError, "version 1 of 'forecast' was deleted"),
        (change_model, None, ContractError, "version 2 of 'forecast' was trained on other definitions, and the"),
        (serve_nothing, None, MissingDataError, "no version of 'forecast' that serves"),
    ],
)
def test_a_version_that_may_not_score_is_refused(
    line: Line, tmp_path: Path, change: Callable[[Line], None], version: int | None, kind: type[PlatformError],
    found: str,
) -> None:  # fmt: skip
    copy = line.copy(tmp_path / "line")
    change(copy)
    with pytest.raises(kind) as refused:
        score(copy, table(KEYS), version=version)
    assert refused.value.found.startswith(found)


@pytest.mark.parametrize(("sensitivity", "words"), [("internal", ": "), ("personal", " (its words may quote")])
def test_an_estimator_that_fails_is_named_with_its_words_unless_they_may_be_personal(
    line: Line, sensitivity: Any, words: str
) -> None:
    from mlops_assets.models.predictor import Predictor

    features = score(line, table(KEYS)).rows
    columns = tuple(replace(column, sensitivity=sensitivity) for column in line.model.features)
    predictor = Predictor(replace(line.model, name="other", features=columns), 3, object(), "{}")
    with pytest.raises(ContractError) as refused:
        predictor(features.select(list(line.model.feature_names)))
    assert refused.value.found.startswith(f"version 3 of 'other' does not predict (AttributeError{words}")
