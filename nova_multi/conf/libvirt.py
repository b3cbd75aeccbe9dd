# SPDX-License-Identifier: Apache-2.0
"""Options of the libvirt compute beyond Nova's own."""

from __future__ import annotations

from oslo_config import cfg

from nova_multi.conf.base import group

opts = [
    cfg.BoolOpt(
        "libvirt_checksum_offload",
        default=True,
        help="""
Whether virtio interfaces of virtual machines may leave checksums and segmentation to
the other side of the wire.

Switch it off where Open vSwitch runs its userspace datapath (``datapath_type=netdev``).
That datapath passes packets on as they are: a guest that offloads sends TCP with
unfinished checksums, and ping works while TCP and DNS do not. Leave it on with the
kernel's datapath, where switching it off only costs speed.

It takes effect when a machine is started or an interface attached.
""",
    ),
]


def register_opts(conf: cfg.ConfigOpts) -> None:
    """Declare the options on ``conf``; repeating it is harmless."""
    conf.register_group(group)
    conf.register_opts(opts, group=group)


def list_opts() -> dict[cfg.OptGroup, list[cfg.Opt]]:
    """Options for the sample configuration."""
    return {group: opts}
