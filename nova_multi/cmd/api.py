# SPDX-License-Identifier: Apache-2.0
"""The REST interface for a WSGI server.

uwsgi --module 'nova_multi.cmd.api:make_application()' ...

Configuration files are those named in ``OS_NOVA_MULTI_CONFIG_FILES``, separated by
colons, else nova-multi.conf in the usual places.
"""

from __future__ import annotations

import functools
import os
from collections.abc import Callable
from typing import TYPE_CHECKING

from oslo_config import cfg

from nova_multi.api.app import create_app
from nova_multi.cmd import assembly
from nova_multi.provision import bus
from nova_multi.provision.provisioning import Provisioning

if TYPE_CHECKING:
    from _typeshed.wsgi import WSGIApplication

FILES = "OS_NOVA_MULTI_CONFIG_FILES"


def config_files() -> list[str] | None:
    """The files that the environment names; None for the usual ones."""
    named = os.environ.get(FILES)
    return [name for name in named.split(":") if name] if named else None


def make_application() -> WSGIApplication:
    """The application of one process.

    :raises ConfigurationError: the configuration can't be used.
    """
    return application_of(
        assembly.configuration([], "nova-multi-api", files=config_files())
    )


def application_of(conf: cfg.ConfigOpts) -> WSGIApplication:
    """The application with a configuration that was read."""
    probes: dict[str, Callable[[], None]] = {}
    if bus.is_configured(conf):
        probes["message bus"] = functools.partial(bus.reach, conf)
    shared = assembly.tools(conf)
    return create_app(conf, Provisioning(shared, probes), shared.files.spool)
