# SPDX-License-Identifier: Apache-2.0
"""One account in one scope: openstacksdk's connection with its pitfalls taken out."""

from __future__ import annotations

from typing import TypeVar

import openstack.connection
from openstack import exceptions as sdk
from openstack import utils
from openstack.compute.v2 import _proxy as compute_proxy
from openstack.identity.v3 import _proxy as identity_proxy
from openstack.image.v2 import _proxy as image_proxy
from openstack.network.v2 import _proxy as network_proxy
from openstack.placement.v1 import _proxy as placement_proxy
from openstack.proxy import Proxy

from nova_multi.cloud.errors import RETRY_AWAY, translated
from nova_multi.domain import errors

ProxyT = TypeVar("ProxyT", bound=Proxy)


class Connection:
    """Services of a cloud as one account sees them; serves all threads.

    Logs in on first use and again whenever the token ends.

    :param connection: openstacksdk's.
    """

    def __init__(self, connection: openstack.connection.Connection) -> None:
        self.sdk = connection

    def _service(self, name: str, kind: type[ProxyT]) -> ProxyT:
        """The proxy of a service.

        openstacksdk keeps what it made of a service on first sight, also if the service
        was away just then or not in the catalog yet; only a sound one may stay.
        """
        with translated(f"find the {name} service"):
            try:
                found = getattr(self.sdk, name)
            except sdk.NotSupported as error:
                # No version was found: so it looks when nobody answers.
                raise errors.Unavailable(
                    f"the {name} service of this cloud tells no version of its API",
                    retry_after=RETRY_AWAY,
                ) from error
            if not isinstance(found, kind):
                self.sdk._proxies.pop(name, None)
                # What stands in for a service that isn't there raises on any use.
                getattr(found, "service_type_is_there", None)
                raise errors.Unavailable(
                    f"the {name} service of this cloud is not one that is known here",
                    retry_after=RETRY_AWAY,
                )
        return found

    @property
    def compute(self) -> compute_proxy.Proxy:
        """Nova."""
        return self._service("compute", compute_proxy.Proxy)

    @property
    def identity(self) -> identity_proxy.Proxy:
        """Keystone."""
        return self._service("identity", identity_proxy.Proxy)

    @property
    def image(self) -> image_proxy.Proxy:
        """Glance."""
        return self._service("image", image_proxy.Proxy)

    @property
    def network(self) -> network_proxy.Proxy:
        """Neutron."""
        return self._service("network", network_proxy.Proxy)

    @property
    def placement(self) -> placement_proxy.Proxy:
        """Placement."""
        return self._service("placement", placement_proxy.Proxy)

    @property
    def project_id(self) -> str | None:
        """The project that the account works in; None in a domain or the system.

        :raises Unavailable: Keystone can't be asked, or refuses the account.
        """
        with translated("log in"):
            return self.sdk.session.get_project_id()

    @property
    def user_id(self) -> str:
        """The account's user.

        :raises Unavailable: as for the project.
        """
        with translated("log in"):
            return str(self.sdk.session.get_user_id())

    def newest(self, service: str, version: str) -> str | None:
        """The newest microversion that the service has, up to ``version``."""
        with translated(f"ask the {service} service for its versions"):
            return utils.maximum_supported_microversion(getattr(self, service), version)

    def check(self, service: str) -> None:
        """See whether a service answers and takes our token; one request.

        :param service: ``compute``, ``identity``, ``image``, ``network``,
            ``placement``.
        :raises Unavailable: it doesn't.
        :raises Unsupported: the cloud has no such service.
        """
        proxy: Proxy = getattr(self, service)
        with translated(f"check the {service} service"):
            sdk.raise_from_response(proxy.get("/"))

    def close(self) -> None:
        """Let go of what the connection holds."""
        self.sdk.close()
