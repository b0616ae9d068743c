"""What a training leaves in MLflow: all that it read and was fitted by, and models that need none of our code."""

import json
import os
import signal
import socket
import subprocess
import sys
import urllib.request
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from mlops_assets.errors import ContractError
from mlops_assets.features.training_sets import training_evidence
from mlops_assets.models.content import estimator_hash
from mlops_assets.models.fitting import feature_frame
from mlops_assets.models.predicting import prediction_arrays, scores_of_fit
from mlops_assets.models.records import CandidateRecord
from mlops_assets.models.stored_fits import may_be_read, reread_fit, stored_fit
from mlops_assets_tests.models.registering import copy_of_fit, files_of
from mlops_assets_tests.models.test_life_of_a_version import (
    CLASSES,
    FIRST_TRAINING,
    open_line,
    registry_of,
    train_at,
)
from mlops_assets_tests.serving.running import until
from mlops_assets_tests.small_line import Line

pytestmark = pytest.mark.slow
YAML = "forecast/defs.yaml"
NO_INTERVALS = (YAML, "  intervals: {coverage: 80%}\n", "")
RIDGE = "{name: ridge_regressor, params: {alpha: 1.0}, seed: 7}"
GATES = "[{metric: mae, better_than: baseline}, {metric: rmse, better_than: champion, by: 0.1}]"
MULTICLASS = (
    NO_INTERVALS,
    (YAML, "task: regression", "task: multiclass"),
    (YAML, "delay: 2, unit: log ratio", "delay: 2, classes: [down, level, up, never]"),
    (YAML, "baseline: trend.level", "baseline: prior"),
    (YAML, RIDGE, "{name: hist_gradient_boosting_classifier, params: {max_iter: 5, min_samples_leaf: 3}}"),
    (YAML, GATES, "[{metric: calibration_error, better_than: champion}]"),
    ("forecast/growth.sql", "ln(later.units / now.units)", CLASSES),
)
BINARY = (
    NO_INTERVALS,
    (YAML, "task: regression", "task: binary"),
    (YAML, "delay: 2, unit: log ratio", "delay: 2"),
    (YAML, "baseline: trend.level", "baseline: prior"),
    (YAML, RIDGE, "{name: logistic_regression}"),
    (YAML, GATES, "[{metric: calibration_error, better_than: champion}]"),
    ("forecast/growth.sql", "ln(later.units / now.units)", "later.units > now.units"),
)
MODULE = """\
from sklearn.base import BaseEstimator, RegressorMixin


class Mean(RegressorMixin, BaseEstimator):
    def fit(self, frame, truth):
        self.mean_ = float(truth.mean())
        return self

    def predict(self, frame):
        import numpy

        return numpy.full(len(frame), self.mean_)


class Odd(Mean):
    def fit(self, frame, truth):
        self.change_ = lambda value: value * 2
        return super().fit(frame, truth)

    def predict(self, frame):
        return self.change_(super().predict(frame))


def mean():
    return Mean()


def odd():
    return Odd()
"""
MEAN, ODD = "line.project.forecast.mine.Mean", "line.project.forecast.mine.Odd"
IN_ANOTHER_PROCESS = """
import sys
class Refused:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] == "mlops_assets":
            raise ModuleNotFoundError(name)
sys.meta_path.insert(0, Refused())
import json, mlflow, pandas
asked = json.loads(sys.stdin.read())
models = [mlflow.pyfunc.load_model(uri) for uri in asked["models"]]
assert "mlops_assets" not in sys.modules
frames = [pandas.DataFrame(rows) for rows in asked["rows"]]
print(json.dumps([[model.predict(frame).to_dict("records") for frame in frames] for model in models]))
"""
Rows = list[dict[str, Any]]
ALL_THERE: Rows = [
    {"level": 3.5, "crowd": 70, "region": "north", "open": True, "price": 1.5},
    {"level": 5.25, "crowd": 210, "region": "somewhere else", "open": False, "price": 2.5},
]
WITH_NULLS: Rows = [
    {"level": None, "crowd": None, "region": None, "open": None, "price": None},
    {"level": 4.5, "crowd": 90, "region": "south", "open": True, "price": 1.5},
]


@pytest.fixture(scope="module")
def line(tmp_path_factory: pytest.TempPathFactory) -> Line:
    """One home for all tests: a test that needs another definition takes it for a while, with `varied`."""
    features = "    - {table: shops, columns: [region]}\n"
    further = f"{features}    - {{table: sales, columns: [open, price], lookback: 2 days}}\n"
    intervals = {(YAML, "  retrain:"): "  intervals: {coverage: 80%}\n  retrain:"}
    return open_line(tmp_path_factory, {(YAML, features): further, **intervals})


@pytest.fixture(scope="module")
def record(line: Line) -> CandidateRecord:
    return train_at(line, FIRST_TRAINING)[0]


