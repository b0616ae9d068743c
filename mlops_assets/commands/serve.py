"""``mlops-assets serve``."""

from pathlib import Path

import click

from mlops_assets.commands.one_message import in_one_message
from mlops_assets.lakehouse.home import Home
from mlops_assets.project.folder import find_project


class _Serve(click.Command):
    """Lists the limits in its help, without importing the server for any other command."""

    def format_epilog(self, context: click.Context, formatter: click.HelpFormatter) -> None:
        from mlops_assets.serving.settings import limits

        with formatter.section("Limits, from the environment"):
            formatter.write_dl([(variable, f"{says} (default {default})") for _, variable, default, says in limits()])


@click.command(cls=_Serve)
@click.option("--host", default="127.0.0.1", show_default=True, help="Address to listen on.")
@click.option("--port", default=8000, show_default=True, help="Port to listen on; 0 for any that is free.")
@click.pass_obj
@in_one_message
def serve(folder: Path, host: str, port: int) -> None:
    """Serve features over HTTP, and pages to find them, until it is stopped.

    On a fresh machine it prints one token. It listens to other machines only once somebody has a token.
    """
    from mlops_assets.serving.settings import ServingSettings

    project = find_project(folder)
    definition, home = project.read(), Home.find(project.folder).prepare()
    settings = ServingSettings.from_environment(host, port)
    from mlops_assets.governance.tokens import first_token, require_tokens_for
    from mlops_assets.platform import Platform
    from mlops_assets.serving.app import create_app
    from mlops_assets.serving.context import ServingContext
    from mlops_assets.serving.server import listen, run

    platform = Platform.of(definition, home)
    app = create_app(platform, settings)
    context: ServingContext = app.state.context
    _ = context.online  # a URL of no store is refused now, and not with the first request
    tokens, now = context.tokens, home.clock.now()
    require_tokens_for(host, tokens, now)
    with listen(settings) as listening:
        token = first_token(tokens, now)
        if token:
            click.echo(f"Token of an administrator, shown this once: {token}")
        address = listening.getsockname()
        name = f"[{address[0]}]" if ":" in address[0] else address[0]
        click.echo(f"Serving on http://{name}:{address[1]} (its routes: /docs)")
        run(app, settings, listening)
