# SPDX-License-Identifier: Apache-2.0
"""The machine and the engine's health, as Nova wants to know them."""

from __future__ import annotations

import os
import time
from typing import Any

import nova.context
from nova import exception as nova_exception
from nova import objects
from oslo_log import log as logging

from nova_multi import exception
from nova_multi.virt.engine import Engine, EngineInfo

LOG = logging.getLogger(__name__)

#: libvirt's driver uses the same prefix for what it disables by itself; whatever lacks
#: it was disabled by an operator, and only the operator enables it again.
AUTOMATIC = "AUTO: "


def uptime() -> str:
    """Time, time since boot and load averages, in the words of uptime(1)."""
    with open("/proc/uptime", encoding="ascii") as source:
        minutes = int(float(source.read().split()[0])) // 60
    days, minutes = divmod(minutes, 24 * 60)
    hours, minutes = divmod(minutes, 60)
    up = (f"{days} day{'' if days == 1 else 's'}, " if days else "") + (
        f"{hours:2d}:{minutes:02d}"
    )
    loads = ", ".join(f"{load:.2f}" for load in os.getloadavg())
    return f" {time.strftime('%H:%M:%S')} up {up},  0 users,  load average: {loads}\n"


def wait_for_engine(engine: Engine, interval: float) -> EngineInfo:
    """Return once the engine answers, however long that takes.

    The compute service is not up before, which is the truth: Nova shows it as down and
    schedules nothing here. Giving up instead would leave a process that stays alive and
    does nothing, even after the engine is back.

    :param interval: seconds between attempts.
    """
    complained = False
    while True:
        try:
            return engine.info()
        except (exception.EngineUnavailable, exception.EngineTimeout) as error:
            level = LOG.debug if complained else LOG.error
            level("Waiting for %s, which does not answer: %s", engine.name, error)
            complained = True
            time.sleep(interval)


class ServiceStatus:
    """Takes the compute service out of rotation while its engine is away.

    :param host: the service's host name.
    :param virtapi: Nova's, to tell Placement.
    """

    def __init__(self, host: str, virtapi: Any) -> None:
        self._host = host
        self._virtapi = virtapi
        self._healthy: bool | None = None

    def report(self, problem: str | None) -> None:
        """Disable the service with a reason, or enable it again if we disabled it.

        :param problem: None when all is well.
        """
        healthy = problem is None
        if healthy == self._healthy:
            return
        context = nova.context.get_admin_context()
        try:
            service = objects.Service.get_by_compute_host(context, self._host)
        except nova_exception.ComputeHostNotFound:
            return  # first start: the service registers itself right after this
        by_us = (service.disabled_reason or "").startswith(AUTOMATIC)
        if service.disabled == healthy and (by_us or not service.disabled):
            service.disabled = not healthy
            service.disabled_reason = None if healthy else f"{AUTOMATIC}{problem}"[:255]
            service.save()
            LOG.warning(
                "Compute service %s %s",
                self._host,
                "enabled again" if healthy else f"disabled: {problem}",
            )
            self._tell_placement(context, enabled=healthy)
        self._healthy = healthy

    def _tell_placement(self, context: Any, *, enabled: bool) -> None:
        try:
            for node in objects.ComputeNodeList.get_all_by_host(context, self._host):
                self._virtapi.update_compute_provider_status(
                    context, node.uuid, enabled=enabled
                )
        except Exception:  # the scheduler's own service check still holds
            LOG.warning("Placement was not told of the status", exc_info=True)
