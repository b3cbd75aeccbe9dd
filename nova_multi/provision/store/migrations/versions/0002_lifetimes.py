# SPDX-License-Identifier: Apache-2.0
"""Lifetimes of servers, for reports of usage."""

import sqlalchemy as sa
from alembic import op

from nova_multi.provision.store.columns import ID, TABLE_OPTIONS, UUID, Time

revision = "0002"
down_revision = "0001"


def upgrade() -> None:
    op.create_table(
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
        sa.Column("ended", Time, nullable=True),
        sa.Column("end", sa.String(16), nullable=False),
        sa.Column("resumed", Time, nullable=True),
        sa.UniqueConstraint("server", name="uq_lifetimes_server"),
        **TABLE_OPTIONS,
    )
    for columns in (
        ["environment", "id"],
        ["environment_name", "id"],
        ["ended", "id"],
    ):
        op.create_index(f"ix_lifetimes_{'_'.join(columns)}", "lifetimes", columns)