@contextmanager
def varied(line: Line, *changes: tuple[str, str, str]) -> Iterator[None]:
    """Other definitions inside the block, with labels computed by them."""
    folder = line.files.folder
    before = {file: file.read_bytes() for file in folder.rglob("*") if file.is_file()}
    try:
        line.files.write("forecast/mine.py", MODULE)
        for change in changes:
            line.files.change(*change)
        generation = line.model.label_generation
        if line.open().model.label_generation != generation:
            for key in line.days(11, "2024-01-08"):
                line.labels(key)
        yield
    finally:
        for file, text in before.items():
            file.write_bytes(text)
        line.open()


def own(function: str, *allowed: str) -> tuple[str, str, str]:
    """The change to a template of `MODULE`'s."""
    named = f", allow_pickle: [{', '.join(allowed)}]" if allowed else ""
    return YAML, RIDGE, f"{{name: {function}, python: 'mine:{function}'{named}}}"


def ours(line: Line, record: CandidateRecord, rows: Rows) -> Rows:
    """What our own scoring says of rows."""
    import pyarrow as pa

    schema = line.platform.predictions(line.model).schema.arrow()
    table = pa.Table.from_pylist(rows, pa.schema([schema.field(name) for name in line.model.feature_names]))
    fit = stored_fit(line.platform, line.model, record)
    scores = scores_of_fit(line.model, fit, feature_frame(line.model, table))
    return pa.table(dict(prediction_arrays(line.model, scores, record.half_width))).to_pylist()  # type: ignore[no-any-return]


def same(found: Rows, expected: Rows) -> None:
    for one, other in zip(found, expected, strict=True):
        assert one == {
            name: pytest.approx(value, rel=1e-12) if isinstance(value, float) else value
            for name, value in other.items()
        }


def run_of(line: Line, record: CandidateRecord) -> Any:
    import mlflow  # noqa: TID253

    return mlflow.MlflowClient(registry_of(line).tracking_uri).get_run(record.run_id)


def test_a_run_names_every_table_that_it_read_by_version_content_and_window(
    line: Line, record: CandidateRecord
) -> None:
    inputs = {one.dataset.name: one for one in run_of(line, record).inputs.dataset_inputs}
    assert set(inputs) == {"forecast.training_set", "forecast.labels", "trend", "shops", "sales"}
    for read in training_evidence(line.platform, line.model, line.period(FIRST_TRAINING)):
        tags = {tag.key: tag.value for tag in inputs[read.name].tags}
        assert (tags["content_hash"], tags["delta_version"]) == (read.data_version, str(read.delta_version))
        assert (tags.get("first_period"), tags.get("last_period")) == (read.periods or (None, None))
        assert inputs[read.name].dataset.digest == read.data_version[:36]
        source = json.loads(inputs[read.name].dataset.source)
        assert (line.platform.home.folder / source["path"]).is_dir() and source[
            "delta_table_version"
        ] == read.delta_version
    tags = {tag.key: tag.value for tag in inputs["forecast.training_set"].tags}
    assert (tags["content_hash"], tags["mlflow.data.context"]) == (record.training_set, "training")


def test_a_run_names_code_environment_and_exact_requirements(line: Line, record: CandidateRecord) -> None:
    from importlib.metadata import version

    tags = run_of(line, record).data.tags
    assert tags["generation"] == line.model.generation
    assert tags["template_hash"] == record.template_hash
    assert tags["package_version"] == version("mlops-assets")
    assert (tags["environment_hash"], len(tags["code_hash"])) == (record.environment, 64)
    folder = files_of(registry_of(line), record.model_uri)
    required = dict(text.split("==") for text in (folder / "requirements.txt").read_text(encoding="utf-8").split())
    assert {"mlflow", "scikit-learn", "skops", "numpy", "scipy", "joblib", "threadpoolctl", "pandas"} < set(required)
    assert all(version(name) == pinned for name, pinned in required.items())
    environment = (folder / "python_env.yaml").read_text(encoding="utf-8")
    assert "-r requirements.txt" in environment and "http" not in environment


