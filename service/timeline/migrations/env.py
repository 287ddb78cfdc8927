"""Run by Alembic: on the connection handed over by `Database.migrate`, or for a developer's own command.

A new migration, after changing schema.py, from a throw-away database at the last revision:
    alembic -c service/timeline/migrations/alembic.ini upgrade head
    alembic -c service/timeline/migrations/alembic.ini revision --autogenerate -m "say what"
"""

from alembic import context
from sqlalchemy import Connection, create_engine

from service.timeline.schema import metadata


def _run(connection: Connection) -> None:
    # DDL is transactional in both databases here: SQLite's transaction is begun by hand.
    context.configure(connection=connection, target_metadata=metadata, transactional_ddl=True)
    with context.begin_transaction():
        context.run_migrations()


given = context.config.attributes.get("connection")
if given is not None:
    _run(given)
else:
    with create_engine(context.config.get_main_option("sqlalchemy.url") or "").begin() as own:
        _run(own)
