# SPDX-License-Identifier: Apache-2.0
"""Waiting until a server's ports are connected.

OVN on this machine knows it first; Neutron's event, which comes later, is waited for
where OVN can't be asked or does not say so.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Sequence
from typing import Any

from nova import exception as nova_exception
from oslo_log import log as logging

from nova_multi import exception
from nova_multi.virt import vif as vif_module

LOG = logging.getLogger(__name__)

PLUGGED = "network-vif-plugged"
#: Seconds that the machine's own OVN may need before Neutron's word is waited for; it
#: takes milliseconds where it works at all.
OVN_TIMEOUT = 2


def _failed(event_name: str, instance: Any) -> bool:
    raise exception.NetworkSetupError(
        f"Neutron could not connect a port of server {instance.uuid}: {event_name}"
    )


@contextlib.contextmanager
def ports_connected(
    virtapi: Any,
    instance: Any,
    network_info: Sequence[Any],
    *,
    timeout: int,
    fatal: bool,
) -> Iterator[None]:
    """Run the body, then wait until the ports are connected.

    Only ports that are not active yet are waited for: an unchanged binding causes no
    event.

    :param timeout: seconds; 0 does not wait.
    :param fatal: whether a port that stays unconnected is an error or a warning.
    :raises NetworkSetupError: a port failed, or took too long.
    """
    events = [
        (PLUGGED, vif["id"])
        for vif in network_info
        if vif.get("active", True) is False and timeout
    ]
    ended = False
    try:
        with virtapi.wait_for_instance_event(
            instance, events, timeout=timeout, error_callback=_failed
        ):
            yield
            ended = True
            ports = [port for _, port in events]
            if ports and vif_module.flows_installed(ports, min(timeout, OVN_TIMEOUT)):
                virtapi.exit_wait_early(events)
    except nova_exception.InstanceEventTimeout as error:
        if not ended:
            raise
        names = ", ".join(port for _, port in events)
        message = (
            f"Neutron did not report the ports {names} as connected within {timeout} s;"
            " look at ovn-controller and the Neutron API of this machine"
        )
        if fatal:
            raise exception.NetworkSetupError(message) from error
        LOG.warning("%s; going on without", message, instance=instance)
