"""The plugin of pytest that comes with the package: fixtures that cost nothing until a test asks for one."""

from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from collections.abc import Callable

    from mlops_assets.platform import Platform
    from mlops_assets.testing.monitored import Monitored


@pytest.fixture(scope="session")
def project_under_test(pytestconfig: pytest.Config) -> "Platform":
    """The project in pytest's root folder, with the home that ``MLOPS_HOME`` names (by default ``.mlops`` in it)."""
    from mlops_assets.lakehouse.home import Home
    from mlops_assets.platform import Platform
    from mlops_assets.project.folder import find_project

    found = find_project(pytestconfig.rootpath)
    return Platform.of(found.read(), Home.find(found.folder))


@pytest.fixture(scope="session")
def monitored(project_under_test: "Platform") -> "Callable[[str], Monitored]":
    """Gives the past periods of a model by its name, with how the platform judges one more."""
    from mlops_assets.testing.monitored import monitored_model

    return lambda model: monitored_model(project_under_test, project_under_test.project.model(model))
