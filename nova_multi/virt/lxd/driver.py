# SPDX-License-Identifier: Apache-2.0
"""Nova's driver for LXD containers."""

from __future__ import annotations

import os

import nova.conf

from nova_multi.conf import base as conf_base
from nova_multi.conf import lxd as conf_lxd
from nova_multi.inspection.roottree import Limits
from nova_multi.virt.driver import ContainerDriver
from nova_multi.virt.engine import Engine
from nova_multi.virt.lxd.client import LXDClient
from nova_multi.virt.lxd.engine import LXDEngine

CONF = nova.conf.CONF

SOCKET = "unix.socket"
#: Below the instances path; no server's folder has such a name.
CONSOLE_FOLDER = "_consoles"


class LXDDriver(ContainerDriver):
    """LXD system containers as Nova servers."""

    hypervisor_type = "lxd"
    #: Glance has no name for LXD's formats: ``raw`` is what it does not look into.
    image_formats = frozenset({("bare", "raw")})

    def make_engine(self) -> Engine:
        conf_base.register_opts(CONF)
        conf_lxd.register_opts(CONF)
        options = CONF.lxd
        socket = os.path.join(options.root_dir, SOCKET)
        return LXDEngine(
            LXDClient(socket, options.project, options.timeout),
            LXDClient(socket, options.project, options.image_timeout),
            nova_host=CONF.host,
            project=options.project,
            pool=options.pool,
            isolated=options.isolated,
            console_folder=os.path.join(CONF.instances_path, CONSOLE_FOLDER),
            limits=Limits(
                unpacked_bytes=CONF.nova_multi.image_max_unpacked_gb * 1024**3,
                members=CONF.nova_multi.image_max_members,
            ),
        )
