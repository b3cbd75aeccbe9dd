# SPDX-License-Identifier: Apache-2.0
"""Connections and transactions, the same to the rest of the store on each database."""

from __future__ import annotations

import contextlib
import datetime
import functools
import logging
import os
import pathlib
import sqlite3
import threading
import time
import weakref
from collections.abc import Callable, Iterator, Mapping
from typing import Any, TypeVar, cast

import sqlalchemy as sa
from oslo_db import api as oslo_db_api
from oslo_db import exception as db_exception
from oslo_db.sqlalchemy import engines

from nova_multi.domain.errors import DomainError, Unavailable
from nova_multi.exception import ConfigurationError

LOG = logging.getLogger(__name__)

#: Seconds that a transaction waits for SQLite's one writer.
BUSY_TIMEOUT = 30
#: Seconds for which MariaDB may be silent: longer than it waits for a lock (50).
ANSWER_TIMEOUT = 60
#: Connections to MariaDB that stay open: of as many threads as usually ask at a time.
#: To open one takes as long as all the questions of a request.
POOL_SIZE = 16
#: Further ones: a worker may have 64 threads.
MAX_OVERFLOW = 64
#: Seconds after which a connection is given back to be looked at before it is used.
IDLE_TIME = 5

#: Drivers that wait for ever unless they are told not to.
_PATIENT = frozenset({"pymysql", "mysqldb"})
_SYNC = "run nova-multi-manage db sync"
_WRITE = "nova_multi_write"

Clock = Callable[[], datetime.datetime]


def is_mysql(connection: sa.Connection | sa.Engine) -> bool:
    """MySQL or MariaDB."""
    return connection.dialect.name in ("mysql", "mariadb")


def is_sqlite(connection: sa.Connection | sa.Engine) -> bool:
    """SQLite."""
    return connection.dialect.name == "sqlite"


def make_engine(url: str, answer_timeout: int | None = ANSWER_TIMEOUT) -> sa.Engine:
    """Engine for a URL; nothing is connected yet.

    :param answer_timeout: seconds for which MariaDB may be silent, unless the URL says
        it; None for as long as it takes.
    :raises ConfigurationError: the URL is none, or its driver isn't installed.
    """
    try:
        parsed = sa.make_url(url)
        if parsed.get_backend_name() in ("mysql", "mariadb"):
            # oslo.db would choose utf8, which ends before emoji.
            parsed = parsed.update_query_dict({"charset": "utf8mb4"})
            if answer_timeout is not None and parsed.get_driver_name() in _PATIENT:
                limits = {"connect_timeout", "read_timeout", "write_timeout"}
                for name in limits - parsed.query.keys():
                    parsed = parsed.update_query_dict({name: str(answer_timeout)})
        text = parsed.render_as_string(hide_password=False)
        engine: sa.Engine = engines.create_engine(
            text,
            sqlite_fk=True,
            max_retries=0,
            max_pool_size=POOL_SIZE,
            max_overflow=MAX_OVERFLOW,
            # Only greenlets have to be told to let others go on.
            thread_checkin=False,
        )
        # Users' scripts and variables are among them, and errors end in a log.
        engine.hide_parameters = True
    except (sa.exc.ArgumentError, ImportError) as error:
        # Neither the URL nor SQLAlchemy's words about it: a password may be in them.
        raise ConfigurationError(
            f"[database] connection can't be used: {type(error).__name__}"
        ) from error
    if is_sqlite(engine):
        if engine.url.database in (None, "", ":memory:"):
            raise ConfigurationError(
                "[database] connection: SQLite needs a file, a database in memory is "
                "lost and can't be shared"
            )
        sa.event.listen(engine, "connect", _on_connect)
        sa.event.listen(engine, "begin", _on_begin)
    return engine


def _on_connect(connection: sqlite3.Connection, record: object) -> None:
    connection.execute(f"PRAGMA busy_timeout = {BUSY_TIMEOUT * 1000}")


def _on_begin(connection: sa.Connection) -> None:
    """Take SQLite's write lock at once.

    A transaction that reads first and then writes would fail, without waiting, if
    another one wrote in between.
    """
    if connection.get_execution_options().get(_WRITE):
        # oslo.db's own listener has just begun an ordinary one.
        connection.exec_driver_sql("ROLLBACK")
        connection.exec_driver_sql("BEGIN IMMEDIATE")


