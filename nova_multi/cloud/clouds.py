# SPDX-License-Identifier: Apache-2.0
"""The accounts that the service uses, each in the scope that a task needs.

A manager of a domain makes projects, users and grants; the same user as member of an
environment's project does everything in it; an administrator does only what Nova keeps
for administrators. Run by an ordinary user on somebody's cloud there is one account:
that user in the one project.
"""

from __future__ import annotations

import collections
import dataclasses
import functools
import threading
from collections.abc import Mapping
from typing import Any, cast

import openstack.config
import openstack.connection
import requests
from keystoneauth1 import loading
from keystoneauth1 import session as ks_session
from openstack.config import cloud_region
from oslo_log import log as logging

from nova_multi import exception
from nova_multi.cloud import waiting
from nova_multi.cloud.compute import Servers
from nova_multi.cloud.connection import Connection
from nova_multi.cloud.errors import translated
from nova_multi.cloud.flavor import Flavors
from nova_multi.cloud.grant import Grants
from nova_multi.cloud.host import Hosts
from nova_multi.cloud.identity import Identity
from nova_multi.cloud.image import Images
from nova_multi.cloud.made import find_made
from nova_multi.cloud.network import Networks
from nova_multi.cloud.placement import Placement
from nova_multi.cloud.publish import Publishing
from nova_multi.cloud.signature import Signatures
from nova_multi.cloud.values import Made
from nova_multi.domain import errors

LOG = logging.getLogger(__name__)

#: What an account's scope is made of in keystoneauth's words.
_SCOPE = frozenset(
    {
        "project_id",
        "project_name",
        "project_domain_id",
        "project_domain_name",
        "tenant_id",
        "tenant_name",
        "domain_id",
        "domain_name",
        "system_scope",
        "trust_id",
        "default_domain",
    }
)
#: Connections kept open to each service.
_POOL_SIZE = 32


@dataclasses.dataclass(frozen=True, slots=True)
class Account:
    """How to log in: an entry of clouds.yaml, values, or values over an entry.

    :ivar cloud: name of the entry.
    :ivar auth: as in the ``auth`` of an entry; holds a password.
    """

    cloud: str | None = None
    auth: Mapping[str, str] = dataclasses.field(default_factory=dict, repr=False)
    auth_type: str | None = None
    region: str | None = None
    interface: str | None = None
    cacert: str | None = None


@dataclasses.dataclass(frozen=True, slots=True)
class CloudConfig:
    """The service's accounts.

    :ivar admin: roles admin and service on a project.
    :ivar manager: manager of the domain that the service may do as it likes in.
    :ivar timeout: seconds that OpenStack may take for one answer.
    :ivar transfer_timeout: the same where an image's content travels.
    :ivar projects_kept: connections to projects that stay open.
    """

    admin: Account
    manager: Account
    timeout: float = 30.0
    transfer_timeout: float = 600.0
    projects_kept: int = 256


class Cloud:
    """One account in one scope, by nouns.

    :param connection: openstacksdk's.
    :param transfer_timeout: seconds for requests that carry an image's content.
    """

    def __init__(
        self,
        connection: openstack.connection.Connection,
        transfer_timeout: float = 600.0,
    ) -> None:
        self.connection = wire = Connection(connection)
        self.servers = Servers(wire)
        self.flavors = Flavors(wire)
        self.hosts = Hosts(wire)
        self.placement = Placement(wire)
        self.networks = Networks(wire)
        self.publishing = Publishing(wire)
        self.images = Images(wire, transfer_timeout)
        self.identity = Identity(wire)
        self.grants = Grants(wire)
        self.signatures = Signatures(wire)

    @property
    def project_id(self) -> str | None:
        """The project that the account works in; None in a domain or the system.

        :raises Unavailable: Keystone can't be asked, or refuses the account.
        """
        return self.connection.project_id

    @property
    def user_id(self) -> str:
        """The account's user.

        :raises Unavailable: as for the project.
        """
        return self.connection.user_id

    def check(self, service: str) -> None:
        """See whether a service answers and takes our token; one request.

        :param service: as for :meth:`Connection.check`.
        :raises Unavailable: it doesn't.
        :raises Unsupported: the cloud has no such service.
        """
        self.connection.check(service)

    def find_made(
        self, task_uuid: str, kind: str, domain_id: str | None = None
    ) -> tuple[Made, ...]:
        """What a task has made of a kind, as far as this account sees it.

        :param domain_id: where projects, users and groups are looked for.
        """
        return find_made(self.connection, task_uuid, kind, domain_id)


