# SPDX-License-Identifier: Apache-2.0
"""Types of columns that are the same value on SQLite and on MariaDB."""

from __future__ import annotations

import datetime
import json
from typing import Any

import sqlalchemy as sa
from sqlalchemy.dialects import mysql

from nova_multi.domain import times

#: How MariaDB keeps each table. The collation makes it compare as SQLite does: "Web"
#: is another name than "web".
TABLE_OPTIONS: dict[str, Any] = {
    "mysql_engine": "InnoDB",
    "mysql_charset": "utf8mb4",
    "mysql_collate": "utf8mb4_bin",
    "mariadb_engine": "InnoDB",
    "mariadb_charset": "utf8mb4",
    "mariadb_collate": "utf8mb4_bin",
}

_DIALECTS = ("mysql", "mariadb")

#: Only an INTEGER primary key counts up by itself in SQLite.
ID = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
#: 16 MiB in MariaDB; its TEXT would end at 64 KiB.
LONG_TEXT = sa.Text().with_variant(mysql.MEDIUMTEXT(), *_DIALECTS)
#: Ids of OpenStack's services have at most 64 characters.
UUID = sa.String(64)


class Time(sa.types.TypeDecorator[datetime.datetime]):
    """An aware time; kept in UTC with microseconds, without a zone."""

    impl = sa.DateTime
    cache_ok = True

    def load_dialect_impl(self, dialect: sa.Dialect) -> sa.types.TypeEngine[Any]:
        """MariaDB's DATETIME cuts the fraction unless told."""
        if dialect.name in _DIALECTS:
            return dialect.type_descriptor(mysql.DATETIME(fsp=6))
        return dialect.type_descriptor(sa.DateTime())

    def process_bind_param(
        self, value: datetime.datetime | None, dialect: sa.Dialect
    ) -> datetime.datetime | None:
        """To the database."""
        return None if value is None else times.utc(value).replace(tzinfo=None)

    def process_result_value(
        self, value: datetime.datetime | None, dialect: sa.Dialect
    ) -> datetime.datetime | None:
        """From the database."""
        return None if value is None else value.replace(tzinfo=datetime.UTC)


class Json(sa.types.TypeDecorator[Any]):
    """A value of JSON, as text."""

    impl = LONG_TEXT
    cache_ok = True

    def process_bind_param(self, value: Any, dialect: sa.Dialect) -> str:
        """To the database."""
        return json.dumps(value, separators=(",", ":"), allow_nan=False)

    def process_result_value(self, value: Any, dialect: sa.Dialect) -> Any:
        """From the database."""
        return json.loads(value)
