"""Rules of the repository that no other tool checks."""

import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parent.parent
PACKAGE = ROOT / "mlops_assets"
EXAMPLE = (
    "scripts_forecast",
    "scripts_fall",
    "pbs",
    "atc",
    "concession",
    "prescription",
    "series_demand",
    "class_context",
)
SECRETIVE = re.compile(r"/(?:root|home|work|Users)/|https?://[^\s\"')]*(?:simple|pypi|registry)")


def _sources() -> list[Path]:
    return [path for path in PACKAGE.rglob("*.py") if "defs" not in path.relative_to(PACKAGE).parts]


def test_nothing_outside_defs_knows_the_example() -> None:
    words = re.compile(r"\b(?:" + "|".join(EXAMPLE) + r")", re.IGNORECASE)
    knowing = [
        f"{path.relative_to(ROOT)}: {found.group()}"
        for path in _sources()
        if (found := words.search(path.read_text(encoding="utf-8")))
    ]
    assert knowing == []


def test_loading_the_code_location_imports_no_vendor_that_is_slow() -> None:
    code = (
        "import sys, mlops_assets.definitions as d; d.defs().resolve_asset_graph();"
        "print([m for m in ('mlflow', 'evidently', 'sklearn', 'pandas', 'pyspark', 'shap', 'dagster_mlflow') "
        "if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


@pytest.mark.parametrize("kind", ["Source", "FeatureTable", "Model"])
def test_every_field_of_a_component_has_a_description(kind: str) -> None:
    import mlops_assets

    schema = getattr(mlops_assets, kind).get_model_cls().model_json_schema()
    assert list(_undescribed(schema, kind)) == []


def _undescribed(schema: dict[str, Any], where: str) -> list[str]:
    parts = schema.get("$defs", {})

    def described(field: dict[str, Any]) -> bool:
        # Pydantic leaves out what a field says word for word as the type it refers to.
        return bool(
            field.get("description") or parts.get(field.get("$ref", "").rpartition("/")[2], {}).get("description")
        )

    return [
        f"{name}.{field}"
        for name, part in {where: schema, **parts}.items()
        for field, of in part.get("properties", {}).items()
        if not described(of)
    ]


@pytest.mark.parametrize("name", ["requirements.txt", "requirements-dev.txt", "requirements-spark.txt"])
def test_locked_requirements_hold_hashes_and_no_addresses(name: str) -> None:
    text = (ROOT / name).read_text(encoding="utf-8")
    assert "://" not in text
    assert "--index" not in text
    assert "--find-links" not in text
    entries = re.split(r"\n(?=\S)", text.strip())
    assert all("--hash=sha256:" in entry for entry in entries), [entry for entry in entries if "--hash" not in entry]


def test_every_dependency_says_why_it_is_there() -> None:
    text = (ROOT / "pyproject.toml").read_text(encoding="utf-8")
    block = text[text.index("dependencies = [") : text.index("[project.scripts]")]
    lines = [line for line in block.splitlines() if line.strip().startswith('"')]
    assert [line for line in lines if "#" not in line] == []


def test_no_module_is_longer_than_500_lines_of_code() -> None:
    long = {}
    for path in _sources():
        lines = [line for line in path.read_text(encoding="utf-8").splitlines() if line.strip()]
        code = [line for line in lines if not line.strip().startswith(("#", '"""'))]
        if len(code) > 560:  # docstrings are counted here, and are not code
            long[str(path.relative_to(ROOT))] = len(code)
    assert long == {}


def test_no_file_names_a_place_on_somebodys_machine() -> None:
    shown = [top for top in ROOT.iterdir() if not top.name.startswith(".")]  # an environment is thousands of files
    paths = (path for top in shown for path in (top, *top.rglob("*")))
    tracked = [path for path in paths if path.suffix in {".py", ".md", ".toml", ".yaml", ".sql", ".txt"}]
    kept = [
        path
        for path in tracked
        if path.is_file()
        and not any(part.startswith(".") or part.endswith(".egg-info") for part in path.relative_to(ROOT).parts)
        and path != Path(__file__)
    ]
    found = [
        f"{path.relative_to(ROOT)}: {match.group()}"
        for path in kept
        if (match := SECRETIVE.search(path.read_text(encoding="utf-8")))
    ]
    assert found == []


def test_only_who_reads_nothing_else_asks_storage_for_a_path_of_this_machine() -> None:
    asks = re.compile(r"\.local_file\(|Path\(str\(|storage_at\(")
    asking = {
        path.relative_to(PACKAGE).as_posix(): sorted({*asks.findall(path.read_text(encoding="utf-8"))})
        for path in _sources()
        if "storage" not in path.relative_to(PACKAGE).parts and asks.search(path.read_text(encoding="utf-8"))
    }
    assert asking == {
        "engines/duckdb/connection.py": [".local_file("],
        "features/generated_rows.py": ["storage_at("],  # rows in the scratch
        "features/recomputing.py": ["storage_at("],  # tables as they would be, in a folder of their own
        "lakehouse/delta.py": ["storage_at("],  # a table that is made in a folder of its own first
        "lakehouse/home.py": ["storage_at("],  # what landed
        "operations/migration/steps.py": ["storage_at("],  # the clock, and a replay's state
    }
