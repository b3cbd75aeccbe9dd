# SPDX-License-Identifier: Apache-2.0
"""What is done now and then, by whichever worker comes to it; twice does no harm."""

from __future__ import annotations

import datetime
import logging
from typing import TypeAlias

from nova_multi.cloud.flavor import flavor_name
from nova_multi.domain.driver import Driver
from nova_multi.domain.host import HostType
from nova_multi.domain.names import Kind
from nova_multi.provision import deliveries
from nova_multi.provision.tools import Tools

LOG = logging.getLogger(__name__)

#: Seconds between two rounds.
INTERVAL = 3600.0


#: Key of the flavors that were of no use when they were looked at last.
_UNUSED = "unused flavors"
#: CPUs, MB of memory, GB of disk, and where.
_Flavor: TypeAlias = tuple[int, int, int, HostType | None, Driver | None]
#: Tasks that are forgotten in one transaction.
_AT_ONCE = 100


def tidy(tools: Tools) -> None:
    """Sweep away what nobody needs any more.

    That is contents of files that no record names, what guests were to fetch whose
    tasks have ended, tasks and lifetimes that ended long ago, and flavors that were
    made for sizes that no instance has any more. What fails does not keep the rest from
    being done.
    """
    sweeps = (
        _sweep_files,
        deliveries.sweep,
        _purge_tasks,
        _purge_lives,
        _sweep_flavors,
    )
    for sweep in sweeps:
        try:
            sweep(tools)
        except Exception:
            LOG.exception("tidying up: %s", sweep.__name__)


def _purge_tasks(tools: Tools) -> None:
    retention = tools.settings.task_retention
    if not retention:
        return
    before = tools.clock() - datetime.timedelta(seconds=retention)
    total = done = tools.store.purge_tasks(before, _AT_ONCE)
    while done == _AT_ONCE:
        done = tools.store.purge_tasks(before, _AT_ONCE)
        total += done
    if total:
        LOG.info("%d tasks that ended before %s were forgotten", total, before)


def _purge_lives(tools: Tools) -> None:
    retention = tools.settings.usage_retention
    if not retention:
        return
    before = tools.clock() - datetime.timedelta(seconds=retention)
    total = done = tools.store.lifetimes.purge(before, _AT_ONCE)
    while done == _AT_ONCE:
        done = tools.store.lifetimes.purge(before, _AT_ONCE)
        total += done
    if total:
        LOG.info("%d lifetimes that ended before %s were forgotten", total, before)


def _sweep_files(tools: Tools) -> None:
    in_use = {
        record.data["checksum"]
        for record in tools.store.list_records(Kind.FILE)
        if record.data.get("checksum")
    }
    # Images that were uploaded, and are not in Glance yet.
    in_use |= {
        record.data["upload"]["checksum"]
        for record in tools.store.list_records(Kind.IMAGE)
        if record.data.get("upload")
    }
    for checksum in tools.files.sweep(in_use):
        LOG.info("content %s was swept away", checksum)


def _sweep_flavors(tools: Tools) -> None:
    if tools.single or not tools.settings.sweep_flavors:
        return
    flavors = tools.clouds.admin().flavors
    unused = {each.id for each in flavors.own()} - _wanted_flavors(tools).keys()
    # Not at first sight: a size that was wanted may be wanted again soon.
    gone = unused & tools.memory.get(_UNUSED, set())
    tools.memory[_UNUSED] = unused - gone
    for name in sorted(gone - _wanted_flavors(tools).keys()):
        try:
            if flavors.delete(name):
                LOG.info("flavor %s was of a size that no instance has: deleted", name)
        finally:
            # Accepted in this very moment, with a task that had found it already.
            wanted = _wanted_flavors(tools).get(name)
            if wanted:
                cpus, memory_mb, disk_gb, host_type, driver = wanted
                flavors.find_or_make(
                    cpus, memory_mb, disk_gb, host_type=host_type, driver=driver
                )


def _wanted_flavors(tools: Tools) -> dict[str, _Flavor]:
    found: dict[str, _Flavor] = {}
    for record in tools.store.list_records(Kind.INSTANCE):
        data = record.data
        kind, driver = data.get("host_type"), data.get("driver")
        host_type = HostType(kind) if kind else None
        sizes = (data["cpus"], data["memory_mb"], data["disk_gb"])
        flavor = (*sizes, host_type, Driver(driver) if driver else None)
        found[flavor_name(sizes, *flavor[3:])] = flavor
    return found
