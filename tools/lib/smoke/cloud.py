# SPDX-License-Identifier: Apache-2.0
"""What the tests need of the cloud: facts, images, and that nothing is left."""

from __future__ import annotations

import contextlib
import re
import tempfile
from collections.abc import Iterator, Mapping
from typing import Any

import leftovers
import openstack
from leftovers import Leftovers

from smoke.errors import SmokeError
from smoke.settings import CloudFacts, Target

#: The example's image for each hypervisor.
IMAGES = {"docker": "debian-docker", "lxd": "debian-lxd", "libvirt": "debian-vm"}
#: The smallest ones that the example's virtual machine boots with.
FLAVORS = ("m1.nano", "m1.micro")
EXTERNAL_NETWORK = "public"
#: Beginning of the names of all that Tempest makes. Another one can be configured for
#: a part of it only.
PREFIX = "tempest"
#: Each of its names has a random number: what somebody calls tempest-x is not its.
_NAME = re.compile(rf"{PREFIX}-.*-\d+(-[a-z][a-z-]*)?")
CHUNK = 1024 * 1024
#: What a cloud that is not (wholly) there makes of a request.
ERRORS = leftovers.ERRORS
#: Fields of an image record that Glance itself sets.
_GLANCES_OWN = frozenset(
    {"checksum", "created_at", "direct_url", "file", "id", "locations"}
    | {"os_hash_algo", "os_hash_value", "os_hidden", "owner", "schema", "self", "size"}
    | {"status", "stores", "tags", "updated_at", "virtual_size"}
)


def is_tempests(name: str) -> bool:
    """Whether Tempest, or this tool for it, has given something that name."""
    copies = {_copy_of(image) for image in IMAGES.values()}
    return name in copies or _NAME.fullmatch(name) is not None


def _copy_of(image: str) -> str:
    """Name of the second image with the same content."""
    return f"{PREFIX}-{image}"


class Cloud:
    """The deployed cloud, seen by its administrator.

    :raises SmokeError: there is none, or it lacks what the tests start from.
    """

    def __init__(self, name: str) -> None:
        self._name = name
        try:
            self._connection = openstack.connect(cloud=name)
            self._connection.authorize()
        except ERRORS as error:
            raise SmokeError(
                f"cloud {name!r} can't be reached: {error}; run deploy/up first, and "
                "see deploy/status"
            ) from error

    def facts(self) -> CloudFacts:
        """What Tempest must know of it."""
        config = self._connection.config
        auth = config.get_auth_args()
        network = self._need("network", EXTERNAL_NETWORK)
        return CloudFacts(
            auth_url=auth["auth_url"],
            region=config.get_region_name() or "",
            username=auth["username"],
            password=auth["password"],
            project=auth["project_name"],
            domain=auth.get("user_domain_name") or "Default",
            external_network=(network.name, network.id),
            network_extensions=tuple(
                sorted(entry.alias for entry in self._connection.network.extensions())
            ),
        )

    def check_hypervisor(self, hypervisor: str) -> None:
        """See that a compute of this kind is up.

        :raises SmokeError: there is none.
        """
        kinds = {"docker": "docker", "lxd": "lxd", "libvirt": "qemu"}
        found = [
            f"{entry.name}: {entry.state}"
            for entry in self._connection.compute.hypervisors(details=True)
            if (entry.hypervisor_type or "").lower() == kinds[hypervisor]
        ]
        if not any(text.endswith(": up") for text in found):
            raise SmokeError(
                f"no compute for {hypervisor} is up ({', '.join(found) or 'none'}); "
                "see deploy/status"
            )

    @contextlib.contextmanager
    def target(self, hypervisor: str, features: Mapping[str, bool]) -> Iterator[Target]:
        """The hypervisor's images and flavors; the second image goes away again."""
        image = self._need("image", IMAGES[hypervisor])
        flavor, other_flavor = (self._need("flavor", name).id for name in FLAVORS)
        other = self._copy(image)
        try:
            yield Target(hypervisor, image.id, other.id, flavor, other_flavor, features)
        finally:
            self._connection.image.delete_image(other, ignore_missing=True)

    def left(self) -> list[str]:
        """What Tempest made and did not take away."""
        return Leftovers(self._connection, is_tempests).found()

    def clean(self) -> list[str]:
        """Take away what a run that was killed has left.

        No other Tempest may be testing this cloud: its resources look the same.

        :returns: what was there.
        """
        return Leftovers(self._connection, is_tempests).clean()

    def _copy(self, image: Any) -> Any:
        """A second image with the same content: some tests tell two apart."""
        glance = self._connection.image
        record = glance.get(f"/images/{image.id}").json()
        wanted = {
            key: value for key, value in record.items() if key not in _GLANCES_OWN
        }
        wanted["name"] = _copy_of(image.name)
        copy = glance.create_image(
            wanted.pop("name"),
            allow_duplicates=True,
            disable_vendor_agent=False,
            meta=wanted,
        )
        with tempfile.TemporaryFile() as file:
            response = glance.download_image(image, stream=True)
            for chunk in response.iter_content(CHUNK):
                file.write(chunk)
            file.seek(0)
            glance.put(
                f"/images/{copy.id}/file",
                data=file,
                headers={"Content-Type": "application/octet-stream"},
            )
        return copy

    def _need(self, kind: str, name: str) -> Any:
        found = {
            "image": self._connection.image.find_image,
            "flavor": self._connection.compute.find_flavor,
            "network": self._connection.network.find_network,
        }[kind](name)
        if found is None:
            raise SmokeError(
                f"cloud {self._name!r} has no {kind} {name!r}; deploy/up makes it"
            )
        return found
