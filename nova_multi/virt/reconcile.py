# SPDX-License-Identifier: Apache-2.0
"""What deleted servers have left on a host, taken away when its service starts.

While a compute service is down Nova's API deletes its servers in the database alone:
their guests run on. And a service that was killed may have left half of a boot, or of a
deletion.

Only what Nova itself calls deleted is touched. A server that Nova does not know, or
that lives, on whatever host, keeps what it has: it is named in the log.
"""

from __future__ import annotations

import dataclasses
import json
import os
import subprocess
from collections.abc import Callable, Collection, Mapping
from typing import Any

import nova.conf
import nova.context
from nova import objects
from nova.network import model
from oslo_log import log as logging
from oslo_utils import uuidutils

from nova_multi import exception
from nova_multi.virt import vif
from nova_multi.virt.engine import Engine
from nova_multi.virt.spawn import NAMES_FILE

CONF = nova.conf.CONF
LOG = logging.getLogger(__name__)

#: Seconds for the switch's answer.
SWITCH_TIMEOUT = 10


def switch_ports() -> dict[str, str]:
    """Neutron ports in this machine's switch, with the UUID of the server of each.

    :raises NetworkSetupError: the switch can't be asked.
    """
    command = [
        "ovs-vsctl",
        f"--db={CONF.os_vif_ovs.ovsdb_connection}",
        f"--timeout={SWITCH_TIMEOUT}",
        "--format=json",
        "--columns=external_ids",
        "list",
        "Interface",
    ]
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=False)
    except OSError as error:
        raise exception.NetworkSetupError(f"Open vSwitch: {error}") from error
    if done.returncode:
        raise exception.NetworkSetupError(f"Open vSwitch: {done.stderr.strip()}")
    found = [dict(row[0][1]) for row in json.loads(done.stdout)["data"]]
    return {
        marks["iface-id"]: marks["vm-uuid"]
        for marks in found
        if marks.keys() >= {"iface-id", "vm-uuid"}
    }


@dataclasses.dataclass(frozen=True, slots=True)
class Host:
    """One compute service's part of a machine.

    :ivar name: its host name in Nova.
    :ivar instances_path: where the folders of its servers are.
    :ivar remove_folder: deletes that of an instance.
    """

    name: str
    engine: Engine
    instances_path: str
    remove_folder: Callable[[Any], None]

    def reconcile(self) -> None:
        """Remove what deleted servers have left.

        What can't be removed is logged, and keeps no service from starting.
        """
        try:
            self._reconcile()
        except Exception:
            LOG.exception("Host %s: can't look for remains of servers", self.name)

    def _reconcile(self) -> None:
        ports = switch_ports()
        marked = self.engine.owners()
        here = marked | self._folders()
        candidates = here | set(ports.values())
        lost = candidates - self._present() if candidates else frozenset()
        deleted = _deleted(lost)
        for uuid in sorted(lost):
            instance = deleted.get(uuid)
            if instance is None:
                if uuid in here:
                    LOG.warning(
                        "Host %s has something of server %s, which is neither here nor"
                        " deleted: it is left alone",
                        self.name,
                        uuid,
                    )
            elif uuid in marked or instance.host == self.name:
                # The switch is everybody's, and folders may lie on shared storage.
                self._remove(instance, self._ports(uuid, ports))

    def _present(self) -> frozenset[str]:
        """Nova's servers of this host."""
        context = nova.context.get_admin_context()
        found = objects.InstanceList.get_by_host(context, self.name)
        return frozenset(instance.uuid for instance in found)

    def _folders(self) -> frozenset[str]:
        if not os.path.isdir(self.instances_path):
            return frozenset()
        names = os.listdir(self.instances_path)
        return frozenset(filter(uuidutils.is_uuid_like, names))

    def _ports(self, uuid: str, connected: Mapping[str, str]) -> list[str]:
        """Ports of a server that are still its own.

        Its folder names them before they are made. One that has been given to another
        server since is in the switch under that server's UUID.
        """
        noted = vif.load_names(os.path.join(self.instances_path, uuid, NAMES_FILE))
        found = {port for port in noted if connected.get(port, uuid) == uuid}
        found |= {port for port, owner in connected.items() if owner == uuid}
        return sorted(found)

    def _remove(self, instance: Any, ports: Collection[str]) -> None:
        LOG.warning("Removing what is left of a deleted server", instance=instance)
        try:
            self.engine.remove(instance.uuid)
            for port in ports:
                vif.unplug(instance, _lost_port(port))
            # With the record of its ports, which another attempt would need.
            self.remove_folder(instance)
        except Exception:
            LOG.exception("Not all of it can be removed", instance=instance)


def _deleted(uuids: Collection[str]) -> dict[str, Any]:
    """Those of the servers that Nova has deleted for good."""
    if not uuids:
        return {}
    context = nova.context.get_admin_context(read_deleted="yes")
    filters = {"uuid": sorted(uuids), "deleted": True, "soft_deleted": False}
    found = objects.InstanceList.get_by_filters(context, filters)
    return {instance.uuid: instance for instance in found if instance.deleted}


def _lost_port(port: str) -> Any:
    """A port as Nova would tell of it; Neutron may have none of that UUID any more."""
    network = model.Network(
        id=uuidutils.generate_uuid(), bridge=CONF.neutron.ovs_bridge, subnets=[]
    )
    return model.VIF(
        id=port,
        address="00:00:00:00:00:00",
        network=network,
        type=model.VIF_TYPE_OVS,
        vnic_type=model.VNIC_TYPE_NORMAL,
        details={},
    )
