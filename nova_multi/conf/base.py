# SPDX-License-Identifier: Apache-2.0
"""Options that the Docker and the LXD driver share."""

from __future__ import annotations

from oslo_config import cfg

group = cfg.OptGroup(
    "nova_multi",
    title="Options shared by the container drivers",
)

opts = [
    cfg.FloatOpt(
        "share",
        default=1.0,
        min=0.01,
        max=1.0,
        help="""
Part of the machine that this compute service may give to its guests.

Several compute services on one machine (Docker, LXD, libvirt) each see all of it.
The shares of all of them should add up to 1. Memory and disk are reported as this part
of what the machine has; of CPUs all are reported, since they are shared in time, and
``cpu_allocation_ratio`` (or its initial value) is multiplied by the share.
""",
    ),
    cfg.IntOpt(
        "pids_limit",
        default=4096,
        min=64,
        help="""
Upper limit of processes and threads in one container.

Overridden for a flavor by its extra spec ``nova_multi:pids_limit``.
""",
    ),
    cfg.IntOpt(
        "stop_timeout",
        default=10,
        min=0,
        help="""
Seconds that a container is given to end in a soft reboot before it is killed.

Stopping a server uses Nova's own ``shutdown_timeout`` and the image's
``os_shutdown_timeout`` instead.
""",
    ),
    cfg.IntOpt(
        "engine_poll_interval",
        default=5,
        min=1,
        max=300,
        help="""
Seconds between attempts to reach a container engine that does not answer when the
compute service starts. The service reports itself as up only once the engine answers.
""",
    ),
    cfg.IntOpt(
        "image_max_unpacked_gb",
        default=64,
        min=1,
        help="""
Largest size of an unpacked image, in GiB. A larger one is refused before the engine
sees it.
""",
    ),
    cfg.IntOpt(
        "image_max_members",
        default=500_000,
        min=1000,
        help="Largest number of files in an image; one with more is refused.",
    ),
]


def register_opts(conf: cfg.ConfigOpts) -> None:
    """Declare the group on ``conf``; repeating it is harmless."""
    conf.register_group(group)
    conf.register_opts(opts, group=group)


def list_opts() -> dict[cfg.OptGroup, list[cfg.Opt]]:
    """Options for the sample configuration."""
    return {group: opts}
