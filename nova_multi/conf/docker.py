# SPDX-License-Identifier: Apache-2.0
"""Options of the Docker driver."""

from __future__ import annotations

from oslo_config import cfg

group = cfg.OptGroup("docker", title="Docker driver")

opts = [
    cfg.StrOpt(
        "url",
        default="unix:///run/nova-multi/docker/docker.sock",
        regex="^unix:///.+",
        help="""
Where the Docker daemon listens.

Only a Unix socket is taken: whoever can use it is root of the machine, so it is never
on TCP. The daemon should be Nova's alone, with user namespaces (``userns-remap``) and
``live-restore``, without a bridge and without its own firewall rules.
""",
    ),
    cfg.IntOpt(
        "timeout",
        default=60,
        min=1,
        help="""
Seconds that the daemon may take to answer. When it is stopping a guest, the time that
the guest is given comes on top.
""",
    ),
    cfg.IntOpt(
        "transfer_timeout",
        default=1800,
        min=1,
        help="""
Seconds that the daemon may be silent while it loads, commits or saves a whole image.
""",
    ),
    cfg.StrOpt(
        "pause_binary",
        default="/usr/bin/catatonit",
        help="""
Static program that sleeps when it is started with ``-P`` and ends on SIGTERM.

It keeps each guest's network open, and is the command of guests whose image names none.
""",
    ),
    cfg.BoolOpt(
        "no_new_privileges",
        default=True,
        help="""
Whether programs in guests gain nothing by set-user-id bits and file capabilities.

With it ``sudo`` and ``su`` do not work in guests. Without it they do; root of a guest
is still an ordinary user of the machine where the daemon remaps users.
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