class Clouds:
    """Makes and keeps the connections; nothing is asked of the cloud before its use.

    :raises ConfigurationError: an account is incomplete, or unknown to clouds.yaml.
    """

    is_single = False

    def __init__(self, config: CloudConfig) -> None:
        self._config = config
        self._wires = _Wires(config.timeout)
        self._lock = threading.Lock()
        self._kept: collections.OrderedDict[tuple[str, str], Cloud] = (
            collections.OrderedDict()
        )
        self._regions = {
            "admin": self._wires.region(config.admin),
            "manager": self._wires.region(config.manager),
        }
        self._own = {
            name: self._cloud(region) for name, region in self._regions.items()
        }

    @staticmethod
    def single(cloud_name: str, timeout: float = 30.0) -> SingleCloud:
        """An ordinary user's one project: the entry of clouds.yaml, as it is.

        :raises ConfigurationError: there is no such entry.
        """
        return SingleCloud(Account(cloud=cloud_name), timeout)

    def admin(self, project_id: str | None = None) -> Cloud:
        """What only administrators may.

        :param project_id: to work in, instead of the account's own project: who demands
            a host for a server has to be administrator in the server's project.
        """
        if project_id:
            return self._in_project("admin", project_id)
        return self._own["admin"]

    def manager(self) -> Cloud:
        """Projects, users and grants."""
        return self._own["manager"]

    def project(self, project_id: str) -> Cloud:
        """Everything inside of a project; the manager needs to be a member of it."""
        return self._in_project("manager", project_id)

    def _in_project(self, account: str, project_id: str) -> Cloud:
        key = (account, project_id)
        with self._lock:
            found = self._kept.get(key)
            if found is None:
                region = self._wires.scoped(self._regions[account], project_id)
                found = self._kept[key] = self._cloud(region)
                if len(self._kept) > self._config.projects_kept:
                    # Others may still be using it: it goes with its last user.
                    self._kept.popitem(last=False)
            self._kept.move_to_end(key)
            return found

    def forget(self, project_id: str) -> None:
        """Drop what is kept for a project that is gone, or whose grants changed."""
        with self._lock:
            for account in self._regions:
                self._kept.pop((account, project_id), None)

    def _cloud(self, region: cloud_region.CloudRegion) -> Cloud:
        return Cloud(self._wires.connect(region), self._config.transfer_timeout)


class SingleCloud:
    """One user, one project: partitions and environments are told apart by tags.

    :raises ConfigurationError: the account is incomplete, or unknown to clouds.yaml.
    """

    is_single = True

    def __init__(self, account: Account, timeout: float = 30.0) -> None:
        wires = _Wires(timeout)
        self._cloud = Cloud(wires.connect(wires.region(account)))

    def admin(self, project_id: str | None = None) -> Cloud:
        """There is none.

        :raises Unsupported: always.
        """
        raise errors.Unsupported(
            "this takes an administrator of the cloud; the service runs as an ordinary"
            " user of one project",
            code="single_project",
        )

    def manager(self) -> Cloud:
        """There is none.

        :raises Unsupported: always.
        """
        raise errors.Unsupported(
            "this takes a manager of a domain; the service runs as an ordinary user of"
            " one project",
            code="single_project",
        )

    def project(self, project_id: str | None = None) -> Cloud:
        """The one that there is, whatever project is named."""
        return self._cloud

    def forget(self, project_id: str) -> None:
        """Nothing is kept by project."""


class _Wires:
    """What all connections to a cloud share: sockets and what discovery found."""

    def __init__(self, timeout: float) -> None:
        self._timeout = timeout
        self._discovered: dict[str, Any] = {}
        self._requests = requests.Session()
        for scheme in ("https://", "http://"):
            self._requests.mount(scheme, waiting.Adapter(pool_maxsize=_POOL_SIZE))

    def region(self, account: Account) -> cloud_region.CloudRegion:
        """An account with everything that clouds.yaml says of it."""
        if not account.cloud and not account.auth:
            raise exception.ConfigurationError(
                "an account of the cloud has neither an entry of clouds.yaml nor values"
            )
        given: dict[str, Any] = {
            "auth": dict(account.auth) or None,
            "auth_type": account.auth_type,
            "region_name": account.region,
            "interface": account.interface,
            "cacert": account.cacert,
        }
        with translated(f"read the account {account.cloud or account.auth_type or ''}"):
            loader = openstack.config.OpenStackConfig(
                load_yaml_config=account.cloud is not None,
                load_envvars=account.cloud is not None,
                app_name="nova-multi",
            )
            return loader.get_one(
                cloud=account.cloud,
                **{key: value for key, value in given.items() if value is not None},
            )

    def scoped(
        self, region: cloud_region.CloudRegion, project_id: str
    ) -> cloud_region.CloudRegion:
        """The same account in another project."""
        auth = {
            key: value
            for key, value in region.config["auth"].items()
            if key not in _SCOPE
        }
        auth["project_id"] = project_id
        config = {**region.config, "auth": auth}
        with translated("read an account"):
            loader: Any = loading.get_plugin_loader(
                config.get("auth_type") or "password"
            )
            plugin = loader.load_from_options(**auth)
        return cloud_region.CloudRegion(
            name=region.name,
            config=config,
            auth_plugin=plugin,
            app_name="nova-multi",
        )

    def connect(
        self, region: cloud_region.CloudRegion
    ) -> openstack.connection.Connection:
        """openstacksdk's connection, with a timeout for each call and no repeats."""
        region.config["api_timeout"] = self._timeout
        for key in list(region.config):
            # A repeated POST makes two: who asks knows whether to ask again.
            if key.endswith(("status_code_retries", "connect_retries")):
                region.config[key] = 0
        region.set_session_constructor(
            cast(
                type[ks_session.Session],
                functools.partial(_session, self._requests, self._discovered),
            )
        )
        with translated("connect"):
            return openstack.connection.Connection(config=region)


class _Session(ks_session.Session):
    """A session that logs what is asked, and never a body: they hold passwords."""

    def request(self, url: str, method: str, **given: Any) -> requests.Response:  # type: ignore[override]
        given["log"] = False
        response = super().request(url, method, **given)
        LOG.debug(
            "%s %s: HTTP %s, request %s",
            method,
            url,
            response.status_code,
            response.headers.get("x-openstack-request-id", "without id"),
        )
        return response


def _session(
    shared: requests.Session, discovered: dict[str, Any], **given: Any
) -> ks_session.Session:
    given["discovery_cache"] = discovered
    return _Session(session=shared, **given)
