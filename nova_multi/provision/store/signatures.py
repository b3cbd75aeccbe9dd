# SPDX-License-Identifier: Apache-2.0
"""Signatures of requests that were seen, for as long as they could be repeated."""

from __future__ import annotations

import datetime
import hashlib

import sqlalchemy as sa
from oslo_db import exception as db_exception

from nova_multi.provision.store import tables

_used = tables.used_signatures.c


def use(
    connection: sa.Connection,
    signature: str,
    expires: datetime.datetime,
    now: datetime.datetime,
) -> bool:
    """Use a signature up; False if it was used before.

    Only its digest is kept, so that the database is no place to steal one from.
    """
    connection.execute(tables.used_signatures.delete().where(_used.expires < now))
    digest = hashlib.sha256(signature.encode()).hexdigest()
    try:
        with connection.begin_nested():
            connection.execute(
                tables.used_signatures.insert().values(digest=digest, expires=expires)
            )
    except db_exception.DBDuplicateEntry:
        return False
    return True
