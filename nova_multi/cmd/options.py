# SPDX-License-Identifier: Apache-2.0
"""All options of the provisioning service, for oslo-config-generator."""

from __future__ import annotations

from nova_multi.conf import opts
from nova_multi.provision.store import options


def list_opts() -> opts.Groups:
    """Every group (entry point ``oslo.config.opts``)."""
    return [*opts.list_provision_opts(), *options.list_opts().items()]