class Session:
    """What one thread asks in a row: over one connection.

    :param of_one_moment: what is read in it is of the moment of the first question,
        until something is written.
    :ivar known: what was read of that moment, by question; None if there is none.
    """

    def __init__(self, engine: sa.Engine, *, of_one_moment: bool) -> None:
        self._engine = engine
        self._connection: sa.Connection | None = None
        self._used = 0.0
        self.known: dict[Any, Any] | None = {} if of_one_moment else None

    def close(self) -> None:
        """Give the connection back; what was not committed is undone."""
        if self.known:
            self.known.clear()
        connection, self._connection = self._connection, None
        if connection is None:
            return
        try:
            connection.close()
        except (db_exception.DBError, sa.exc.SQLAlchemyError) as error:
            # The pool has dropped it; nothing was left to be committed.
            LOG.info("a connection broke before it was given back: %s", error)

    @contextlib.contextmanager
    def read(self) -> Iterator[sa.Connection]:
        """The connection in a transaction, which goes on if it is of one moment."""
        with self._kept() as connection:
            if connection.in_transaction():
                yield connection
            elif self.known is None:
                with connection.begin():
                    yield connection
            else:
                connection.begin()
                yield connection

    @contextlib.contextmanager
    def write(self, options: Mapping[str, Any]) -> Iterator[sa.Connection]:
        """The connection, in a transaction that is committed at the end."""
        with self._kept() as connection:
            connection.execution_options(**options)
            try:
                with connection.begin():
                    yield connection
            finally:
                connection.execution_options(**dict.fromkeys(options))

    def look_anew(self) -> None:
        """What is read from now on is of another moment."""
        if self.known:
            self.known.clear()
        transaction = self._connection and self._connection.get_transaction()
        if transaction:
            try:
                transaction.rollback()
            except (db_exception.DBError, sa.exc.SQLAlchemyError):
                # Nothing of what was read is needed any more.
                self.close()

    @contextlib.contextmanager
    def _kept(self) -> Iterator[sa.Connection]:
        now = time.monotonic()
        try:
            idle = now - self._used > IDLE_TIME
            if self._connection and idle and not self._connection.in_transaction():
                self.close()
            if self._connection is None:
                self._connection = self._engine.connect()
            self._used = now
            yield self._connection
        except DomainError:
            raise
        except BaseException:
            # The next question shall not be asked over a connection that is broken.
            self.close()
            raise


