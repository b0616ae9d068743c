"""Evaluating a feature table that a Python function computes: what it is given, and what it may answer.

What runs is the text that was read with the project, not what the files hold by now, so that a partition is never
computed by code that its definition hash does not cover.
"""

import importlib
import sys
import threading
import traceback
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from datetime import datetime
from importlib.abc import Loader, MetaPathFinder
from importlib.machinery import ModuleSpec
from importlib.util import spec_from_file_location
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any

from mlops_assets.engines.contract import QueryInput, columns_read
from mlops_assets.errors import ContractError, DefinitionError, Location, told_once, words_of
from mlops_assets.features.frames import arrow_rows, pandas_types
from mlops_assets.lakehouse.exact import decoded, doubles, exactly, is_accepted
from mlops_assets.lakehouse.masking import words_about
from mlops_assets.lakehouse.periods import Period
from mlops_assets.lakehouse.schema import Column, TableSchema, is_number
from mlops_assets.platform import Platform
from mlops_assets.project.python_function import PERIOD, Frame, ModuleSource, PythonFunction

if TYPE_CHECKING:
    import pyarrow as pa

_LOCK = threading.RLock()
"""Held while a function's modules stand in for whatever else this process imported under their names."""


def call_function(
    platform: Platform,
    function: PythonFunction,
    inputs: Sequence[QueryInput],
    *,
    known_at: datetime,
    schema: TableSchema,
    period: Period,
) -> "pa.Table":
    """Call a function with its inputs as known at a moment, and bring its answer to the declared columns.

    Args:
        platform: The platform.
        function: What to call.
        inputs: The tables that it is given, each with the periods that it sees.
        known_at: States that became known later are not given.
        schema: Columns and types of the answer.
        period: Only rows whose timestamp lies in it are kept; rows without a timestamp are, for the contract to
            refuse.

    Returns:
        The user's columns in the schema's order and types, ordered by key and time.

    Raises:
        ContractError: The function raised, or its answer is no table, lacks a column, or has one of another type.
    """
    frames = dict(function.frames)
    arguments: dict[str, Any] = {}
    for input_ in inputs:
        table = input_.table
        rows = platform.engine.known_at(table, known_at, first=input_.first, last=input_.last)
        arguments[table.name] = _as_frame(rows.select(list(table.schema.names)), frames[table.name])
    if PERIOD in function.given:
        arguments[PERIOD] = period
    expected = "a function that answers for all rows that the contracts of its inputs allow"
    read = columns_read(inputs)
    with called(function, expected, read) as call:
        answer = call(**arguments)
    return _kept(_declared(_as_arrow(answer, function, read), schema, function), schema, period)


def _as_frame(rows: "pa.Table", frame: Frame) -> Any:
    """Rows in the form that a function asked for; whole numbers stay whole where some are missing."""
    if frame == "polars.DataFrame":
        import polars

        return polars.from_arrow(rows)
    if frame == "pandas.DataFrame":
        return rows.to_pandas(types_mapper=pandas_types, date_as_object=False)
    return rows


def _as_arrow(answer: Any, function: PythonFunction, read: Iterable[Column]) -> "pa.Table":
    found = type(answer).__name__
    if hasattr(answer, "columns"):
        try:
            return arrow_rows(answer)
        except DefinitionError as error:
            found += f": {words_about(read, error.found)}"
    raise ContractError(
        f"'{function.name}' answered with {found}",
        "a pyarrow.Table, pandas.DataFrame or polars.DataFrame",
        "return one of them",
        where=function.location,
    )


def _declared(rows: "pa.Table", schema: TableSchema, function: PythonFunction) -> "pa.Table":
    """The declared columns of an answer in their types; only what loses nothing is cast."""
    import pyarrow as pa

    columns = []
    for column in schema.columns:
        if column.name not in rows.column_names:
            raise ContractError(
                f"'{function.name}' gives no column '{column.name}' (it gives {', '.join(rows.column_names)})",
                f"a column '{column.name}' of type {column.type}",
                "return it, or take it out of the YAML",
                where=function.location,
            )
        values, why = decoded(rows.column(column.name)), f"no {column.type}"
        if column.type == "double" and pa.types.is_decimal(values.type):
            values = doubles(values)
        if is_accepted(values, column.type):
            try:
                columns.append(exactly(values, column.type))
                continue
            except ValueError as error:
                why = f"{error}: round it" if is_number(column.type) else str(error)
        raise ContractError(
            f"column '{column.name}' of '{function.name}' has type {values.type} ({why})",
            f"values of type {column.type}, as declared",
            "convert it in the function, or declare the type that it has",
            where=function.location,
        )
    return pa.table(columns, schema=schema.arrow())


