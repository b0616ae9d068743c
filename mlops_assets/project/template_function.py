"""A user's own template: a Python function of the project that gives an estimator; read, and never imported here."""

from dataclasses import dataclass
from pathlib import Path

from mlops_assets.project.python_function import PythonFunction, find_definition, function_of, given_parameters

GIVEN = ("categories", "numbers", "seed")
"""What a template's function is given, where it has a parameter of that name."""


@dataclass(frozen=True)
class TemplateFunction:
    """A function that gives an unfitted estimator.

    Args:
        function: Where it stands, and its hash.
        given: Which of `GIVEN` it wants.
        parameters: Its other parameters, each of which has a default.
    """

    function: PythonFunction
    given: tuple[str, ...]
    parameters: tuple[str, ...]


def read_template_function(reference: str, *, beside: Path, root: Path) -> TemplateFunction:
    """Find a template's function and see that it can be called, without importing anything.

    Args:
        reference: ``MODULE:FUNCTION``, as `mlops_assets.project.python_function.read_function` takes it.
        beside: The folder of the YAML.
        root: The folder of the project.

    Raises:
        DefinitionError: There is no such module or function, it does not parse, or it wants what it is not given.
    """
    main, _, definition = find_definition(reference, beside=beside, root=root)
    given, others = given_parameters(
        "template function", main, definition, GIVEN, "give it a default, which params may set, or rename it"
    )
    return TemplateFunction(function_of(main, definition, root=root), given, others)
