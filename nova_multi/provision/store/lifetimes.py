# SPDX-License-Identifier: Apache-2.0
"""Lifetimes of servers in the database; they outlive everything that they tell of."""

from __future__ import annotations

import datetime
from collections.abc import Iterable

import sqlalchemy as sa
from oslo_db import exception as db_exception

from nova_multi.domain.usage import End, Lifetime
from nova_multi.provision.store import tables
from nova_multi.provision.store.database import Database, retried

_lives = tables.lifetimes.c
_FIELDS = (
    "server",
    "environment",
    "environment_name",
    "instance",
    "name",
    "part",
    "number",
    "driver",
    "cpus",
    "memory_mb",
    "disk_gb",
    "began",
    "ended",
    "resumed",
)


class Lifetimes:
    """Lifetimes; each method is one short transaction.

    Any method raises Unavailable if the database does not answer.
    """

    def __init__(self, database: Database) -> None:
        self._database = database

    @retried
    def begin(self, life: Lifetime) -> bool:
        """Keep that a server lives; what was closed in its place is back with it.

        :returns: False if that is known already.
        """
        values = {field: getattr(life, field) for field in _FIELDS}
        values["end"] = life.end or ""
        try:
            with self._database.write() as connection:
                if _is_known(connection, life.server):
                    return False
                if life.part:
                    where = (
                        _lives.environment == life.environment,
                        _lives.part == life.part,
                        _lives.number == life.number,
                    )
                    _resume(connection, life.began, *where)
                connection.execute(tables.lifetimes.insert(), values)
        except db_exception.DBDuplicateEntry:
            # Another worker was quicker.
            return False
        return True

    @retried
    def end(self, server: str, at: datetime.datetime, why: End) -> bool:
        """Keep that a server lives no more.

        :returns: False if that is known already, or it never lived.
        """
        with self._database.write() as connection:
            done = connection.execute(
                tables.lifetimes.update()
                .where(_lives.server == server, _lives.ended.is_(None))
                .values(ended=at, end=str(why))
            )
        return bool(done.rowcount)

    @retried
    def want_no_more(
        self,
        environment: str,
        at: datetime.datetime,
        parts: Iterable[tuple[str, int]] | None = None,
    ) -> None:
        """Of what is closed, some is not to come again: it saves nothing any more.

        :param environment: UUID of its record.
        :param parts: parts of a definition, with numbers, that do; None for none.
        """
        kept = set(parts or ())
        with self._database.write() as connection:
            found = connection.execute(
                sa.select(_lives.id, _lives.part, _lives.number).where(
                    _lives.environment == environment,
                    _lives.end == str(End.CLOSED),
                    _lives.resumed.is_(None),
                )
            ).all()
            for row in found:
                if (row.part, row.number) not in kept:
                    _resume(connection, at, _lives.id == row.id)

    def of_environment(self, environment: str) -> list[Lifetime]:
        """All of an environment, by their begin.

        :param environment: UUID of its record.
        """
        return self._select(_lives.environment == environment)

    def of_name(self, name: str) -> list[Lifetime]:
        """All of the last environment that had that name."""
        with self._database.read() as connection:
            found = connection.execute(
                sa.select(_lives.environment)
                .where(_lives.environment_name == name)
                .order_by(_lives.id.desc())
                .limit(1)
            ).scalar_one_or_none()
        return self.of_environment(found) if found else []

    def living(self) -> list[Lifetime]:
        """All that have not ended."""
        return self._select(_lives.ended.is_(None))

    def known(self, servers: Iterable[str]) -> set[str]:
        """Those of these servers of which a lifetime is kept."""
        query = sa.select(_lives.server).where(_lives.server.in_(list(servers)))
        with self._database.read() as connection:
            return set(connection.execute(query).scalars())

    @retried
    def purge(self, before: datetime.datetime, limit: int = 1000) -> int:
        """Forget what ended before, and is not to come again.

        :param limit: of one transaction; with as many there may be more.
        :returns: how many there were.
        """
        query = (
            sa.select(_lives.id)
            .where(
                _lives.ended < before,
                sa.or_(_lives.end != str(End.CLOSED), _lives.resumed < before),
            )
            .limit(limit)
        )
        with self._database.write(read_committed=True) as connection:
            ids = connection.execute(query).scalars().all()
            if ids:
                connection.execute(
                    tables.lifetimes.delete().where(_lives.id.in_(list(ids)))
                )
        return len(ids)

    def _select(self, *where: sa.ColumnElement[bool]) -> list[Lifetime]:
        query = sa.select(tables.lifetimes).where(*where)
        query = query.order_by(_lives.began, _lives.id)
        with self._database.read() as connection:
            rows = connection.execute(query).mappings().all()
        return [_lifetime(row) for row in rows]


def _is_known(connection: sa.Connection, server: str) -> bool:
    query = sa.select(_lives.id).where(_lives.server == server)
    return connection.execute(query).first() is not None


def _resume(
    connection: sa.Connection,
    at: datetime.datetime,
    *where: sa.ColumnElement[bool],
) -> None:
    connection.execute(
        tables.lifetimes.update()
        .where(*where, _lives.end == str(End.CLOSED), _lives.resumed.is_(None))
        .values(resumed=at)
    )


def _lifetime(row: sa.RowMapping) -> Lifetime:
    fields = {field: row[field] for field in _FIELDS}
    return Lifetime(**fields, end=End(row["end"]) if row["end"] else None)
