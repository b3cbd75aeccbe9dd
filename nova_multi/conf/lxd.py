# SPDX-License-Identifier: Apache-2.0
"""Options of the LXD driver; the names of nova-lxd's options are kept."""

from __future__ import annotations

from oslo_config import cfg

group = cfg.OptGroup("lxd", title="LXD driver")

opts = [
    cfg.StrOpt(
        "root_dir",
        default="/var/lib/lxd",
        help="""
LXD's state folder, in which its ``unix.socket`` lies.

The user of the compute service must be able to open that socket, for example through
the group that was given to ``lxd --group``.
""",
    ),
    cfg.StrOpt(
        "project",
        default="nova-multi",
        help="""
LXD project of Nova's guests and images. What is in other projects is never looked at.

It must exist, and must allow low-level options, disk devices and physical network
interfaces, which in a restricted project are refused by default.
""",
    ),
    cfg.StrOpt(
        "pool",
        default="nova-multi",
        help="""
LXD storage pool that holds the root file systems of guests. It must exist. The size of
a flavor's disk is enforced on pools of type btrfs, zfs, lvm and ceph, not on dir.
""",
    ),
    cfg.IntOpt(
        "timeout",
        default=60,
        min=1,
        help="Seconds in which LXD must answer a request or finish an operation.",
    ),
    cfg.IntOpt(
        "image_timeout",
        default=900,
        min=1,
        help="""
Seconds in which LXD must take in or give out an image, which moves gigabytes.
""",
    ),
    cfg.BoolOpt(
        "isolated",
        default=True,
        help="""
Give each guest a range of user and group ids that it shares with no other guest.

Takes 65536 ids for each guest from root's ranges in /etc/subuid and /etc/subgid;
Debian's default is enough for about 150 guests. Without it all guests share one range:
still unprivileged, but a process that broke out of one would own the others' files.
""",
    ),
]


def register_opts(conf: cfg.ConfigOpts) -> None:
    """Declare the group on ``conf``; repeating it is harmless."""
    conf.register_group(group)
    conf.register_opts(opts, group=group)


def list_opts() -> dict[cfg.OptGroup, list[cfg.Opt]]:
    """Options for the sample configuration."""
    return {group: opts}
