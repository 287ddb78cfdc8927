"""`python -m model_export`: from recordings to an exported graph."""

import sys

import typer

from service.engine.errors import AttLocError


def create_app() -> typer.Typer:
    """The command line with every command registered.

    A module with a command offers `register(app)` and is named here; what is heavy to import stays inside
    its command, so that `--help` is quick.
    """
    # Here, so that `main` can say which extra is missing: the service's environment has none of this.
    from model_export import evaluate, figures, train
    from model_export.comparison import compare, reproduce
    from model_export.data import collection, recordings, render
    from model_export.release import release
    from model_export.training import teach

    # Without rich: its markup swallows what stands in brackets, as "[default: 20]".
    app = typer.Typer(no_args_is_help=True, add_completion=False, rich_markup_mode=None)

    @app.callback(help=__doc__)
    def main() -> None:
        """Keeps the command's name necessary, however few there are."""

    for module in (
        collection,
        render,
        recordings,
        teach,
        train,
        compare,
        evaluate,
        release,
        figures,
        reproduce,
    ):
        module.register(app)
    return app


def main() -> None:
    """Run the command line.

    What this project refuses is one line, not a traceback; so is a file that cannot be read or written.
    """
    try:
        create_app()()
    except AttLocError as error:
        sys.exit(f"error: {error}")
    except OSError as error:
        sys.exit(f"error: {error.filename}: {error.strerror}" if error.filename else f"error: {error}")
    except ModuleNotFoundError as error:
        sys.exit(f"error: {error.name} is not installed: pip install '.[cpu,train]'")


if __name__ == "__main__":
    main()
