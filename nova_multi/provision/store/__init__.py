# SPDX-License-Identifier: Apache-2.0
"""The service's own state: tasks with their leases, records, and files.

The database is the queue of tasks, so that what was accepted survives any process. It
holds only what OpenStack has no home for. SQLite serves one machine, MariaDB several.
"""

from nova_multi.provision.store.errors import Fenced
from nova_multi.provision.store.files import FileStore
from nova_multi.provision.store.schema import db_sync, pending, version
from nova_multi.provision.store.store import Store
from nova_multi.provision.store.values import ClaimedTask, Record

__all__ = [
    "ClaimedTask",
    "Fenced",
    "FileStore",
    "Record",
    "Store",
    "db_sync",
    "pending",
    "version",
]
