# SPDX-License-Identifier: Apache-2.0
"""Tasks, records, and used signatures."""

import sqlalchemy as sa
from alembic import op

from nova_multi.provision.store.columns import (
    ID,
    LONG_TEXT,
    TABLE_OPTIONS,
    UUID,
    Json,
    Time,
)

revision = "0001"
down_revision = None


def upgrade() -> None:
    op.create_table(
        "tasks",
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
        sa.UniqueConstraint("uuid", name="uq_tasks_uuid"),
        **TABLE_OPTIONS,
    )
    for columns in (
        ["project_id", "id"],
        ["project_id", "status", "id"],
        ["status", "id", "project_id"],
        ["type", "id", "project_id"],
        ["object_uuid", "id"],
        ["parent_uuid", "id"],
    ):
        _index("tasks", columns)

    op.create_table(
        "task_work",
        sa.Column("task_id", ID, primary_key=True, autoincrement=False),
        sa.Column("payload", Json, nullable=False),
        sa.Column("progress", Json, nullable=False),
        sa.Column("secret_refs", Json, nullable=False),
        sa.Column("fencing", sa.BigInteger, nullable=False),
        sa.Column("worker", sa.String(255), nullable=False),
        sa.Column("due", Time, nullable=True),
        sa.Column("log_size", sa.BigInteger, nullable=False),
        _of_task("task_work"),
        **TABLE_OPTIONS,
    )
    _index("task_work", ["due", "task_id"])

    op.create_table(
        "task_history",
        sa.Column("id", ID, primary_key=True, autoincrement=True),
        sa.Column("task_id", ID, nullable=False),
        sa.Column("status", sa.String(16), nullable=False),
        sa.Column("at", Time, nullable=False),
        sa.Column("message", LONG_TEXT, nullable=False),
        sa.UniqueConstraint("task_id", "status", name="uq_task_history_task_id_status"),
        _of_task("task_history"),
        **TABLE_OPTIONS,
    )

    op.create_table(
        "task_log",
        sa.Column("id", ID, primary_key=True, autoincrement=True),
        sa.Column("task_id", ID, nullable=False),
        sa.Column("text", LONG_TEXT, nullable=False),
        _of_task("task_log"),
        **TABLE_OPTIONS,
    )
    _index("task_log", ["task_id", "id"])

    op.create_table(
        "task_request_ids",
        sa.Column("id", ID, primary_key=True, autoincrement=True),
        sa.Column("task_id", ID, nullable=False),
        sa.Column("request_id", sa.String(255), nullable=False),
        sa.UniqueConstraint(
            "task_id", "request_id", name="uq_task_request_ids_task_id_request_id"
        ),
        _of_task("task_request_ids"),
        **TABLE_OPTIONS,
    )

    op.create_table(
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
        sa.UniqueConstraint("kind", "uuid", name="uq_records_kind_uuid"),
        sa.UniqueConstraint("kind", "scope", "name", name="uq_records_kind_scope_name"),
        **TABLE_OPTIONS,
    )
    for columns in (
        ["kind", "id"],
        ["kind", "scope", "id"],
        ["kind", "project_id", "id"],
        ["kind", "openstack_id"],
        ["kind", "name"],
        ["task_uuid"],
    ):
        _index("records", columns)

    op.create_table(
        "used_signatures",
        sa.Column("digest", sa.String(64), primary_key=True),
        sa.Column("expires", Time, nullable=False),
        **TABLE_OPTIONS,
    )
    _index("used_signatures", ["expires"])


def _index(table: str, columns: list[str]) -> None:
    op.create_index(f"ix_{table}_{'_'.join(columns)}", table, columns)


def _of_task(table: str) -> sa.ForeignKeyConstraint:
    return sa.ForeignKeyConstraint(
        ["task_id"], ["tasks.id"], name=f"fk_{table}_task_id", ondelete="CASCADE"
    )
