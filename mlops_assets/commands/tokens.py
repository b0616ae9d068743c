"""``mlops-assets tokens …``: whoever may use the machine's files gives tokens to others."""

import json
from pathlib import Path

import click

from mlops_assets.commands.one_message import in_one_message
from mlops_assets.commands.opening import open_platform
from mlops_assets.commands.options import AS_TEXT_OR_JSON


@click.group()
def tokens() -> None:
    """Give applications and people access, and take it back."""


@tokens.command("create")
@click.argument("name")
@click.option("--role", "roles", multiple=True, required=True, help="What it may do; give it again for more roles.")
@click.option("--expires", help='How long it is valid, such as "90 days", or until when; by default until revoked.')
@click.pass_obj
@in_one_message
def create(folder: Path, name: str, roles: tuple[str, ...], expires: str | None) -> None:
    """Make a token for NAME, who or what is to use it, and print it: this one time only."""
    from mlops_assets.governance.tokens import expiry
    from mlops_assets.lakehouse.home import Home
    from mlops_assets.platform import Platform
    from mlops_assets.project.folder import find_project

    project = find_project(folder)
    platform = Platform.of(project.read(), Home.find(project.folder).prepare())
    now = platform.clock.note()
    until = expiry(expires, now) if expires else None
    token = platform.tokens.create(name, roles, until, now)
    click.echo(token)
    valid = f"until {until.isoformat()}" if until else "until it is revoked"
    click.echo(f"Keep it now: it cannot be shown again. Roles: {', '.join(roles)}; valid {valid}.", err=True)


@tokens.command("list")
@AS_TEXT_OR_JSON
@click.pass_obj
@in_one_message
def list_tokens(folder: Path, form: str) -> None:
    """Show the tokens that were ever created, the valid ones first; never the tokens themselves."""
    from mlops_assets.governance.tokens import TokenRecord

    platform = open_platform(folder)
    now = platform.clock.now()
    found = platform.tokens.list(now)

    def state(record: TokenRecord) -> str:
        if record.revoked_at:
            return f"revoked {record.revoked_at.isoformat()}"
        if record.expires_at:
            return f"{'valid until' if record.valid(now) else 'expired'} {record.expires_at.isoformat()}"
        return "valid"

    if form == "json":
        shown = [
            {
                "id": record.id,
                "name": record.name,
                "roles": record.roles,
                "created_at": record.created_at.isoformat(),
                "expires_at": record.expires_at.isoformat() if record.expires_at else None,
                "revoked_at": record.revoked_at.isoformat() if record.revoked_at else None,
                "valid": record.valid(now),
            }
            for record in found
        ]
        click.echo(json.dumps(shown, indent=2))
        return
    for record in found:
        created = record.created_at.isoformat()
        click.echo(f"{record.id}  {record.name}  {', '.join(record.roles)}  created {created}, {state(record)}")
    click.echo(f"{len(found)} tokens")


@tokens.command("revoke")
@click.argument("id_or_name")
@click.pass_obj
@in_one_message
def revoke(folder: Path, id_or_name: str) -> None:
    """Let a token open nothing any more: a running server refuses it from its next request on."""
    platform = open_platform(folder)
    record = platform.tokens.revoke(id_or_name, platform.clock.note())
    click.echo(f"revoked: {record.id}  {record.name}")
