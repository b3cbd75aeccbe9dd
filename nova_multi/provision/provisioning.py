# SPDX-License-Identifier: Apache-2.0
"""The service that the REST interface asks: everything is checked, stored and accepted
here, and done by the workers."""

from __future__ import annotations

import contextlib
import datetime
import threading
import time
from collections.abc import Callable, Sequence

from nova_multi.cloud import waiting
from nova_multi.domain.errors import DomainError, Unsupported
from nova_multi.exception import NovaMultiError
from nova_multi.provision.nouns.base import not_yet
from nova_multi.provision.nouns.deliveries import Deliveries
from nova_multi.provision.nouns.environments import Environments
from nova_multi.provision.nouns.files import Files
from nova_multi.provision.nouns.hosts import Hosts
from nova_multi.provision.nouns.images import Images
from nova_multi.provision.nouns.instances import Instances
from nova_multi.provision.nouns.partitions import Partitions
from nova_multi.provision.nouns.provisioners import Provisioners
from nova_multi.provision.nouns.tasks import Tasks
from nova_multi.provision.nouns.users import Groups, Users
from nova_multi.provision.service import (
    Accepted,
    Backend,
    Caller,
    Fields,
    Identity,
    Pick,
    Scope,
    SignedRequest,
)
from nova_multi.provision.tools import Tools

#: Seconds for which what was found of the backends is told again.
_HEALTH_KEPT = 10.0


class Packages:
    """See :class:`nova_multi.provision.service.Packages`; to come."""

    def install(
        self,
        caller: Caller,
        packages: Sequence[str],
        picks: Sequence[Pick],
        scope: Scope,
    ) -> Accepted:
        """To come."""
        raise not_yet("installing packages")

    def upgrade(
        self,
        caller: Caller,
        packages: Sequence[str],
        picks: Sequence[Pick],
        scope: Scope,
    ) -> Accepted:
        """To come."""
        raise not_yet("upgrading packages")

    def remove(
        self,
        caller: Caller,
        packages: Sequence[str],
        picks: Sequence[Pick],
        scope: Scope,
    ) -> Accepted:
        """To come."""
        raise not_yet("removing packages")


class Properties:
    """See :class:`nova_multi.provision.service.Properties`; to come."""

    def read(
        self,
        caller: Caller,
        properties: Sequence[str],
        picks: Sequence[Pick],
        scope: Scope,
    ) -> Sequence[Fields]:
        """To come."""
        raise not_yet("reading properties of guests")


class Provisioning:
    """See :class:`nova_multi.provision.service.Service`.

    :param probes: further backends by name; each raises if its backend is ill.
    """

    def __init__(
        self, tools: Tools, probes: dict[str, Callable[[], None]] | None = None
    ) -> None:
        self._tools = tools
        self.users = Users(tools)
        self.groups = Groups(tools)
        self.partitions = Partitions(tools)
        self.hosts = Hosts(tools)
        self.environments = Environments(tools)
        self.images = Images(tools)
        self.files = Files(tools)
        self.provisioners = Provisioners(tools)
        self.instances = Instances(tools)
        self.packages = Packages()
        self.deliveries = Deliveries(tools)
        self.properties = Properties()
        self.tasks = Tasks(tools)
        self._probes: dict[str, Callable[[], object]] = {
            "database": tools.store.ping,
            **(probes or {}),
            "keystone": self._ask_keystone,
            "nova": self._ask_nova,
        }
        self._lock = threading.Lock()
        self._health: tuple[float, Sequence[Backend]] | None = None

    def health(self) -> Sequence[Backend]:
        """What the backends were like a moment ago.

        One caller at a time asks; to all others is told what was found before, however
        long ago: anybody may call, and a backend may take long to answer.
        """
        kept = self._health
        if kept and time.monotonic() - kept[0] < _HEALTH_KEPT:
            return kept[1]
        if not self._lock.acquire(blocking=kept is None):
            assert kept is not None
            return kept[1]
        try:
            if self._health is not kept and self._health:
                # Somebody has asked while this one waited.
                return self._health[1]
            found = [_probe(name, ask) for name, ask in self._probes.items()]
            self._health = (time.monotonic(), found)
            return found
        finally:
            self._lock.release()

    def session(self) -> contextlib.AbstractContextManager[None]:
        """What the present thread asks in the block is of one moment."""
        return self._tools.store.session(of_one_moment=True)

    def waited(self) -> float:
        """Seconds that the present thread has waited for OpenStack so far."""
        return waiting.seconds()

    def admits(self, caller: Caller) -> bool:
        """Only those of the one project, where the service works in no other."""
        if not self._tools.single:
            return True
        return caller.project_id == self._tools.clouds.project("").project_id

    def identify(self, signed: SignedRequest) -> Identity | None:
        """Whose signature it is, as Keystone says."""
        if self._tools.single:
            raise Unsupported("signed requests take a service account of the cloud")
        facts = self._tools.clouds.admin().signatures.check(
            signed.access_key, signed.signature, signed.string_to_sign
        )
        if facts is None:
            return None
        roles = frozenset(role.lower() for role in facts.roles)
        return Identity(facts.user_id, facts.project_id, roles)

    def first_use(self, signature: str, until: datetime.datetime) -> bool:
        """Use a signature up."""
        seconds = (until - self._tools.clock()).total_seconds()
        return self._tools.store.use_signature(signature, max(seconds, 1.0))

    def _ask_keystone(self) -> None:
        clouds = self._tools.clouds
        cloud = clouds.project("") if clouds.is_single else clouds.manager()
        cloud.check("identity")

    def _ask_nova(self) -> object:
        if self._tools.single:
            return self._tools.clouds.project("").servers.servers(limit=1)
        return self._tools.clouds.admin().hosts.services()


def _probe(name: str, ask: Callable[[], object]) -> Backend:
    try:
        ask()
    except (DomainError, NovaMultiError) as error:
        # Anybody may read it: only what kind of trouble it is.
        return Backend(name, False, type(error).__name__)
    except Exception as error:
        return Backend(name, False, f"internal error ({type(error).__name__})")
    return Backend(name, True)
