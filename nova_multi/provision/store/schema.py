# SPDX-License-Identifier: Apache-2.0
"""Brings a database to the tables that this version works with."""

from __future__ import annotations

import contextlib
import os
import pathlib
import threading
from collections.abc import Iterator

import sqlalchemy as sa
from alembic import command, util
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from alembic.script.revision import RevisionError

from nova_multi.domain import times
from nova_multi.domain.errors import Unavailable
from nova_multi.exception import ConfigurationError
from nova_multi.provision.store.database import Database, is_mysql, is_sqlite

_MIGRATIONS = pathlib.Path(__file__).parent / "migrations"
#: Seconds to wait for another process that does the same.
_LOCK_TIMEOUT = 300
_LOCK = "nova_multi.db_sync"

#: alembic keeps what it is doing in global variables.
_one_at_a_time = threading.Lock()


def db_sync(url: str) -> None:
    """Make or upgrade the tables; may be repeated, by several processes at once.

    The file of SQLite and its folder are made, for nobody else to read.

    :raises ConfigurationError: the database was made by a newer version.
    :raises Unavailable: the database does not answer.
    """
    # A change of a large table takes its time.
    database = Database(url, times.now, answer_timeout=None)
    try:
        if is_sqlite(database.engine):
            _prepare_file(database.engine)
        with (
            _one_at_a_time,
            database.write() as connection,
            _mysql_lock(connection),
            _known_revisions(),
        ):
            config = _config()
            config.attributes["connection"] = connection
            command.upgrade(config, "head")
    finally:
        database.close()


def version(url: str) -> str | None:
    """The revision that a database is at; None for one without our tables."""
    database = Database(url, times.now)
    try:
        if is_sqlite(database.engine) and not _path(database.engine).exists():
            return None
        with database.read() as connection:
            return MigrationContext.configure(connection).get_current_revision()
    finally:
        database.close()


def pending(url: str) -> tuple[str, ...]:
    """Revisions that :func:`db_sync` would apply, in that order.

    :raises ConfigurationError: the database was made by a newer version.
    """
    now = version(url)
    with _known_revisions():
        script = ScriptDirectory.from_config(_config())
        found = [one.revision for one in script.iterate_revisions("head", now)]
    return tuple(reversed(found))


def _config() -> Config:
    config = Config()
    # A percent sign would be taken for a variable.
    location = str(_MIGRATIONS).replace("%", "%%")
    config.set_main_option("script_location", location)
    config.set_main_option("path_separator", "os")
    return config


@contextlib.contextmanager
def _known_revisions() -> Iterator[None]:
    try:
        yield
    except (util.CommandError, RevisionError) as error:
        raise ConfigurationError(
            f"the database is not one that this version can work with: {error}"
        ) from error


def _path(engine: sa.Engine) -> pathlib.Path:
    return pathlib.Path(engine.url.database or "")


def _prepare_file(engine: sa.Engine) -> None:
    path = _path(engine)
    try:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        # SQLite gives the files beside it the same mode. One that was there already,
        # such as a restored one, may have been readable for all.
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            if os.fstat(descriptor).st_mode & 0o077:
                os.fchmod(descriptor, 0o600)
        finally:
            os.close(descriptor)
    except OSError as error:
        raise Unavailable(f"the database can't be made: {error}") from error
    # The file remembers it. Readers and the writer then don't wait for each other.
    with contextlib.closing(engine.raw_connection()) as connection:
        connection.cursor().execute("PRAGMA journal_mode = WAL")


@contextlib.contextmanager
def _mysql_lock(connection: sa.Connection) -> Iterator[None]:
    """MariaDB commits at each change of a table: its transactions can't serve."""
    if not is_mysql(connection):
        yield
        return
    got = connection.execute(sa.select(sa.func.get_lock(_LOCK, _LOCK_TIMEOUT)))
    if got.scalar() != 1:
        raise Unavailable("another process is changing the tables")
    try:
        yield
    finally:
        connection.execute(sa.select(sa.func.release_lock(_LOCK)))
