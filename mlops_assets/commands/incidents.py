"""``mlops-assets incidents …``: what is off, since when, and who has it in hand."""

from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING

import click

from mlops_assets.commands.one_message import in_one_message
from mlops_assets.commands.opening import open_platform, principal_of_command

if TYPE_CHECKING:
    from mlops_assets.monitoring.incidents import Incident

NUMBER = click.argument("number", type=int)
REASON = click.option("--reason", required=True, help="Why, in words; it is recorded, with who said so and when.")
incidents = click.Group("incidents", help="See what is off, and say who has it in hand.")


@incidents.command("list")
@click.option("--all", "closed", is_flag=True, help="Also those that are over.")
@click.pass_obj
@in_one_message
def list_incidents(folder: Path, closed: bool) -> None:
    """Show the incidents that are open, the newest last."""
    from mlops_assets.monitoring.incidents import incident_events, incidents_of

    platform = open_platform(folder)
    now = platform.clock.now()
    shown = [one for one in incidents_of(incident_events(platform)) if closed or one.closed_at is None]
    for incident in shown:
        click.echo(_line(incident, now))
    if not shown:
        click.echo("nothing is off")


@incidents.command("show")
@NUMBER
@click.pass_obj
@in_one_message
def show_incident(folder: Path, number: int) -> None:
    """Tell the story of incident NUMBER."""
    from mlops_assets.monitoring.incidents import incident_events, incident_numbered

    platform = open_platform(folder)
    incident = incident_numbered(incident_events(platform), number)
    click.echo(_line(incident, platform.clock.now()))
    if incident.former:
        click.echo(f"  the same was off before: incident {incident.former}")
    for event in incident.events:
        until = f" until {event.until.isoformat()}" if event.until else ""
        click.echo(f"  {event.happened_at.isoformat()} {event.event}{until} by {event.by}: {event.words}")


@incidents.command("acknowledge")
@NUMBER
@REASON
@click.pass_obj
@in_one_message
def acknowledge(folder: Path, number: int, reason: str) -> None:
    """Say that you have incident NUMBER in hand."""
    _decide(folder, number, reason, None)


@incidents.command("snooze")
@NUMBER
@click.option("--until", required=True, type=click.DateTime(["%Y-%m-%d", "%Y-%m-%dT%H:%M"]), help="Until when, in UTC.")
@REASON
@click.pass_obj
@in_one_message
def snooze(folder: Path, number: int, until: datetime, reason: str) -> None:
    """Hear nothing of incident NUMBER until a day; if it is not over then, it is told of again."""
    _decide(folder, number, reason, until)


def _decide(folder: Path, number: int, reason: str, until: datetime | None) -> None:
    from mlops_assets.lakehouse.periods import in_utc
    from mlops_assets.monitoring.incidents import decide_incident

    platform = open_platform(folder)
    who, moment = principal_of_command(platform), in_utc(until) if until else None
    click.echo(_line(decide_incident(platform, number, who, reason, moment), platform.clock.now()))


def _line(incident: "Incident", now: datetime) -> str:
    opened = f"since {incident.opened_at:%Y-%m-%d %H:%M}"
    return f"{incident.number} {incident.state(now)} {opened}, {incident.name}: {incident.words}"
