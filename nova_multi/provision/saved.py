# SPDX-License-Identifier: Apache-2.0
"""Disks of instances that are kept while their environment is closed.

Each is an image in the environment's project, made by Nova of the stopped server. An
instance that its environment's schedule names is always made from what was saved last.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable

from nova_multi.domain.driver import Driver
from nova_multi.domain.plan import SavedDisk
from nova_multi.provision import hours
from nova_multi.provision.store import Record, Store
from nova_multi.provision.tools import Tools

#: Kind of the records; their scope is the environment, what they stand for the image.
KIND = "saved"
PART, INDEX = "part", "index"


def name(part: str, index: int) -> str:
    """Of the record of one instance's disk."""
    return f"{part}[{index}]"


def records(store: Store, environment: str) -> list[Record]:
    """All that is kept of an environment.

    :param environment: UUID of its record.
    """
    return store.list_records(KIND, scope=environment)


def find(store: Store, environment: Record, part: str, index: int) -> Record | None:
    """From what an instance is to be made; None for its image."""
    if part not in hours.saved_parts(environment):
        return None
    found = store.list_records(KIND, scope=environment.uuid, name=name(part, index))
    return found[0] if found else None


def disks(store: Store, environment: Record) -> tuple[SavedDisk, ...]:
    """All disks that are kept of an environment."""
    left = hours.coming_back(environment)
    return tuple(_disk(each, left) for each in records(store, environment.uuid))


def _disk(record: Record, left: Collection[str]) -> SavedDisk:
    data = record.data
    driver = data.get("driver")
    return SavedDisk(
        data[PART],
        data[INDEX],
        record.modified,
        image=data.get("image", ""),
        driver=Driver(driver) if driver else None,
        disk_gb=data.get("disk_gb", 0),
        comes_back=data[PART] in left,
    )


def forget(tools: Tools, environment: Record, gone: Iterable[Record]) -> list[str]:
    """Delete some of what is kept.

    :returns: names of their images in Glance.
    """
    found = []
    for each in gone:
        if each.openstack_id:
            tools.of_environment(environment).images.delete(each.openstack_id)
            found.append(each.openstack_id)
        tools.store.delete_record(KIND, each.uuid)
    return found
