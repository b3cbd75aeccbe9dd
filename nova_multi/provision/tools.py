# SPDX-License-Identifier: Apache-2.0
"""What the parts of the service share."""

from __future__ import annotations

import dataclasses
import datetime
import uuid
from collections.abc import Callable
from typing import Any

from nova_multi.cloud.clouds import Cloud, Clouds, SingleCloud
from nova_multi.domain import times
from nova_multi.provision.audit import Audit
from nova_multi.provision.sealing import Seal
from nova_multi.provision.settings import Settings
from nova_multi.provision.signals import Local, Signals
from nova_multi.provision.store import FileStore, Record, Store


def new_uuid() -> str:
    """A random UUID."""
    return str(uuid.uuid4())


@dataclasses.dataclass(slots=True)
class Tools:
    """Store, clouds, and the rest.

    :ivar seal: for secrets at rest.
    :ivar clock: the present, aware.
    :ivar new_uuid: for tasks and records.
    """

    store: Store
    clouds: Clouds | SingleCloud
    files: FileStore
    settings: Settings = dataclasses.field(default_factory=Settings)
    signals: Signals = dataclasses.field(default_factory=Local)
    audit: Audit = dataclasses.field(default_factory=Audit)
    seal: Seal = dataclasses.field(default_factory=Seal, repr=False)
    clock: Callable[[], datetime.datetime] = times.now
    new_uuid: Callable[[], str] = new_uuid
    memory: dict[str, Any] = dataclasses.field(default_factory=dict)

    @property
    def single(self) -> bool:
        """Whether an ordinary user's one project is all that there is."""
        return self.clouds.is_single

    def own_users(self) -> frozenset[str]:
        """Ids of the service's own accounts, which nobody may change through it.

        :raises Unavailable: Keystone does not answer.
        """
        if self.single:
            return frozenset()
        return frozenset((self.clouds.manager().user_id, self.clouds.admin().user_id))

    def of_environment(self, record: Record) -> Cloud:
        """The cloud inside of an environment's project."""
        return self.clouds.project(record.openstack_id)
