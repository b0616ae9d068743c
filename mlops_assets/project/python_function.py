"""Python functions of the project, which compute tables, judge candidates or give estimators: read, not imported here.

Such a function is trusted code of the project. The sandbox that holds SQL does not hold it: that it asks for no clock,
no randomness and no file is up to its author, and `mlops-assets check` only sees whether it answers the same twice.
"""

import ast
import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, get_args

from mlops_assets.errors import DefinitionError, Location
from mlops_assets.lakehouse.content_hash import text_hash
from mlops_assets.project.text_files import read_text

Frame = Literal["pyarrow.Table", "pandas.DataFrame", "polars.DataFrame"]
"""What a parameter's annotation may name."""

PERIOD = "period"
"""The parameter that is given the `Period` to compute, where a function has it."""

_PLATFORM = Path(__file__).parent.parent


@dataclass(frozen=True)
class ModuleSource:
    """One module of the project, as it was read.

    Args:
        name: As in an import, from the project's folder down.
        file: Where it lies.
        text: Its source.
    """

    name: str
    file: Path
    text: str

    @property
    def is_package(self) -> bool:
        """Whether it is the ``__init__.py`` of a folder."""
        return self.file.name == "__init__.py"

    def canonical(self) -> str:
        """Its source as Python writes it: layout, comments and docstrings change nothing in it."""
        tree = ast.parse(self.text)
        for node in ast.walk(tree):
            if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef) and (
                ast.get_docstring(node, clean=False) is not None
            ):
                node.body = node.body[1:]
        return ast.unparse(tree)


@dataclass(frozen=True)
class PythonFunction:
    """One function that passed the checks.

    Args:
        name: Its name.
        modules: The module that defines it, then the modules of the project that it imports, directly or not.
        frames: What each input is given as, by the name of the table.
        given: What else that the platform has for it is wanted, by the names of its parameters.
        parameters: Those of its other parameters that the YAML may set; each has a default.
        line: The line of its definition.
        definition_hash: SHA-256 of the canonical modules and its name, in hex.
    """

    name: str
    modules: tuple[ModuleSource, ...]
    frames: tuple[tuple[str, Frame], ...]
    given: tuple[str, ...]
    parameters: tuple[str, ...]
    line: int
    definition_hash: str

    @property
    def file(self) -> Path:
        """Where it stands."""
        return self.modules[0].file

    @property
    def canonical(self) -> str:
        """Its name and all that decides what it computes: modules without layout, comments and docstrings."""
        return "\n\n".join([self.name, *(f"# {module.name}\n{module.canonical()}" for module in self.modules)])

    @property
    def location(self) -> Location:
        """The line of its definition."""
        return Location(self.file, self.line)

    @property
    def text(self) -> str:
        """Its source, without the rest of its module."""
        definition = _definition(ast.parse(self.modules[0].text), self.name)
        return (definition and ast.get_source_segment(self.modules[0].text, definition)) or ""


@dataclass(frozen=True)
class Purpose:
    """What a function of the project is for.

    Args:
        name: What people call such a function.
        given: What the platform has for it, by the names of parameters.
        cure: What to do about a parameter that nothing fills.
        expected: The parameters that it may have, in words.
    """

    name: str
    given: tuple[str, ...]
    cure: str
    expected: str


def _purpose(name: str, given: tuple[str, ...], cure: str) -> Purpose:
    return Purpose(name, given, cure, f"{', '.join(given)} as far as they are wanted, and parameters with defaults")


GATE = _purpose("custom gate", ("figures", "rows", "truth", "scores"), "give it a default, or rename it")
_SET = "give it a default, which params may set, or rename it"
TEMPLATE = _purpose("template function", ("categories", "numbers", "seed"), _SET)


