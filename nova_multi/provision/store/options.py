# SPDX-License-Identifier: Apache-2.0
"""Where the store's database is."""

from __future__ import annotations

from oslo_config import cfg

group = cfg.OptGroup("database", title="Database of the provisioning service")

opts = [
    cfg.StrOpt(
        "connection",
        secret=True,
        help="""
URL of the database that holds tasks, provisioners, files and records.

``sqlite:////var/lib/nova-multi/provision.sqlite`` for one machine,
``mysql+pymysql://user:password@host/nova_multi`` for several. Its tables are made and
upgraded by ``nova-multi-manage db sync``.
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
