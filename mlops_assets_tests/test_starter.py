"""The project that `mlops-assets init` writes: whole, sound, and named after its folder."""

import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from mlops_assets.operations.check import check_project
from mlops_assets.project.folder import find_project
from mlops_assets.starter import write_project


@pytest.mark.parametrize(
    ("folder", "package"), [("shop", "shop"), ("My Shop-2", "my_shop_2"), ("2024", "project_2024"), ("---", "project")]
)
def test_the_package_is_named_after_the_folder_as_python_can_import_it(
    tmp_path: Path, folder: str, package: str
) -> None:
    files = write_project(tmp_path / folder)
    found = find_project(tmp_path / folder)
    assert found.package == package
    assert [*found.read().models] == ["orders_forecast"]
    assert {file.relative_to(tmp_path / folder).parts[0] for file in files} == {
        package,
        "MLproject",
        "README.md",
        "dagster.yaml",
        "pyproject.toml",
        "tests",
        "workspace.yaml",
    }
    assert not any("PACKAGE" in file.read_text(encoding="utf-8") or "PACKAGE" in str(file) for file in files)


def test_it_is_sound_with_daily_partitions_keys_of_its_own_and_no_python_but_the_code_location_and_tests(
    tmp_path: Path,
) -> None:
    files = write_project(tmp_path / "My Shop-2")
    project = find_project(tmp_path / "My Shop-2").read()
    assert check_project(project) == []
    model = project.models["orders_forecast"]
    assert (model.schema.keys, model.schema.calendar.of(model.first.start).key) == (("region", "product"), "2024-01-01")
    assert sorted(file.name for file in files if file.suffix == ".py") == [
        "__init__.py",
        "definitions.py",
        "test_orders_forecast.py",
    ]


def test_a_folder_that_holds_something_is_left_alone(tmp_path: Path) -> None:
    from mlops_assets.errors import UnusableEnvironmentError

    (tmp_path / "notes.txt").write_text("mine", encoding="utf-8")
    with pytest.raises(UnusableEnvironmentError):
        write_project(tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["notes.txt"]


@pytest.mark.slow
def test_its_code_location_loads_as_dg_loads_it(
    tmp_path: Path, run_dg: Callable[..., subprocess.CompletedProcess[str]]
) -> None:
    write_project(tmp_path / "shop")
    done = run_dg(tmp_path / "shop", "check", "defs")
    assert done.returncode == 0, done.stdout + done.stderr
    assert not (tmp_path / "home").exists()


@pytest.mark.parametrize("name", ["email", "random", "pandas", "class"])
def test_a_project_is_not_called_as_a_module_is(tmp_path: Path, name: str) -> None:
    from mlops_assets.errors import UnusableEnvironmentError

    with pytest.raises(UnusableEnvironmentError) as refused:
        write_project(tmp_path / name)
    assert refused.value.found == f"'{name}', as a module of Python's or of an installed package is called"
    assert not (tmp_path / name).exists()
