"""``mlops-assets tokens``: created, listed and revoked by command."""

import json
import os
from datetime import UTC, datetime
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from mlops_assets.cli import main
from mlops_assets.governance.tokens import TokenStore
from mlops_assets.lakehouse.home import Home
from mlops_assets.starter import write_project

NOW = datetime(2024, 1, 1, tzinfo=UTC)


@pytest.fixture
def project(tmp_path: Path, home: Home) -> Path:
    write_project(tmp_path / "shop")
    return tmp_path / "shop"


def run(project: Path, *arguments: str) -> Result:
    return CliRunner().invoke(main, ["--project", str(project), "tokens", *arguments])


def test_a_token_is_printed_once_and_opens_what_was_asked_until_it_is_revoked(project: Path, home: Home) -> None:
    done = run(project, "create", "till", "--role", "reader", "--role", "application", "--expires", "90 days")
    assert done.exit_code == 0, done.output
    token = done.stdout.strip()
    assert done.stderr == (
        "Keep it now: it cannot be shown again. Roles: reader, application; valid until 2024-03-31T00:00:00+00:00.\n"
    )
    store = TokenStore(home.folder / "trail" / "tokens.jsonl")
    found = store.principal(token, NOW)
    assert found is not None and found.roles == ("reader", "application")
    listed = run(project, "list")
    (record,) = store.list(NOW)
    assert listed.output == (
        f"{record.id}  till  reader, application  created 2024-01-01T00:00:00+00:00, "
        "valid until 2024-03-31T00:00:00+00:00\n1 tokens\n"
    )
    assert run(project, "revoke", record.id).output == f"revoked: {record.id}  till\n"
    assert store.principal(token, NOW) is None
    assert "revoked 2024-01-01T00:00:00+00:00\n" in run(project, "list").output


def test_programs_are_given_a_list_without_hashes(project: Path) -> None:
    assert json.loads(run(project, "list", "--format", "json").output) == []
    run(project, "create", "till", "--role", "reader")
    (shown,) = json.loads(run(project, "list", "--format", "json").output)
    del shown["id"]
    assert shown == {
        "name": "till",
        "roles": ["reader"],
        "created_at": "2024-01-01T00:00:00+00:00",
        "expires_at": None,
        "revoked_at": None,
        "valid": True,
    }


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["create", "till", "--role", "reeder"], "write 'reader'"),
        (["create", "till", "--role", "reader", "--expires", "soon"], "write, say, '90 days'"),
        (["revoke", "till"], "no token 'till'"),
    ],
)
def test_a_mistake_is_one_message(project: Path, arguments: list[str], told: str) -> None:
    done = run(project, *arguments)
    assert done.exit_code == 1
    assert done.output.startswith("Error: Found: ") and done.output.count("\n") == 1 and told in done.output
    assert not [name for name in os.listdir(project) if name.startswith("tokens")]
