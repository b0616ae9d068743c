"""A custom gate: a Python function of the project that judges a candidate; read, and never imported here."""

from dataclasses import dataclass
from pathlib import Path

from mlops_assets.project.python_function import PythonFunction, find_definition, function_of, given_parameters

GIVEN = ("figures", "rows", "truth", "scores")
"""What a gate's function is given, where it has a parameter of that name."""


@dataclass(frozen=True)
class GateFunction:
    """A function that gives whether a candidate passes, and why in words.

    Args:
        function: Where it stands, and its hash.
        given: Which of `GIVEN` it wants.
    """

    function: PythonFunction
    given: tuple[str, ...]


def read_gate_function(reference: str, *, beside: Path, root: Path) -> GateFunction:
    """Find a gate's function and see that it can be called, without importing anything.

    Args:
        reference: ``MODULE:FUNCTION``, as `mlops_assets.project.python_function.read_function` takes it.
        beside: The folder of the YAML.
        root: The folder of the project.

    Raises:
        DefinitionError: There is no such module or function, it does not parse, or it wants what it is not given.
    """
    main, _, definition = find_definition(reference, beside=beside, root=root)
    given, _ = given_parameters("custom gate", main, definition, GIVEN, "give it a default, or rename it")
    return GateFunction(function_of(main, definition, root=root), given)
