"""Roles that a project declares beside the platform's."""

from pathlib import Path

import pytest

from mlops_assets.errors import DefinitionError
from mlops_assets.governance.access import ROLES
from mlops_assets.lakehouse.home import Home
from mlops_assets.platform import Platform
from mlops_assets.project.role_settings import read_roles
from mlops_assets_tests.project.small_project import SmallProject


@pytest.fixture
def shop(tmp_path: Path) -> SmallProject:
    """The small project, in a package beside which a pyproject.toml may lie."""
    return SmallProject(tmp_path / "shop" / "defs")


def settle(project: SmallProject, text: str) -> None:
    (project.folder.parent.parent / "pyproject.toml").write_text(text, encoding="utf-8")


def test_a_project_without_roles_of_its_own_has_the_platforms(shop: SmallProject) -> None:
    assert shop.load().roles == ROLES
    settle(shop, "[project]\nname = 'shop'\n")
    assert shop.load().roles == ROLES


def test_a_token_carries_a_role_of_the_project_and_what_it_allows_follows_the_project(
    shop: SmallProject, home: Home
) -> None:
    settle(shop, '[tool.mlops_assets.roles]\nnurse = ["features:read", "features:read_personal"]\n')
    platform = Platform.of(shop.load(), home)
    now = platform.clock.now()
    token = platform.tokens.create("ward 3", ("nurse",), None, now)
    found = platform.tokens.principal(token, now)
    assert found is not None and found.scopes == {"features:read", "features:read_personal"}
    settle(shop, '[tool.mlops_assets.roles]\nnurse = ["features:read"]\n')
    found = Platform.of(shop.load(), home).tokens.principal(token, now)
    assert found is not None and found.scopes == {"features:read"}
    settle(shop, "")
    found = Platform.of(shop.load(), home).tokens.principal(token, now)
    assert found is not None and not found.scopes


@pytest.mark.parametrize(
    ("text", "found", "cure"),
    [
        (
            'nurse = ["feature:read"]',
            "scope 'feature:read' of role 'nurse' in [tool.mlops_assets.roles]",
            "write 'features:read'",
        ),
        ('nurse = ["everything"]', "scope 'everything' of role 'nurse' in [tool.mlops_assets.roles]", "correct"),
        ("nurse = [1]", "scope '1' of role 'nurse' in [tool.mlops_assets.roles]", "correct"),
        ('nurse = "features:read"', "role 'nurse' = 'features:read'", "list its scopes"),
        ("nurse = []", "role 'nurse' = []", "list its scopes"),
        ('reader = ["administer"]', "role 'reader', which the platform has", "choose another name"),
        ('"Head nurse" = ["predict"]', "role 'Head nurse'", "choose another name"),
    ],
)
def test_roles_that_mean_nothing_are_refused_with_their_file(
    shop: SmallProject, text: str, found: str, cure: str
) -> None:
    settle(shop, f"[tool.mlops_assets.roles]\n{text}\n")
    with pytest.raises(DefinitionError) as refused:
        read_roles(shop.folder)
    assert refused.value.found == found and cure in refused.value.cure
    assert refused.value.where is not None and refused.value.where.file.name == "pyproject.toml"
    assert refused.value.where.line == 2
