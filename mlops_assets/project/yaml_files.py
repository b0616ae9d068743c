"""Reading ``defs.yaml`` files, keeping the line of every value, so that an error can point at it."""

import os
import re
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import yaml
from pydantic import ValidationError

from mlops_assets.errors import DefinitionError, Location, PlatformError, cannot_open, nearest
from mlops_assets.project.attributes import RENAMED, Attributes
from mlops_assets.project.text_files import read_text

FILE_NAME = "defs.yaml"
COMPONENT_PREFIX = "mlops_assets."
Path_ = tuple[str | int, ...]
BESIDE_ATTRIBUTES = ("type", "attributes", "template_vars_module", "requirements", "post_processing")
"""What Dagster takes in a document of a component."""

MAX_VALUES = 100_000
_UNKNOWN = ("extra_forbidden", "unexpected_keyword_argument")
"""What pydantic calls a field that does not exist, of a document of either kind."""

_TEMPLATE = re.compile(r"\{(\{.*?\}|%.*?%|#.*?#)\}", re.DOTALL)
"""What Dagster's own components take for a template in a text; ours would keep it with its braces."""
MAX_QUOTED = 100
"""So many characters of a value are told."""
_LOADER = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
"""The fast reader, where PyYAML was built with it."""

SomeAttributes = TypeVar("SomeAttributes", bound=Attributes)


@dataclass(frozen=True)
class Document:
    """One YAML document that declares a component of ours.

    Args:
        file: The file it is in.
        kind: The component's name without the package, such as ``Source``.
        attributes: What stands under ``attributes``, as plain values.
        lines: The line of each value below ``attributes``, by its path.
    """

    file: Path
    kind: str
    attributes: Mapping[str, Any]
    lines: Mapping[Path_, int]

    def at(self, *path: str | int) -> Location:
        """The place of a value, or of the closest one around it that is there."""
        while path and path not in self.lines:
            path = path[:-1]
        return Location(self.file, self.lines.get(path))

    def parse(self, model: type[SomeAttributes]) -> SomeAttributes:
        """Validate the attributes.

        Raises:
            DefinitionError: With the place of the first fault, and how many there are.
        """
        try:
            return model.model_validate(self.attributes)
        except ValidationError as error:
            raise self._first_fault(error) from None

    def _first_fault(self, error: ValidationError) -> PlatformError:
        """The error for the first of pydantic's faults."""
        first = error.errors()[0]
        path = self._written(first["loc"], keep_last=first["type"] == "missing")
        told = first.get("ctx", {}).get("error")
        if isinstance(told, Exception) and isinstance(told.__cause__, PlatformError):
            return told.__cause__.at(self.at(*path))
        name = ".".join(str(part) for part in path)
        found, cure = f"wrong value in '{name}'", "correct the value"
        # What is a tuple here is a list in YAML.
        expected = first["msg"].removeprefix("Value error, ").replace("Tuple", "List").replace("tuple", "list")
        renamed = RENAMED.get(".".join("*" if isinstance(part, int) else part for part in path))
        if renamed and first["type"] in _UNKNOWN:
            found, expected, cure = f"'{name}'", f"'{renamed}', as it is called now", "rename it"
        elif first["type"] in _UNKNOWN:
            found, cure = f"unknown field '{name}'", "correct the name, or take the field out"
            expected = f"fields that {self.kind} has"
        elif first["type"] == "missing":
            found, expected, cure = f"missing field '{name}'", f"'{name}' in every {self.kind}", "add it"
        elif isinstance(first["input"], bool):
            expected += "; without quotation marks YAML takes on, off, yes and no for true and false"
            cure = "put it between quotation marks"
        others = error.error_count() - 1
        more = f" (and {others} more fault{'s' * (others > 1)})" if others else ""
        return DefinitionError(found + more, expected, cure, where=self.at(*path))

    def require_among(
        self, name: str, names: Iterable[str], found: str, cure: str, *path: str | int, what: str = "one of"
    ) -> None:
        """See that a name is one that is there.

        Args:
            name: The name.
            names: Those that there are.
            found: What to say that it is, in an error.
            cure: What to do where no name is near to it.
            path: Where it is written.
            what: What those are that there are.

        Raises:
            DefinitionError: It is none of them.
        """
        if name not in (there := list(names)):
            expected, where = f"{what}: {', '.join(there)}", self.at(*path)
            raise DefinitionError(found, expected, nearest(name, there, cure), where=where)

    @contextmanager
    def located(self, *path: str | int) -> Iterator[None]:
        """Give an error that is raised inside the place of a value, unless it stands in another file."""
        try:
            yield
        except PlatformError as error:
            raise (error if error.where and error.where.file != self.file else error.at(self.at(*path))) from None

    def _written(self, path: Path_, *, keep_last: bool) -> Path_:
        """The path of a fault as it was written: where a value may have several forms, pydantic's names the form."""
        written, value = [], self.attributes
        for place, part in enumerate(path):
            inside = part in value if isinstance(value, Mapping) else isinstance(value, list) and isinstance(part, int)
            if inside:
                value = value[part]  # type: ignore[index]
            if inside or (keep_last and place == len(path) - 1):
                written.append(part)
        return tuple(written)


