# SPDX-License-Identifier: Apache-2.0
"""What the operator decides about the work, as one value."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping

from nova_multi.domain.driver import Driver
from nova_multi.domain.host import Policy
from nova_multi.domain.plan import Ranges
from nova_multi.domain.provisioner import Ways
from nova_multi.domain.publish import FREE_PORTS


@dataclasses.dataclass(frozen=True, slots=True)
class Settings:
    """Settings of the service; all times are in seconds.

    :ivar domain_id: Keystone's domain that partitions and environments are made in.
    :ivar member_role: what users of an environment, and the service itself, get in it.
    :ivar external_network: name or id; None takes the default one.
    :ivar cidr: addresses of each environment's own network.
    :ivar networks_cidr: what the ranges of definitions' networks are taken from that
        say none.
    :ivar dns: name servers of environments; none leaves it to Neutron.
    :ivar images: names or ids of the images that drivers take where none is named.
    :ivar ports: outside ports for those that are published without one.
    :ivar policy: which of the hosts that fit is taken; None leaves it to Nova.
    :ivar suffixes: what a machine's compute host of a driver has behind its name.
    :ivar listening: whether Nova's notifications are heard.
    :ivar delete_failed: whether an instance whose provisioner failed is deleted.
    :ivar apply_width: steps of one plan that go on at the same time.
    :ivar lease: for which a worker owns a task that it doesn't hear of.
    :ivar patience: for which a step waits for an OpenStack that does not answer.
    :ivar build_timeout: of a server, until it is ACTIVE.
    :ivar report_timeout: without a sign of the guest's provisioner.
    :ivar script_timeout: of a guest's provisioner, however much it says.
    :ivar hours_look: between looks at the working hours of environments.
    :ivar hours_retry: until what their begin or end asks for is tried again, once it
        has failed; twice as long after each further failure.
    :ivar task_retention: for which finished tasks are kept; 0 for ever.
    :ivar usage_retention: for which the lifetimes of servers are kept, for reports of
        usage; 0 for ever.
    :ivar sweep_flavors: whether those of sizes that no instance has are deleted.
    :ivar endpoints: URLs of the service itself, whose files images may come from.
    :ivar private_hosts: names or addresses of private hosts that images may come from.
    :ivar max_image_size: bytes that are fetched of an image.
    :ivar download_timeout: of fetching one, from the first connection to the last byte.
    :ivar downloads: images that one worker fetches at the same time.
    :ivar ways: how a script and secrets may come to a guest.
    :ivar max_unpacked: bytes of all files in a container's image.
    :ivar max_members: files in a container's image.
    :ivar installer_cpus: of the instance in which a system is installed.
    :ivar installer_memory_mb: the same.
    :ivar installer_disk_gb: the disk that it is installed to.
    :ivar install_timeout: of an installation, from its first sign to its end.
    :ivar max_file_size: bytes of one uploaded file.
    :ivar max_project_files: bytes of all uploaded files of a project.
    """

    domain_id: str = "default"
    member_role: str = "member"
    external_network: str | None = None
    cidr: str = "10.20.0.0/16"
    networks_cidr: str = "10.128.0.0/12"
    dns: tuple[str, ...] = ()
    images: Mapping[Driver, str] = dataclasses.field(default_factory=dict)
    ports: range = FREE_PORTS
    policy: Policy | None = Policy.FEWEST_INSTANCES
    suffixes: Mapping[Driver, str] = dataclasses.field(
        default_factory=lambda: {Driver.DOCKER: "-docker", Driver.LXD: "-lxd"}
    )
    listening: bool = False
    delete_failed: bool = False
    apply_width: int = 50
    lease: float = 90.0
    patience: float = 600.0
    build_timeout: float = 1800.0
    report_timeout: float = 1800.0
    script_timeout: float = 14400.0
    hours_look: float = 15.0
    hours_retry: float = 600.0
    task_retention: float = 90 * 86400.0
    usage_retention: float = 730 * 86400.0
    sweep_flavors: bool = True
    endpoints: tuple[str, ...] = ()
    private_hosts: frozenset[str] = frozenset()
    max_image_size: int = 64 * 1024**3
    download_timeout: float = 7200.0
    downloads: int = 2
    ways: Ways = Ways()
    max_unpacked: int = 64 * 1024**3
    max_members: int = 500_000
    installer_cpus: int = 1
    installer_memory_mb: int = 1024
    installer_disk_gb: int = 8
    install_timeout: float = 7200.0
    max_file_size: int = 1024**3
    max_project_files: int = 10 * 1024**3

    @property
    def ranges(self) -> Ranges:
        """Of networks' addresses, as planning takes them."""
        return Ranges(self.cidr, self.networks_cidr)