class Database:
    """Short transactions on one database; safe for threads.

    :param clock: the present, for tests.
    :param answer_timeout: as for :func:`make_engine`.
    """

    def __init__(
        self, url: str, clock: Clock, answer_timeout: int | None = ANSWER_TIMEOUT
    ) -> None:
        self.engine = make_engine(url, answer_timeout)
        self._clock = clock
        # SQLite has one writer. Threads wait in a queue here, where they are woken at
        # once; other processes poll for it.
        self._turn = threading.Lock()
        self._keeper: sa.Connection | None = None
        self._keeping = threading.Lock()
        self._local = threading.local()
        if is_sqlite(self.engine):
            forget = weakref.WeakMethod(self._drop_keeper)
            os.register_at_fork(before=lambda: _call(forget()))

    @property
    def present(self) -> Session | None:
        """The session that this thread is in."""
        session: Session | None = getattr(self._local, "session", None)
        return session

    @contextlib.contextmanager
    def session(self, *, of_one_moment: bool) -> Iterator[None]:
        """Ask over one connection in this block, in this thread.

        To take one for each question, and a transaction of its own, is five round trips
        to the database instead of one. Sessions may be nested; the outermost counts.

        :param of_one_moment: nothing that others write is seen, until the block writes
            something itself.
        """
        if self.present:
            yield
            return
        session = Session(self.engine, of_one_moment=of_one_moment)
        self._local.session = session
        try:
            yield
        finally:
            self._local.session = None
            session.close()

    @contextlib.contextmanager
    def read(self) -> Iterator[sa.Connection]:
        """A transaction that sees one state and changes nothing."""
        session = self.present
        with self._errors():
            self._keep()
            if session:
                with session.read() as connection:
                    yield connection
            else:
                with self.engine.connect() as connection, connection.begin():
                    yield connection

    @contextlib.contextmanager
    def write(self, *, read_committed: bool = False) -> Iterator[sa.Connection]:
        """A transaction that is committed at the end, or not at all.

        :param read_committed: don't lock gaps between rows on MariaDB.
        """
        if is_sqlite(self.engine):
            options: dict[str, Any] = {_WRITE: True}
            turn: contextlib.AbstractContextManager[Any] = self._turn
        else:
            options = {"isolation_level": "READ COMMITTED"} if read_committed else {}
            turn = contextlib.nullcontext()
        session = self.present
        with turn, self._errors():
            self._keep()
            if session:
                # Also if it fails: what was expected is no more.
                session.look_anew()
            if session and not read_committed:
                with session.write(options) as connection:
                    yield connection
                return
            with self.engine.connect() as connection:
                connection = connection.execution_options(**options)
                with connection.begin():
                    yield connection

    def now(self, connection: sa.Connection) -> datetime.datetime:
        """The present, by the one clock that all workers share."""
        if not is_mysql(connection):
            return self._clock()
        now: datetime.datetime = connection.execute(
            sa.select(sa.func.utc_timestamp(6))
        ).scalar_one()
        return now.replace(tzinfo=datetime.UTC)

    def close(self) -> None:
        """Close every connection that is not in use."""
        self._drop_keeper()
        self.engine.dispose()

    def _keep(self) -> None:
        """Have one connection open at all times.

        When its last connection is closed, SQLite copies the whole log into the
        database and syncs it: after each transaction of an idle process.
        """
        if self._keeper is not None or not is_sqlite(self.engine):
            return
        with self._keeping:
            if self._keeper is None:
                if not pathlib.Path(self.engine.url.database or "").exists():
                    # SQLite would make an empty one.
                    raise ConfigurationError(f"there is no database: {_SYNC}")
                keeper = self.engine.connect()
                try:
                    with keeper.begin():
                        # The file is not opened before it is read.
                        keeper.exec_driver_sql("SELECT 1 FROM sqlite_master")
                except BaseException:
                    keeper.close()
                    raise
                self._keeper = keeper

    def _drop_keeper(self) -> None:
        # Before a fork, too: SQLite's connections must not cross one.
        keeper, self._keeper = self._keeper, None
        if keeper is not None:
            keeper.close()

    @contextlib.contextmanager
    def _errors(self) -> Iterator[None]:
        """Say what a failure of the database means to its callers."""
        try:
            yield
        except db_exception.DBDeadlock:
            raise  # tried again by `retried`
        except (db_exception.DBConnectionError, sa.exc.TimeoutError) as error:
            raise Unavailable("the database does not answer") from error
        except db_exception.DBNonExistentTable as error:
            raise ConfigurationError(
                f"the database has no tables yet: {_SYNC}"
            ) from error
        except db_exception.DBNonExistentDatabase as error:
            raise ConfigurationError("there is no database of that name") from error
        except (db_exception.DBError, sa.exc.DBAPIError) as error:
            sqlite, mysql = _codes(error)
            if sqlite == sqlite3.SQLITE_NOTADB:
                raise ConfigurationError("the database's file is none") from error
            if mysql in _MYSQL_REFUSALS:
                raise ConfigurationError(
                    "the database refuses the service's account"
                ) from error
            told = _SQLITE_FAILURES.get(sqlite) or _MYSQL_FAILURES.get(mysql)
            if told is None:
                raise
            raise Unavailable(f"the database {told}") from error


def _codes(error: Exception) -> tuple[int, int]:
    """SQLite's primary result code, and MySQL's, in an error; 0 for none."""
    inner = getattr(error, "inner_exception", error)
    inner = getattr(inner, "orig", inner)
    sqlite = getattr(inner, "sqlite_errorcode", 0) & 0xFF
    first = inner.args[0] if getattr(inner, "args", ()) else 0
    return sqlite, first if not sqlite and isinstance(first, int) else 0


#: Access denied, to the server, a database or a table.
_MYSQL_REFUSALS = frozenset({1044, 1045, 1142, 1698})
_MYSQL_FAILURES = {
    1021: "has no space left on its disk",
    1040: "has too many connections",
    1114: "has no space left on its disk",
    1290: "can't be written",
    1836: "can't be written",
    3024: "is busy",
}
_SQLITE_FAILURES = {
    sqlite3.SQLITE_BUSY: "is busy",
    sqlite3.SQLITE_LOCKED: "is busy",
    sqlite3.SQLITE_CANTOPEN: "can't be opened",
    sqlite3.SQLITE_FULL: "has no space left on its disk",
    sqlite3.SQLITE_IOERR: "can't be read or written",
    sqlite3.SQLITE_READONLY: "can't be written",
}


def _call(function: Callable[[], None] | None) -> None:
    if function is not None:
        function()


Method = TypeVar("Method", bound=Callable[..., Any])


def retried(method: Method) -> Method:
    """A method, run again when MariaDB broke a deadlock by undoing its transaction.

    :raises Unavailable: it did so many times in a row.
    """
    again = oslo_db_api.wrap_db_retry(
        max_retries=10,
        retry_interval=0.05,
        max_retry_interval=1,
        retry_on_deadlock=True,
    )(method)

    @functools.wraps(method)
    def run(*args: Any, **named: Any) -> Any:
        try:
            return again(*args, **named)
        except db_exception.DBDeadlock as error:
            raise Unavailable("the database is busy") from error

    return cast(Method, run)
