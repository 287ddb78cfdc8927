"""Command line: `python -m service` serves; `tag` and `archive` analyse files; `key` and `openapi` print."""

import json
import logging
import sys
from pathlib import Path
from typing import Annotated, NoReturn

import typer
from rich.console import Console
from rich.padding import Padding

from service.engine.errors import AttLocError
from service.settings import Settings, describe, read_settings

app = typer.Typer(add_completion=False, rich_markup_mode=None, pretty_exceptions_enable=False)


def _help_with_settings(context: typer.Context, wanted: bool) -> None:
    if not wanted or context.resilient_parsing:
        return
    console = Console(highlight=False, markup=False)
    console.print(context.get_help())
    console.print("Settings, from the environment:\n")
    for name, default, description in describe():
        console.print(f"  {name} ({default})", soft_wrap=True)
        console.print(Padding(description, (0, 0, 0, 6)))
    raise typer.Exit


@app.callback(invoke_without_command=True, add_help_option=False)
def main(
    context: typer.Context,
    _: Annotated[
        bool,
        typer.Option(
            "--help", is_eager=True, callback=_help_with_settings, help="Show this and every setting."
        ),
    ] = False,
) -> None:
    """Audio tagging with temporal localization over HTTP. Without a command: serve."""
    if context.invoked_subcommand is None:
        serve()


@app.command()
def serve() -> None:
    """Start the server."""
    from prometheus_client import disable_created_metrics

    from service.api.logs import configure
    from service.app import create_app
    from service.heaps import share_heaps
    from service.server.server import serve as run

    share_heaps()
    settings = _settings()
    as_json = settings.log_format == "json" or (settings.log_format == "auto" and not sys.stderr.isatty())
    configure(settings.log_level, json=as_json)
    disable_created_metrics()  # type: ignore[no-untyped-call]  # a second series for every one of ours
    try:
        application = create_app(settings)
    except AttLocError as error:
        _give_up(error)
    raise typer.Exit(run(application, settings))


@app.command()
def tag(
    files: Annotated[list[Path], typer.Argument(help="Recordings: WAV, FLAC or Ogg.")],
    as_json: Annotated[
        bool, typer.Option("--json", help="One JSON document a line, as POST /tag answers.")
    ] = False,
) -> None:
    """Analyse files with the engine of the service; exit code 1 if any cannot be."""
    from service.api.state import open_tagger
    from service.engine.observer import Observer
    from service.files import analyse_file, table_of

    settings = _settings()
    logging.basicConfig(level=logging.WARNING)
    console, complaints = Console(), Console(stderr=True)
    failed = False
    try:
        tagger = open_tagger(settings, Observer())
    except AttLocError as error:
        _give_up(error)
    with tagger:
        for path in files:
            try:
                document = analyse_file(tagger, path)
            except (AttLocError, OSError) as error:
                reason = error.strerror if isinstance(error, OSError) else error
                complaints.print(
                    f"{path}: {reason}", style="red", markup=False, highlight=False, soft_wrap=True
                )
                failed = True
                continue
            if as_json:
                typer.echo(json.dumps({"file": str(path), **document}))
            else:
                console.print(table_of(path, document))
    raise typer.Exit(1 if failed else 0)


@app.command()
def archive(
    # A path would lose the slashes by which a URL is told.
    out: Annotated[str, typer.Option(help="The archive's own folder; given again, a run goes on there.")],
    inputs: Annotated[
        list[str] | None, typer.Argument(help="Recordings, folders, and URLs (s3, gs, http, ...).")
    ] = None,
    lists: Annotated[
        list[str] | None,
        typer.Option("--list", help="A file of paths and URLs, a line each or NUL-separated; - is stdin."),
    ] = None,
    match: Annotated[
        list[str] | None, typer.Option(help="Take only files whose name matches, as '*.wav'; repeatable.")
    ] = None,
    curves: Annotated[bool, typer.Option(help="Keep the frame-level curves too.")] = False,
    checksum: Annotated[
        bool, typer.Option(help="Read known recordings again, whatever their time of modification.")
    ] = False,
    partitions: Annotated[
        int | None, typer.Option(min=1, max=1_000_000, help="Parts of a new archive; unset: by its size.")
    ] = None,
    checkpoint: Annotated[float, typer.Option(min=0, help="Seconds of work that a kill may cost.")] = 5.0,
    ray: Annotated[
        str | None, typer.Option(help="Address of a Ray cluster; `local` starts one on this machine.")
    ] = None,
    quiet: Annotated[bool, typer.Option(help="Show no progress.")] = False,
) -> None:
    """Tag whole archives into Parquet: events, chunk scores, and the recordings that cannot be read."""
    settings = _settings()
    logging.basicConfig(level=logging.WARNING)
    try:
        from service.archive.command import tag_archive
    except ImportError as error:
        typer.echo(f"attloc: {error.name} is not installed: pip install '.[archive]'", err=True)
        raise typer.Exit(2) from None
    try:
        tag_archive(
            settings,
            out=out,
            inputs=inputs or [],
            lists=lists or [],
            match=match or [],
            curves=curves,
            checksum=checksum,
            partitions=partitions,
            checkpoint_s=checkpoint,
            ray=ray,
            quiet=quiet,
        )
    except AttLocError as error:
        _give_up(error)
    except KeyboardInterrupt:
        typer.echo("attloc: interrupted; the same command goes on from here", err=True)
        raise typer.Exit(130) from None


@app.command()
def key(
    name: Annotated[str, typer.Argument(help="Who holds it: letters, digits, `.`, `_`, `-`.")],
    rate: Annotated[
        float | None, typer.Option(min=0.001, max=1_000_000, help="Requests a second it may make.")
    ] = None,
) -> None:
    """Make an API key: the key goes to standard error, its line for the file of keys to standard output."""
    from service.api.keys import Key, digest_of, new_key

    secret = new_key()
    line = f"{name}:{digest_of(secret)}" + (f":{rate:.12g}" if rate is not None else "")
    try:
        Key.parse(line)
    except ValueError:
        raise typer.BadParameter("1 to 64 letters, digits, `.`, `_`, `-`", param_hint="NAME") from None
    # Apart, so that `>> keys.txt` writes the line and shows the key: the file must not hold it.
    typer.echo(f"The key, shown this once:\n{secret}\nIts line for ATTLOC_API_KEYS_FILE:", err=True)
    typer.echo(line)


@app.command()
def openapi() -> None:
    """Print the OpenAPI document."""
    from service.app import create_app

    document = create_app(Settings()).openapi()
    typer.echo(json.dumps(document, indent=2, ensure_ascii=False))


def _settings() -> Settings:
    try:
        return read_settings()
    except AttLocError as error:
        _give_up(error)


def _give_up(error: AttLocError) -> NoReturn:
    typer.echo(f"attloc: {error}", err=True)
    raise typer.Exit(2)


if __name__ == "__main__":
    app()