def _kept(rows: "pa.Table", schema: TableSchema, period: Period) -> "pa.Table":
    import pyarrow as pa
    import pyarrow.compute as pc

    time = rows.column(schema.timestamp).cast(pa.timestamp("us", "UTC"))
    within = pc.and_(pc.greater_equal(time, period.start), pc.less(time, period.end))
    kept = rows.filter(pc.fill_null(within, True))
    return kept.sort_by([(name, "ascending") for name in (*schema.keys, schema.timestamp)])


class _TextLoader(Loader):
    """Runs a module from the text that was read."""

    def __init__(self, source: ModuleSource) -> None:
        self.source = source

    def exec_module(self, module: ModuleType) -> None:
        exec(compile(self.source.text, str(self.source.file), "exec"), module.__dict__)


class _Finder(MetaPathFinder):
    """Finds a function's modules, and the folders around them that are packages without a file."""

    def __init__(self, function: PythonFunction) -> None:
        self.sources = {source.name: source for source in function.modules}
        self.folders: dict[str, Path] = {}
        for source in function.modules:
            name, folder = source.name, source.file.parent.parent if source.is_package else source.file.parent
            while "." in name:
                name = name.rpartition(".")[0]
                self.folders[name] = folder
                folder = folder.parent
        self.names = [*self.sources, *(name for name in self.folders if name not in sys.modules)]

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        if source := self.sources.get(fullname):
            places = [str(source.file.parent)] if source.is_package else None
            loader = _TextLoader(source)
            return spec_from_file_location(fullname, source.file, loader=loader, submodule_search_locations=places)
        if fullname not in self.folders:
            return None
        spec = ModuleSpec(fullname, None, is_package=True)
        spec.submodule_search_locations = [str(self.folders[fullname])]
        return spec


_OWN: dict[PythonFunction, dict[str, ModuleType]] = {}
"""The modules of each function, which stand in ``sys.modules`` only while it runs."""


@contextmanager
def _modules_of(function: PythonFunction) -> Iterator[None]:
    """Let imports find a function's modules as they were read, and leave no trace of them afterwards."""
    with _LOCK:
        finder = _Finder(function)
        others = {name: sys.modules.pop(name) for name in finder.names if name in sys.modules}
        sys.modules.update(_OWN.get(function, {}))
        sys.meta_path.insert(0, finder)
        try:
            yield
        finally:
            sys.meta_path.remove(finder)
            _OWN[function] = {name: sys.modules.pop(name) for name in finder.names if name in sys.modules}
            sys.modules.update(others)


@contextmanager
def called(function: PythonFunction, expected: str, read: Iterable[Column] = ()) -> Iterator[Callable[..., Any]]:
    """A function of the project, whose modules can be imported inside the block only.

    Args:
        function: The function.
        expected: What it should be, for messages.
        read: The columns that it is given values of.

    Raises:
        ContractError: Something raised inside the block; names the last line of the project that it went through.
    """

    def refusal(error: BaseException) -> ContractError:
        return ContractError(
            f"'{function.name}' raised {words_about(read, words_of(error))}",
            expected,
            "correct it",
            where=_raised_at(error, function),
        )

    with _modules_of(function), told_once(refusal):
        yield _loaded(function)


def _loaded(function: PythonFunction) -> Callable[..., Any]:
    """Import a function, or find it among the modules that it imported before."""
    called: Callable[..., Any] = getattr(importlib.import_module(function.modules[0].name), function.name)
    return called


def _raised_at(error: BaseException, function: PythonFunction) -> Location:
    """The last line of the project that an error went through."""
    files = {str(module.file) for module in function.modules}
    lines = [frame for frame in traceback.extract_tb(error.__traceback__) if frame.filename in files]
    return Location(Path(lines[-1].filename), lines[-1].lineno) if lines else function.location
