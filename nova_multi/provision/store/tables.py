# SPDX-License-Identifier: Apache-2.0
"""The tables as they are now. How they came to be is in ``migrations``.

A task is in several: ``tasks`` holds what lists show and stays slim, ``task_work`` what
its worker needs and writes often.
"""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa

from nova_multi.provision.store.columns import (
    ID,
    LONG_TEXT,
    TABLE_OPTIONS,
    UUID,
    Json,
    Time,
)

metadata = sa.MetaData(
    naming_convention={
        "ix": "ix_%(table_name)s_%(column_0_N_name)s",
        "uq": "uq_%(table_name)s_%(column_0_N_name)s",
        "fk": "fk_%(table_name)s_%(column_0_N_name)s",
        "pk": "pk_%(table_name)s",
    }
)


def _table(name: str, *parts: sa.schema.SchemaItem) -> sa.Table:
    return sa.Table(name, metadata, *parts, **TABLE_OPTIONS)


def _of_task(**options: Any) -> sa.Column[int]:
    """Foreign key: the row goes when the task goes."""
    key = sa.ForeignKey("tasks.id", ondelete="CASCADE")
    return sa.Column("task_id", ID, key, nullable=False, **options)


tasks = _table(
    "tasks",
    # Counts up, so it is the order of acceptance, and the place where a page begins.
    sa.Column("id", ID, primary_key=True, autoincrement=True),
    sa.Column("uuid", UUID, nullable=False),
    sa.Column("type", sa.String(32), nullable=False),
    sa.Column("object_kind", sa.String(32), nullable=False),
    sa.Column("object_uuid", UUID, nullable=False),
    sa.Column("description", LONG_TEXT, nullable=False),
    sa.Column("status", sa.String(16), nullable=False),
    sa.Column("goal", sa.String(16), nullable=False),
    sa.Column("project_id", UUID, nullable=False),
    sa.Column("user_id", UUID, nullable=False),
    sa.Column("parent_uuid", UUID, nullable=True),
    sa.Column("created", Time, nullable=False),
    sa.Column("last_update", Time, nullable=False),
    sa.UniqueConstraint("uuid"),
    # A page of a list comes out of one of these in its order, nothing is sorted.
    sa.Index(None, "project_id", "id"),
    sa.Index(None, "project_id", "status", "id"),
    sa.Index(None, "status", "id", "project_id"),
    sa.Index(None, "type", "id", "project_id"),
    sa.Index(None, "object_uuid", "id"),
    sa.Index(None, "parent_uuid", "id"),
)

task_work = _table(
    "task_work",
    _of_task(primary_key=True, autoincrement=False),
    sa.Column("payload", Json, nullable=False),
    sa.Column("progress", Json, nullable=False),
    sa.Column("secret_refs", Json, nullable=False),
    sa.Column("fencing", sa.BigInteger, nullable=False),
    # Who owns it; empty for nobody.
    sa.Column("worker", sa.String(255), nullable=False),
    # From when on it may be claimed: when it was accepted, when its lease ends, or
    # when it is to be tried again. NULL once it is finished.
    sa.Column("due", Time, nullable=True),
    sa.Column("log_size", sa.BigInteger, nullable=False),
    sa.Index(None, "due", "task_id"),
)

task_history = _table(
    "task_history",
    sa.Column("id", ID, primary_key=True, autoincrement=True),
    _of_task(),
    sa.Column("status", sa.String(16), nullable=False),
    sa.Column("at", Time, nullable=False),
    sa.Column("message", LONG_TEXT, nullable=False),
    sa.UniqueConstraint("task_id", "status"),
)

task_log = _table(
    "task_log",
    sa.Column("id", ID, primary_key=True, autoincrement=True),
    _of_task(),
    sa.Column("text", LONG_TEXT, nullable=False),
    sa.Index(None, "task_id", "id"),
)

task_request_ids = _table(
    "task_request_ids",
    sa.Column("id", ID, primary_key=True, autoincrement=True),
    _of_task(),
    sa.Column("request_id", sa.String(255), nullable=False),
    sa.UniqueConstraint("task_id", "request_id"),
)

records = _table(
    "records",
    sa.Column("id", ID, primary_key=True, autoincrement=True),
    sa.Column("kind", sa.String(32), nullable=False),
    sa.Column("uuid", UUID, nullable=False),
    sa.Column("name", sa.String(255), nullable=False),
    sa.Column("scope", UUID, nullable=False),
    sa.Column("project_id", UUID, nullable=False),
    sa.Column("openstack_id", sa.String(255), nullable=False),
    sa.Column("data", Json, nullable=False),
    sa.Column("owner_id", UUID, nullable=False),
    sa.Column("permissions", sa.String(9), nullable=False),
    sa.Column("created", Time, nullable=False),
    sa.Column("modified", Time, nullable=False),
    sa.Column("task_uuid", UUID, nullable=False),
    sa.UniqueConstraint("kind", "uuid"),
    sa.UniqueConstraint("kind", "scope", "name"),
    sa.Index(None, "kind", "id"),
    sa.Index(None, "kind", "scope", "id"),
    sa.Index(None, "kind", "project_id", "id"),
    sa.Index(None, "kind", "openstack_id"),
    sa.Index(None, "kind", "name"),
    sa.Index(None, "task_uuid"),
)

# Without keys to anything else: they outlive what they tell of.
lifetimes = _table(
    "lifetimes",
    sa.Column("id", ID, primary_key=True, autoincrement=True),
    sa.Column("server", UUID, nullable=False),
    sa.Column("environment", UUID, nullable=False),
    sa.Column("environment_name", sa.String(255), nullable=False),
    sa.Column("instance", UUID, nullable=False),
    sa.Column("name", sa.String(255), nullable=False),
    sa.Column("part", sa.String(255), nullable=False),
    sa.Column("number", sa.Integer, nullable=False),
    sa.Column("driver", sa.String(32), nullable=False),
    sa.Column("cpus", sa.Integer, nullable=False),
    sa.Column("memory_mb", sa.BigInteger, nullable=False),
    sa.Column("disk_gb", sa.BigInteger, nullable=False),
    sa.Column("began", Time, nullable=False),
    # NULL while it lives.
    sa.Column("ended", Time, nullable=True),
    # Why it has ended; empty while it lives.
    sa.Column("end", sa.String(16), nullable=False),
    # When one that was closed was back, or was not to come back any more.
    sa.Column("resumed", Time, nullable=True),
    sa.UniqueConstraint("server"),
    sa.Index(None, "environment", "id"),
    sa.Index(None, "environment_name", "id"),
    sa.Index(None, "ended", "id"),
)

used_signatures = _table(
    "used_signatures",
    sa.Column("digest", sa.String(64), primary_key=True),
    sa.Column("expires", Time, nullable=False),
    sa.Index(None, "expires"),
)
