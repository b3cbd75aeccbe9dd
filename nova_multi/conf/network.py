# SPDX-License-Identifier: Apache-2.0
"""Options that tell which OVN chassis a Nova host belongs to."""

from __future__ import annotations

from oslo_config import cfg

from nova_multi.conf.base import group

opts = [
    cfg.ListOpt(
        "chassis_suffixes",
        default=["-docker", "-lxd"],
        help="""
Endings of the host names of computes that share their node's OVN chassis.

Several computes of one node have host names of their own, but OVN knows the node's
chassis by one name only (``external_ids:hostname`` of its Open vSwitch). A compute
called ``<node><suffix>`` has its ports bound to ``<node>``. The rule must be the same
on all computes of a cloud, because a compute also binds ports for its peers.

Related options:

* ``chassis_hosts`` names exceptions.
""",
    ),
    cfg.DictOpt(
        "chassis_hosts",
        default={},
        help="""
Exceptions from ``chassis_suffixes``: pairs of a compute's host name and the host name
of its OVN chassis, for example ``rack1-containers:rack1``. A host that is its own
chassis although its name ends with a suffix is given as ``old-lxd:old-lxd``.

A chassis that is named here is never shortened further, so a chain of pairs is
refused at start.
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
