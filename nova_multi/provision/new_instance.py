# SPDX-License-Identifier: Apache-2.0
"""What the task that makes an instance has to know, and what its record keeps."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any

from nova_multi.domain.driver import Driver
from nova_multi.domain.host import HostType
from nova_multi.domain.instance import Size
from nova_multi.domain.publish import Publish
from nova_multi.domain.task import TaskStatus
from nova_multi.provision.store import Record


@dataclasses.dataclass(frozen=True, slots=True)
class NewInstance:
    """An instance that is to be made; everything that it needs is known.

    :ivar script: empty if there is nothing to provision.
    :ivar own: its provisioner's variables, which what is found goes before.
    :ivar asked: its own variables, which go before everything.
    :ivar shown: variables as users see them; None for what was asked.
    :ivar timeout: seconds that the script may take; None for as long as the operator
        allows.
    :ivar networks: as they were named.
    :ivar network_ids: of those that aren't the environment's own.
    :ivar interfaces: ids of all networks that it is on, in their order; none for the
        environment's own with the others behind it.
    :ivar published_on: which of its interfaces has its published ports.
    """

    environment: Record
    image_id: str
    driver: Driver
    size: Size
    provisioner: str
    script: str = ""
    own: Mapping[str, str] = dataclasses.field(default_factory=dict)
    asked: Mapping[str, str] = dataclasses.field(default_factory=dict)
    shown: Mapping[str, str] | None = None
    host_type: HostType | None = None
    node: str | None = None
    publish: Sequence[Publish] = ()
    networks: Sequence[str] = ()
    network_ids: Sequence[str] = ()
    interfaces: Sequence[str] = ()
    published_on: int = 0
    description: str = ""
    tags: Sequence[str] = ()
    timeout: int | None = None

    @property
    def goal(self) -> TaskStatus:
        """Of its task."""
        return TaskStatus.PROVISIONED if self.script else TaskStatus.CREATED

    def payload(self) -> dict[str, Any]:
        """Of its task, without names."""
        payload: dict[str, Any] = {
            "environment": self.environment.uuid,
            "partition": self.environment.scope,
            "image": self.image_id,
            "size": dataclasses.asdict(self.size),
            "driver": self.driver.value,
            "host_type": self._host_type,
            "node": self.node,
            "publish": self._publish,
            "networks": list(self.network_ids),
            "description": self.description,
        }
        if self.interfaces:
            payload |= {
                "interfaces": list(self.interfaces),
                "published_on": self.published_on,
            }
        if self.script:
            payload |= {
                "script": self.script,
                "variables": dict(self.own),
                "asked_variables": dict(self.asked),
                "timeout": self.timeout,
            }
        return payload

    def data(self) -> dict[str, Any]:
        """Of its record."""
        shown = self.asked if self.shown is None else self.shown
        return {
            "creating": True,
            "provisioning": True if self.script else None,
            "description": self.description,
            "memory_mb": self.size.memory_mb,
            "cpus": self.size.cpus,
            "disk_gb": self.size.disk_gb,
            "provisioner": self.provisioner,
            "host_type": self._host_type,
            "driver": self.driver.value,
            "publish": self._publish,
            "networks": list(self.networks),
            "variables": dict(shown),
            "tags": list(self.tags),
            "image": self.image_id,
        }

    @property
    def _host_type(self) -> str | None:
        return self.host_type and self.host_type.value

    @property
    def _publish(self) -> list[str]:
        return [str(each) for each in self.publish]
