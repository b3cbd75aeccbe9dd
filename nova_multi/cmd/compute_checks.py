# SPDX-License-Identifier: Apache-2.0
"""What can be found wrong with a compute's configuration before it starts.

Nova meets most of these much later, as a traceback, as a service that stays up and does
nothing, or as servers whose ports never bind.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

from nova.conf import compute as compute_conf
from nova.conf import netconf
from nova.conf import paths as paths_conf
from oslo_config import cfg

from nova_multi import exception
from nova_multi.conf import network as network_conf
from nova_multi.virt import nova_namespace
from nova_multi.virt.chassis import ChassisMap

_PREFIX = "nova_multi."
_COMPUTE_ID = "compute_id"


def problems(arguments: Sequence[str]) -> list[str]:
    """Everything wrong with the configuration that ``arguments`` name.

    :param arguments: the command line without the program.
    :returns: one sentence for each problem; empty if there is none.
    """
    conf = cfg.ConfigOpts()
    for module in (compute_conf, netconf, paths_conf, network_conf):
        module.register_opts(conf)
    for group in ("database", "api_database"):
        conf.register_opt(cfg.StrOpt("connection", secret=True), group=group)
    try:
        conf(_config_arguments(arguments), project="nova", prog="nova-multi-compute")
        return [
            *_database_problems(conf),
            *_state_problems(conf.state_path, conf.config_file),
            *_host_problems(conf),
        ]
    except (cfg.Error, exception.ConfigurationError) as error:
        return [str(error)]


def _config_arguments(arguments: Sequence[str]) -> list[str]:
    """Only the arguments that name files: the others are Nova's to read."""
    found: list[str] = []
    rest = iter(arguments)
    for argument in rest:
        name, separator, _ = argument.partition("=")
        if name in ("--config-file", "--config-dir"):
            found.append(argument)
            if not separator:
                found.extend(value for value in [next(rest, None)] if value)
    return found


def _database_problems(conf: cfg.ConfigOpts) -> list[str]:
    return [
        f"[{group}] connection is set: a compute reaches the database through the "
        "conductor only; remove it from its configuration"
        for group in ("database", "api_database")
        if conf[group].connection
    ]


def _state_problems(state_path: str, config_files: Sequence[str]) -> list[str]:
    found = []
    if not os.path.isdir(state_path):
        found.append(f"state_path {state_path} is no directory")
    elif not os.access(state_path, os.R_OK | os.W_OK | os.X_OK):
        found.append(f"state_path {state_path} can't be written by this user")
    # Nova reads compute_id beside every configuration file too. One in a folder that
    # computes share makes them all the same node.
    found.extend(
        f"{file} lies beside the configuration, where another compute could take it "
        f"for its own; move it to {state_path}"
        for file in sorted({Path(name).parent / _COMPUTE_ID for name in config_files})
        if file.exists() and file.parent != Path(state_path)
    )
    return found


def _host_problems(conf: cfg.ConfigOpts) -> list[str]:
    driver = conf.compute_driver or ""
    name = driver.removeprefix(_PREFIX)
    if name == driver:
        # One of Nova's own drivers: allowed, and none of our business.
        return []
    if name not in nova_namespace.DRIVERS:
        known = ", ".join(_PREFIX + known for known in nova_namespace.DRIVERS)
        return [f"compute_driver {driver} is unknown; there are {known}"]
    chassis_map = ChassisMap(
        suffixes=tuple(conf.nova_multi.chassis_suffixes),
        overrides=conf.nova_multi.chassis_hosts,
    )
    chassis = chassis_map.chassis(conf.host)
    if name == "LibvirtDriver":
        if chassis != conf.host:
            return [
                f"host {conf.host} would share OVN chassis {chassis}, as a container "
                f"compute does; call this compute {chassis}, or name an exception in "
                "[nova_multi] chassis_hosts"
            ]
    elif chassis == conf.host and conf.host not in chassis_map.overrides:
        suffixes = " or ".join(f"{conf.host}{end}" for end in chassis_map.suffixes)
        return [
            f"host {conf.host} has none of the endings of [nova_multi] "
            f"chassis_suffixes: call this compute {suffixes or '<node>-<engine>'}, or "
            f"name its chassis in [nova_multi] chassis_hosts (as {conf.host}:"
            f"{conf.host} where it is alone on its node)"
        ]
    return []