def read_function(reference: str, inputs: Sequence[str], *, beside: Path, root: Path) -> PythonFunction:
    """Find a function of the project and see that it can be called with its inputs, without importing anything.

    Args:
        reference: ``MODULE:FUNCTION``. The module is a file in ``beside``, or else named as in an import from
            ``root`` down.
        inputs: The tables that it is given, by keyword.
        beside: The folder of the YAML.
        root: The folder of the project.

    Raises:
        DefinitionError: There is no such module or function, it does not parse, or its parameters are others.
    """
    main, tree, definition = _found(reference, beside, root)
    expected = f"the parameters {', '.join(inputs)}, and '{PERIOD}' where it is wanted"
    purpose = Purpose("function", (*inputs, PERIOD), "rename it, or add the table to inputs", expected)
    arguments = _require_filled(main, definition, purpose)
    missing = [name for name in inputs if name not in arguments]
    if missing:
        found = f"function '{definition.name}' without a parameter {', '.join(missing)}"
        where = Location(main.file, definition.lineno)
        raise DefinitionError(found, expected, "add it, or take the table out of inputs", where=where)
    aliases = _aliases(tree)
    frames = {name: _frame(arguments[name], aliases, main.file) for name in inputs}
    return _function(main, definition, root, frames, (PERIOD,) if PERIOD in arguments else (), ())


def read_function_for(reference: str, purpose: Purpose, *, beside: Path, root: Path) -> PythonFunction:
    """Find a function of the project and see that it can be called for its purpose, without importing anything.

    Args:
        reference: As of `read_function`.
        purpose: What it is for.
        beside: The folder of the YAML.
        root: The folder of the project.

    Raises:
        DefinitionError: There is no such module or function, it does not parse, or it wants what it is not given.
    """
    main, _, definition = _found(reference, beside, root)
    arguments = _require_filled(main, definition, purpose)
    given = tuple(name for name in purpose.given if name in arguments)
    return _function(main, definition, root, {}, given, tuple(name for name in arguments if name not in purpose.given))


def _found(reference: str, beside: Path, root: Path) -> tuple[ModuleSource, ast.Module, ast.FunctionDef]:
    """The definition of a function of the project, with its module."""
    module, colon, name = reference.partition(":")
    if not colon or not name.isidentifier() or not all(part.isidentifier() for part in module.split(".")):
        raise DefinitionError(f"'{reference}'", "MODULE:FUNCTION", "write, say, 'weekly:features' for weekly.py")
    places = (beside, root)
    file = next((found for place in places if (found := _file(place, module.split(".")))), None)
    if file is None:
        raise DefinitionError(
            f"no module '{module}' in {beside} or {root}",
            f"a file {module.replace('.', '/')}.py in one of them",
            "write it, or correct the name",
        )
    main = _read(file, root)
    tree = _parse(main)
    definition = _definition(tree, name)
    if definition is None:
        defined = [node.name for node in tree.body if isinstance(node, ast.FunctionDef)]
        raise DefinitionError(
            f"no function '{name}' in {file.name}",
            f"one of: {', '.join(defined)}" if defined else "a function that the module defines with def",
            "correct the name, or define it at the top level of the module",
            where=Location(file),
        )
    return main, tree, definition


def _function(
    main: ModuleSource,
    definition: ast.FunctionDef,
    root: Path,
    frames: Mapping[str, Frame],
    given: tuple[str, ...],
    parameters: tuple[str, ...],
) -> PythonFunction:
    """A function with the modules of the project that it rests on, and the hash of them all."""
    modules = _with_imports(main, root)
    texts = [
        part
        for module in sorted(modules, key=lambda module: _relative(module, main))
        for part in (_relative(module, main), module.canonical())
    ]
    hash_ = text_hash(definition.name, *texts)
    return PythonFunction(definition.name, modules, tuple(frames.items()), given, parameters, definition.lineno, hash_)


def _require_filled(main: ModuleSource, definition: ast.FunctionDef, purpose: Purpose) -> dict[str, ast.arg]:
    """What a function takes by keyword, of which all is given or has a default."""
    where = definition.args
    arguments = {argument.arg: argument for argument in (*where.args, *where.kwonlyargs)}
    filled = {*purpose.given, *(argument.arg for argument in where.args[len(where.args) - len(where.defaults) :])}
    filled |= {a.arg for a, default in zip(where.kwonlyargs, where.kw_defaults, strict=True) if default is not None}
    surplus = [*(a.arg for a in where.posonlyargs), *(f"*{a.arg}" for a in (where.vararg, where.kwarg) if a)]
    surplus += [name for name in arguments if name not in filled]
    if surplus:
        found = f"{purpose.name} '{definition.name}' with the parameter {', '.join(surplus)}"
        place = Location(main.file, definition.lineno)
        raise DefinitionError(found, purpose.expected, purpose.cure, where=place)
    return arguments