def read_documents(folder: Path) -> Iterator[Document]:
    """All documents of our components below a folder, in the order of file names and lines.

    Raises:
        DefinitionError: A file is not YAML, a document is not of the form ``type`` and ``attributes``, or a value
            cannot be read.
    """
    for file in sorted(_files(folder)):
        nodes = _nodes(file, read_text(file, "a file of definitions in UTF-8"))
        if not any(node is not None for node in nodes):
            raise DefinitionError(
                "a file without definitions",
                "at least one document",
                "write one, or delete the file",
                where=Location(file),
            )
        for node in nodes:
            document = _document(file, node)
            if document:
                yield document


def read_attributes(file: Path, text: str, kind: str) -> Document:
    """A document that holds attributes alone, such as a policy to try.

    Args:
        file: What it is told as in errors.
        text: The YAML.
        kind: What it holds, in a word.

    Raises:
        DefinitionError: It is not YAML, or holds no fields.
    """
    lines: dict[Path_, int] = {}
    values = [_value(file, node, (), lines) for node in _nodes(file, text) if node is not None]
    if len(values) != 1 or not isinstance(values[0], dict):
        raise DefinitionError(
            f"{len(values)} documents, or one without fields",
            f"the fields of one {kind}",
            "correct it",
            where=Location(file),
        )
    return Document(file, kind, values[0], lines)


def _nodes(file: Path, text: str) -> list[yaml.Node | None]:
    """The documents in a text."""
    try:
        # Dagster reads with the other of the two, which takes no tab for a space.
        return list(yaml.compose_all(text, Loader=yaml.SafeLoader if "\t" in text else _LOADER))
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        raise DefinitionError(
            f"a file that is not YAML ({getattr(error, 'problem', None) or error})",
            "YAML in UTF-8",
            "correct the file",
            where=Location(file, mark.line + 1 if mark else None),
        ) from error


def _files(folder: Path) -> Iterator[Path]:
    """The files of definitions; what cannot be looked into is an error, and not empty."""

    def refuse(error: OSError) -> None:
        raise cannot_open(error.filename, error.strerror or "") from error

    for place, folders, files in os.walk(folder, onerror=refuse):
        yield from (Path(place) / name for name in (*folders, *files) if name == FILE_NAME)


def place_of(declared: Location, name: str, *path: str | int) -> Location:
    """The place of a value in the document that declares a name."""
    document = document_of(declared, name)
    return document.at(*path) if document else declared


def document_of(declared: Location, name: str) -> Document | None:
    """The document that declares a name, as it stands now; None where it is gone."""
    for document in read_documents(declared.file.parent):
        if document.file == declared.file and document.attributes.get("name") == name:
            return document
    return None


