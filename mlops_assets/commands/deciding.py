"""``mlops-assets models approve|reject|rollback|retire|delete|prune``: what people decide about versions."""

import functools
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from mlops_assets.commands.one_message import in_one_message
from mlops_assets.commands.opening import open_platform, principal_of_command

if TYPE_CHECKING:
    from mlops_assets.governance.access import Principal
    from mlops_assets.platform import Platform
    from mlops_assets.project.definition import ModelDefinition

MODEL = click.argument("model")
VERSION = click.argument("version", type=int)
REASON = click.option("--reason", required=True, help="Why, in words; it is recorded, with who decided and when.")


def _decision(command: Callable[..., None]) -> Callable[..., None]:
    """A command that decides about a model: given platform, model and who decides, by MLOPS_TOKEN."""

    @functools.wraps(command)
    @click.pass_obj
    @in_one_message
    def given(folder: Path, model: str, **options: Any) -> None:

        platform = open_platform(folder)
        definition = platform.project.model(model)
        command(platform, definition, principal_of_command(platform), **options)

    return given


@click.command()
@MODEL
@VERSION
@REASON
@_decision
def approve(platform: "Platform", model: "ModelDefinition", who: "Principal", version: int, reason: str) -> None:
    """Approve VERSION of MODEL: it is the champion from now on. Needs a token with models:approve in MLOPS_TOKEN."""
    from mlops_assets.models.approving import approve as decide
    from mlops_assets.models.records import candidate_of_version

    done = decide(platform, model, version, who, reason)
    asked = candidate_of_version(platform, model, version).requested_by
    click.echo(f"{model.name}: version {version} serves since {done.happened_at.isoformat()}, approved by {done.by}")
    click.echo(f"its training was asked for by {asked}")


@click.command()
@MODEL
@VERSION
@REASON
@_decision
def reject(platform: "Platform", model: "ModelDefinition", who: "Principal", version: int, reason: str) -> None:
    """Reject VERSION of MODEL: it waits no longer. Needs a token with models:approve in MLOPS_TOKEN."""
    from mlops_assets.models.approving import reject as decide

    done = decide(platform, model, version, who, reason)
    click.echo(f"{model.name}: version {version} was rejected at {done.at.isoformat()} by {done.by}")


@click.command()
@MODEL
@click.option("--to", type=int, help="Which version; by default the one that served before the champion.")
@REASON
@_decision
def rollback(platform: "Platform", model: "ModelDefinition", who: "Principal", to: int | None, reason: str) -> None:
    """Let a version of MODEL that served before serve again, from now on."""
    from mlops_assets.models.promotion import rollback as decide

    done = decide(platform, model, who, reason, to)
    approved = [one for one in platform.approvals.of(model.name) if one.version == done.version]
    words = f" (approved by {approved[-1].by} at {approved[-1].at.isoformat()})" if approved else ""
    click.echo(f"{model.name}: version {done.version} serves since {done.happened_at.isoformat()}, by {done.by}{words}")


@click.command()
@MODEL
@VERSION
@REASON
@_decision
def retire(platform: "Platform", model: "ModelDefinition", who: "Principal", version: int, reason: str) -> None:
    """Take VERSION of MODEL out: nobody can promote it or roll back to it any more."""
    from mlops_assets.models.retirement import retire as decide

    done = decide(platform, model, version, who, reason)
    click.echo(f"{model.name}: version {version} was retired at {done.happened_at.isoformat()} by {done.by}")


@click.command()
@MODEL
@VERSION
@REASON
@_decision
def delete(platform: "Platform", model: "ModelDefinition", who: "Principal", version: int, reason: str) -> None:
    """Delete VERSION of MODEL, which never served, and its fits; what is recorded of it stays."""
    from mlops_assets.models.retirement import delete as decide

    done = decide(platform, model, version, who, reason)
    click.echo(f"{model.name}: version {version} was deleted at {done.happened_at.isoformat()} by {done.by}")


@click.command()
@MODEL
@click.option("--dry-run", is_flag=True, help="Say what would be deleted; delete nothing.")
@_decision
def prune(platform: "Platform", model: "ModelDefinition", who: "Principal", dry_run: bool) -> None:
    """Delete the fits of MODEL that never served and are older than the retention in its YAML."""
    from mlops_assets.models.promotion import require_decider
    from mlops_assets.models.retirement import prunable
    from mlops_assets.models.retirement import prune as decide

    if not dry_run:
        require_decider(platform, model, who, "the retention")
    found = prunable(platform, model) if dry_run else decide(platform, model)
    done = "would be deleted" if dry_run else "deleted"
    for item in found:
        named = f"version {item.version}" if item.version else "no version"
        click.echo(f"{item.candidate} ({named}), trained at {item.trained_at.isoformat()}: {done}")
    kept = f"candidates are kept for {model.candidate_retention}" if model.candidate_retention else "all are kept"
    click.echo(f"{len(found)} candidates {done}; {kept}")
