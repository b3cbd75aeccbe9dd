# SPDX-License-Identifier: Apache-2.0
"""Nova's driver for Docker containers."""

from __future__ import annotations

import nova.conf

from nova_multi.conf import base as conf_base
from nova_multi.conf import docker as conf_docker
from nova_multi.inspection.unpacking import Limits
from nova_multi.virt.docker.engine import DockerEngine, Settings
from nova_multi.virt.driver import ContainerDriver
from nova_multi.virt.engine import Engine

CONF = nova.conf.CONF


class DockerDriver(ContainerDriver):
    """Docker containers as Nova servers."""

    hypervisor_type = "docker"
    #: ``docker save`` archives; Glance has no disk format for them but ``raw``.
    image_formats = frozenset({("docker", "raw")})

    def make_engine(self) -> Engine:
        conf_base.register_opts(CONF)
        conf_docker.register_opts(CONF)
        options = CONF.docker
        return DockerEngine(
            Settings(
                host=CONF.host,
                url=options.url,
                timeout=options.timeout,
                transfer_timeout=options.transfer_timeout,
                pause_binary=options.pause_binary,
                no_new_privileges=options.no_new_privileges,
                limits=Limits(
                    unpacked_bytes=CONF.nova_multi.image_max_unpacked_gb * 1024**3,
                    members=CONF.nova_multi.image_max_members,
                ),
            )
        )