def _document(file: Path, node: yaml.Node | None) -> Document | None:
    if node is None:
        return None
    lines: dict[Path_, int] = {}
    value = _value(file, node, (), lines)
    if value is None:  # nothing between two lines of dashes
        return None
    if not isinstance(value, dict) or not isinstance(value.get("type"), str):
        raise DefinitionError(
            "a document without a 'type'",
            "'type: mlops_assets.Source', FeatureTable or Model, then 'attributes:'",
            "add the type",
            where=Location(file, node.start_mark.line + 1),
        )
    if not value["type"].startswith(COMPONENT_PREFIX):
        return None
    if strange := [name for name in value if name not in BESIDE_ATTRIBUTES]:
        raise DefinitionError(
            f"unknown field '{strange[0]}' beside 'attributes'",
            f"one of: {', '.join(BESIDE_ATTRIBUTES)}",
            "put it under attributes, or take it out",
            where=Location(file, lines[(strange[0],)]),
        )
    inner = {path[1:]: line for path, line in lines.items() if path[:1] == ("attributes",)}
    type_name = value["type"].rsplit(".", 1)[1]
    return Document(file, type_name, value.get("attributes") or {}, {**inner, (): node.start_mark.line + 1})


def _value(file: Path, node: yaml.Node, path: Path_, lines: dict[Path_, int]) -> Any:
    lines[path] = node.start_mark.line + 1
    if len(lines) > MAX_VALUES:
        raise DefinitionError(
            f"a document of more than {MAX_VALUES} values, those that others repeat counted each time",
            "a document that somebody can read",
            "take out aliases that repeat each other",
            where=Location(file, node.start_mark.line + 1),
        )
    if isinstance(node, yaml.MappingNode):
        result: dict[Any, Any] = {}
        for key_node, value_node in node.value:
            where = Location(file, key_node.start_mark.line + 1)
            if not isinstance(key_node, yaml.ScalarNode):
                raise DefinitionError(
                    "a list or braces in the place of a field's name",
                    "a name before each colon",
                    "put a text that begins with a brace between quotation marks",
                    where=where,
                )
            key = _value(file, key_node, (*path, "<key>"), {})
            if isinstance(key, bool) and key_node.value.lower() not in ("true", "false"):
                raise DefinitionError(
                    f"a field '{key_node.value}', which YAML takes for {str(key).lower()}",
                    "a text",
                    f'put it between quotation marks: "{key_node.value}"',
                    where=where,
                )
            if key in result:
                raise DefinitionError(f"a second field '{key}'", "each field once", "take one of them out", where=where)
            result[key] = _value(file, value_node, (*path, key), lines)
            lines[(*path, key)] = key_node.start_mark.line + 1
        return result
    if isinstance(node, yaml.SequenceNode):
        return [_value(file, child, (*path, number), lines) for number, child in enumerate(node.value)]
    if path[:1] == ("attributes",) and (template := _TEMPLATE.search(node.value)):
        raise DefinitionError(
            f"the template '{template[0]}'",
            "values that are the same wherever the project is read: its definitions are hashed as they are written",
            "write the value itself; a secret is given by a variable of the environment that a field names, such as "
            "url_variable",
            where=Location(file, node.start_mark.line + 1),
        )
    loader = yaml.SafeLoader("")
    try:
        value = loader.construct_object(node, deep=True)
        if isinstance(value, int):
            float(value)  # whatever computes with it holds no larger one
        return value
    except (yaml.YAMLError, ValueError, OverflowError) as error:
        written = node.value if len(node.value) <= MAX_QUOTED else f"{node.value[:MAX_QUOTED]}…"
        raise DefinitionError(
            f"the value '{written}', which cannot be read ({getattr(error, 'problem', None) or error})",
            "a text, a number or a date that the calendar has",
            "correct it, or put it between quotation marks",
            where=Location(file, node.start_mark.line + 1),
        ) from None
    finally:
        loader.dispose()
