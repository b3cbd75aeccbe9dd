# SPDX-License-Identifier: Apache-2.0
"""Runs by alembic's command, on the connection that the caller has opened."""

from alembic import context

from nova_multi.provision.store import tables

context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=tables.metadata,
)
context.run_migrations()
