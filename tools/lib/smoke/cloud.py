# SPDX-License-Identifier: Apache-2.0
"""What the tests need of the cloud: facts, images, and that nothing is left."""

from __future__ import annotations

import contextlib
import re
import tempfile
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import keystoneauth1.exceptions
import openstack
import openstack.exceptions

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
#: Seconds for taking away what one service has of one project.
CLEANUP_TIMEOUT = 120
CHUNK = 1024 * 1024
#: What a cloud that is not (wholly) there makes of a request.
ERRORS = (openstack.exceptions.SDKException, keystoneauth1.exceptions.ClientException)
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
        return sorted(f"{kind} {entry.name}" for kind, entry, _ in self._ours())

    def _ours(self) -> Iterator[tuple[str, Any, Callable[[Any], Any]]]:
        """All with our prefix: kind, resource, how to delete it; users last."""
        compute, network = self._connection.compute, self._connection.network
        image, identity = self._connection.image, self._connection.identity
        for kind, entries, delete in (
            ("server", compute.servers(all_projects=True), compute.delete_server),
            ("image", image.images(), image.delete_image),
            ("router", network.routers(), self._delete_router),
            ("network", network.networks(), network.delete_network),
            (
                "security group",
                network.security_groups(),
                network.delete_security_group,
            ),
            ("project", identity.projects(), identity.delete_project),
            ("user", identity.users(), identity.delete_user),
        ):
            for entry in entries:
                if is_tempests(entry.name or ""):
                    yield kind, entry, delete

    def clean(self) -> list[str]:
        """Take away what a run that was killed has left.

        No other Tempest may be testing this cloud: its resources look the same.

        :returns: what was there.
        """
        found = self.left()
        if found:
            for kind, entry, _ in list(self._ours()):
                if kind == "project":
                    self._empty(entry)
            # The projects and users themselves, and what belonged to projects that
            # are gone.
            for _, entry, delete in list(self._ours()):
                delete(entry)
        return found

    def _delete_router(self, router: Any) -> None:
        network = self._connection.network
        for port in network.ports(device_id=router.id):
            if port.device_owner.endswith("router_interface"):
                network.remove_interface_from_router(router, port_id=port.id)
        network.delete_router(router)

    def _empty(self, project: Any) -> None:
        """Delete all that a project has, seen by itself."""
        identity = self._connection.identity
        role = identity.find_role("admin", ignore_missing=False)
        user = self._connection.current_user_id
        identity.assign_project_role_to_user(project, user, role)
        inside = self._connection.connect_as_project(project)
        try:
            inside.project_cleanup(dry_run=False, wait_timeout=CLEANUP_TIMEOUT)
        finally:
            inside.close()

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