def test_models_predict_from_raw_rows_in_a_process_without_our_package_as_we_score_them(
    line: Line, record: CandidateRecord, tmp_path: Path
) -> None:
    places, expected = [], []
    for changes in ((), MULTICLASS, BINARY, (own("mean"), NO_INTERVALS), (own("odd", ODD),)):
        with varied(line, *changes):
            trained, _ = train_at(line, FIRST_TRAINING)
            places.append(str(files_of(registry_of(line), trained.model_uri)))
            expected.append([ours(line, trained, rows) for rows in (ALL_THERE, WITH_NULLS)])
        if not any(kept.classes for kept in trained.kept.values()):  # whatever template the model has by now
            assert estimator_hash(reread_fit(line.platform, line.model, trained)) == trained.model_hash
    done = subprocess.run(
        [sys.executable, "-c", IN_ANOTHER_PROCESS],
        input=json.dumps({"models": places, "rows": [ALL_THERE, WITH_NULLS]}),
        cwd=tmp_path,
        env=_without_us(tmp_path),
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    for found, wanted in zip(json.loads(done.stdout.splitlines()[-1]), expected, strict=True):
        for one, other in zip(found, wanted, strict=True):
            same(one, other)


def test_mlflow_serves_a_model_as_it_was_logged(line: Line, record: CandidateRecord, tmp_path: Path) -> None:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    command = ["mlflow", "models", "serve", "--env-manager", "local", "-m", record.model_uri, "-p", str(port)]
    process = subprocess.Popen(
        [sys.executable, "-m", *command],
        cwd=tmp_path,
        env={**_without_us(tmp_path), "MLFLOW_TRACKING_URI": registry_of(line).tracking_uri},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    try:
        until(lambda: _answers(f"http://127.0.0.1:{port}/ping"), seconds=120)
        for rows in (ALL_THERE, WITH_NULLS):
            body = json.dumps({"dataframe_records": rows}).encode()
            headers = {"Content-Type": "application/json"}
            request = urllib.request.Request(f"http://127.0.0.1:{port}/invocations", body, headers)
            with urllib.request.urlopen(request, timeout=60) as answer:
                same(json.load(answer)["predictions"], ours(line, record, rows))
    finally:
        os.killpg(process.pid, signal.SIGTERM)
        process.wait(30)


def test_an_own_class_is_held_by_skops_and_bound_to_the_recipe_that_it_was_trained_with(line: Line) -> None:
    with varied(line, own("mean")):
        record, _ = train_at(line, FIRST_TRAINING)
        assert (record.kept["model"].form, record.kept["model"].classes) == ("skops", (MEAN,))
        fit = reread_fit(line.platform, line.model, record)
        assert (type(fit).__name__, estimator_hash(fit)) == ("Mean", record.model_hash)
        line.files.change("forecast/mine.py", "truth.mean()", "truth.max()")
        assert may_be_read(line.model, record) and not may_be_read(line.open().model, record)
        with pytest.raises(ContractError) as caught:
            reread_fit(line.platform, line.model, record)
    assert f" with {MEAN} of the recipe {record.template_hash[:8]}, which is " in caught.value.found
    assert caught.value.cure == "take the change of the template back, or train again"


def test_what_skops_cannot_hold_is_refused_by_the_name_of_its_class_until_it_is_allowed(line: Line) -> None:
    with varied(line, own("odd")):
        with pytest.raises(ContractError) as refused:
            train_at(line, FIRST_TRAINING)
        forbidding = line.model
    assert refused.value.found == f"a fit of 'forecast' by template 'odd' with {ODD}, which skops cannot hold"
    assert refused.value.cure.endswith(f"template.allow_pickle: [{ODD}]")

    registry = registry_of(line)
    with varied(line, own("odd", ODD)):
        model = line.model
        record, _ = train_at(line, FIRST_TRAINING)
        assert len(ours(line, record, ALL_THERE)) == 2
    assert (record.kept["judged"].form, record.kept["model"].classes) == ("cloudpickle", (ODD,))
    assert estimator_hash(reread_fit(line.platform, model, record)) == record.model_hash
    folder = files_of(registry, record.model_uri)
    assert "cloudpickle==" in (folder / "requirements.txt").read_text(encoding="utf-8")

    with pytest.raises(ContractError) as forbidden:
        reread_fit(line.platform, forbidding, record)
    assert may_be_read(model, record) and not may_be_read(forbidding, record)
    assert forbidden.value.found.endswith(f"as a pickle of {ODD}, which the model does not allow now")

    marker = line.folder / "it ran"
    (folder / "data" / "model.pkl").write_bytes(f"cpathlib\nPath.touch\n(cpathlib\nPath\n(V{marker}\ntRtR.".encode())
    with pytest.raises(ContractError) as replaced:
        reread_fit(line.platform, model, record)
    assert "it was not read" in replaced.value.found and not marker.exists()


def test_types_that_a_model_file_claims_for_itself_are_not_trusted(line: Line, record: CandidateRecord) -> None:
    import skops.io  # noqa: TID253
    import yaml

    registry = registry_of(line)
    other = replace(record, model_uri=copy_of_fit(registry, record.model_uri))
    folder = files_of(registry, other.model_uri)
    (folder / "data" / "model.skops").write_bytes(skops.io.dumps({"run": os.system}))
    description = yaml.safe_load((folder / "MLmodel").read_text(encoding="utf-8"))
    description["flavors"]["sklearn"]["skops_trusted_types"] = ["posix.system"]
    (folder / "MLmodel").write_text(yaml.safe_dump(description), encoding="utf-8")
    with pytest.raises(ContractError) as caught:
        reread_fit(line.platform, line.model, other)
    assert "with types that nobody trusts" in caught.value.found and "posix.system" in caught.value.found


def _without_us(folder: Path) -> Mapping[str, str]:
    """The variables of a process that is told nothing of this package."""
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    kept = {name: value for name, value in os.environ.items() if name not in ("PYTHONPATH", "MLFLOW_TRACKING_URI")}
    return {**kept, "PATH": path, "HOME": str(folder), "MLFLOW_DISABLE_TELEMETRY": "true", "DO_NOT_TRACK": "true"}


def _answers(url: str) -> bool:
    try:
        with urllib.request.urlopen(url, timeout=10) as answer:
            return bool(answer.status == 200)
    except OSError:
        return False
