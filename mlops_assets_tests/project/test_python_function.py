"""Python functions are found and read without being imported, and refused with file and line."""

import pytest

from mlops_assets.project.python_function import PythonFunction
from mlops_assets_tests.project.small_project import SmallProject

TABLE = """\
type: mlops_assets.FeatureTable
attributes:
  name: weekly
  description: Units of a week
  primary_keys: [shop]
  timestamp: day
  python: weekly:features
  inputs: [sales, shops]
  history: 7 days
  columns:
    shop: {type: string, description: Shop}
    day: {type: date, description: Day}
    units: {type: bigint, description: Units of the week}
"""
MODULE = '''\
"""Weekly features."""

import pandas as pd

from .helper import WEEK

raise RuntimeError("imported")


def features(sales: pd.DataFrame, shops: "pd.DataFrame", period, days=WEEK):
    """Units of a week."""
    # a comment
    return sales
'''


@pytest.fixture
def weekly(project: SmallProject) -> SmallProject:
    project.write("weekly/defs.yaml", TABLE)
    project.write("weekly/weekly.py", MODULE)
    project.write("weekly/helper.py", "from . import further\nWEEK = 7\n")
    project.write("weekly/further.py", "X = 1\n")
    return project


def function_of(project: SmallProject) -> PythonFunction:
    computation = project.load().feature_tables["weekly"].computation
    assert isinstance(computation, PythonFunction)
    return computation


def test_a_function_is_read_with_the_modules_of_the_project_that_it_imports(weekly: SmallProject) -> None:
    function = function_of(weekly)
    assert dict(function.frames) == {"sales": "pandas.DataFrame", "shops": "pandas.DataFrame"}
    assert function.given == ("period",)
    assert [module.file.name for module in function.modules] == ["weekly.py", "helper.py", "further.py"]
    assert function.text.startswith("def features(sales: pd.DataFrame") and function.text.endswith("return sales")
    assert function.location.line == weekly.line("weekly/weekly.py", "def features")
    table = weekly.load().feature_tables["weekly"]
    assert (table.inputs, table.history, table.query) == (("sales", "shops"), 7, None)


@pytest.mark.parametrize(
    ("file", "old", "new", "same"),
    [
        ("weekly/weekly.py", "    # a comment\n", "\n\n", True),
        ("weekly/weekly.py", '"""Units of a week."""', '"""Other words."""', True),
        ("weekly/weekly.py", "    return sales", "    return (\n        sales\n    )", True),
        ("weekly/weekly.py", "    return sales", "    return shops", False),
        ("weekly/helper.py", "WEEK = 7", "WEEK = 8", False),
        ("weekly/further.py", "X = 1", "X = 2", False),
    ],
)
def test_layout_comments_and_docstrings_change_no_hash_and_all_else_does(
    weekly: SmallProject, file: str, old: str, new: str, same: bool
) -> None:
    before = weekly.load().feature_tables["weekly"].generation
    weekly.change(file, old, new)
    assert (weekly.load().feature_tables["weekly"].generation == before) is same


def test_a_function_without_annotations_is_given_arrow_tables(weekly: SmallProject) -> None:
    weekly.write("weekly/weekly.py", "def features(sales, *, shops): ...\n")
    function = function_of(weekly)
    assert dict(function.frames) == {"sales": "pyarrow.Table", "shops": "pyarrow.Table"}
    assert function.given == ()
    weekly.write("weekly/weekly.py", "from polars import DataFrame as F\ndef features(sales: F, shops: F): ...\n")
    assert set(dict(function_of(weekly).frames).values()) == {"polars.DataFrame"}


def test_a_module_may_be_named_from_the_projects_folder_down(weekly: SmallProject) -> None:
    package = weekly.folder.parent.name
    weekly.write("../features/shared.py", "def features(sales, shops): ...\n")
    weekly.change("weekly/defs.yaml", "weekly:features", f"{package}.features.shared:features")
    assert function_of(weekly).file == weekly.folder.parent / "features" / "shared.py"


FAULTS = {
    "function 'features' with the parameter rows": (
        "def features(sales, shops, rows): ...", "weekly/weekly.py", "def", "rename it, or add the table to inputs"
    ),
    "function 'features' with the parameter *tables": (
        "def features(sales, shops, **tables): ...", "weekly/weekly.py", "def", "rename it, or add the table to inputs"
    ),
    "function 'features' without a parameter shops": (
        "def features(sales): ...", "weekly/weekly.py", "def", "add it, or take the table out of inputs"
    ),
    "parameter 'shops' of type dict": (
        "def features(\n    sales,\n    shops: dict): ...", "weekly/weekly.py", "dict",
        "annotate it so; without an annotation it is given a pyarrow.Table",
    ),
    "no function 'features' in weekly.py": (
        "def feature(sales, shops): ...", "weekly/weekly.py", "",
        "correct the name, or define it at the top level of the module",
    ),
    "Python that does not parse (invalid syntax)": (
        "\n\ndef features(sales, shops) return", "weekly/weekly.py", "def", "correct it there or just before"
    ),
}  # fmt: skip


@pytest.mark.parametrize("found", list(FAULTS))
def test_a_function_that_cannot_be_called(weekly: SmallProject, found: str) -> None:
    text, file, line, cure = FAULTS[found]
    weekly.write(file, text)
    error = weekly.refusal()
    assert (error.found.replace("expected ':'", "invalid syntax"), error.cure) == (found, cure)
    assert error.where is not None
    assert error.where.file == weekly.folder / file
    assert error.where.line == (weekly.line(file, line) if line else None)


@pytest.mark.parametrize(
    ("old", "new", "found", "line"),
    [
        ("weekly:features", "weekly.features", "'weekly.features'", "python:"),
        ("[sales, shops]", "[sales, shop]", "function 'features' with the parameter shops", None),
        ("inputs: [sales, shops]", "inputs: []", "missing field 'inputs'", "inputs"),
        ("  history: 7 days\n", "", "missing field 'history'", "type:"),
        ("history: 7 days", "history: 7 days\n  sql: weekly.sql", "'weekly' with sql and python", "python:"),
    ],
)
def test_a_declaration_that_does_not_fit(
    weekly: SmallProject, old: str, new: str, found: str, line: str | None
) -> None:
    weekly.change("weekly/defs.yaml", old, new)
    error = weekly.refusal()
    assert error.found == found
    if line:
        assert error.where is not None
        assert error.where.line == weekly.line("weekly/defs.yaml", line)


def test_a_module_that_is_not_there(weekly: SmallProject) -> None:
    weekly.change("weekly/defs.yaml", "weekly:features", "weakly:features")
    error = weekly.refusal()
    assert error.found == f"no module 'weakly' in {weekly.folder / 'weekly'} or {weekly.folder.parent.parent}"
    assert error.expected == "a file weakly.py in one of them"
    assert error.where is not None
    assert error.where.line == weekly.line("weekly/defs.yaml", "python:")


def test_an_input_that_nobody_declares(weekly: SmallProject) -> None:
    weekly.write("weekly/weekly.py", "def features(sales, stores): ...\n")
    weekly.change("weekly/defs.yaml", "[sales, shops]", "[sales, stores]")
    error = weekly.refusal()
    assert error.found == "an input 'stores', which no component declares"
    assert error.where is not None
    assert error.where.line == weekly.line("weekly/defs.yaml", "inputs")