def _frame(argument: ast.arg, aliases: Mapping[str, str], file: Path) -> Frame:
    annotation = argument.annotation
    if annotation is None:
        return "pyarrow.Table"
    text = ast.unparse(annotation).strip("\"'")  # an annotation may stand between quotation marks
    first, dot, rest = text.partition(".")
    meant = f"{aliases.get(first, first)}{dot}{rest}"
    frames: tuple[Frame, ...] = get_args(Frame)
    for frame in frames:
        if frame == meant:
            return frame
    raise DefinitionError(
        f"parameter '{argument.arg}' of type {meant}",
        f"one of: {', '.join(frames)}",
        "annotate it so; without an annotation it is given a pyarrow.Table",
        where=Location(file, argument.lineno),
    )


def _aliases(tree: ast.Module) -> dict[str, str]:
    """What each imported name stands for."""
    names: dict[str, str] = {}
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            names |= {alias.asname: alias.name for alias in node.names if alias.asname}
        elif isinstance(node, ast.ImportFrom):
            names |= {alias.asname or alias.name: f"{node.module}.{alias.name}" for alias in node.names}
    return names


def _with_imports(main: ModuleSource, root: Path) -> tuple[ModuleSource, ...]:
    """A module and those of the project that it imports, the packages around each among them."""
    found: dict[str, ModuleSource] = {}
    waiting = [main]
    while waiting:
        module = waiting.pop(0)
        if module.name in found:
            continue
        found[module.name] = module
        for name in _imported(module):
            parts = name.split(".")
            for length in range(1, len(parts) + 1):
                file = _file(root, parts[:length])
                if file is not None and not _is_platform(file):
                    waiting.append(_read(file, root))
    return tuple(found.values())


def _imported(module: ModuleSource) -> Iterator[str]:
    """Names that may be modules: what is imported, and the packages that the module itself lies in."""
    package = module.name.split(".")
    package = package if module.is_package else package[:-1]
    yield ".".join(package)
    for node in ast.walk(_parse(module)):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = package[: len(package) + 1 - node.level] if node.level else []
            base = [*base, *(node.module.split(".") if node.module else [])]
            yield from (".".join([*base, alias.name]) for alias in node.names)


def _file(folder: Path, parts: Sequence[str]) -> Path | None:
    """The file of a module below a folder."""
    place = folder.joinpath(*parts)
    candidates = (place.with_name(f"{place.name}.py"), place / "__init__.py")
    return next((file for file in candidates if file.is_file()), None) if any(parts) else None


def _is_platform(file: Path) -> bool:
    """Whether a file is this platform's own, and not a definition that lies with it."""
    return file.is_relative_to(_PLATFORM) and not file.is_relative_to(_PLATFORM / "defs")


def _read(file: Path, root: Path) -> ModuleSource:
    text = read_text(file, "a Python module in UTF-8")
    parts = file.relative_to(root).with_suffix("").parts
    return ModuleSource(".".join(parts[:-1] if parts[-1] == "__init__" else parts), file, text)


def _parse(module: ModuleSource) -> ast.Module:
    try:
        return ast.parse(module.text)
    except SyntaxError as error:
        raise DefinitionError(
            f"Python that does not parse ({error.msg})", "a Python module", "correct it there or just before",
            where=Location(module.file, error.lineno),
        ) from error  # fmt: skip


def _definition(tree: ast.Module, name: str) -> ast.FunctionDef | None:
    return next((node for node in tree.body if isinstance(node, ast.FunctionDef) and node.name == name), None)


def _relative(module: ModuleSource, main: ModuleSource) -> str:
    """Where a module lies as seen from the function's, so that a project may move as a whole."""
    return Path(os.path.relpath(module.file, main.file.parent)).as_posix()
