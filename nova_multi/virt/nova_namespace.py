# SPDX-License-Identifier: Apache-2.0
"""What Nova sees as ``nova.virt.nova_multi``.

Nova loads a compute driver as ``nova.virt.<compute_driver>`` and nothing else. After
:func:`register`, ``compute_driver = nova_multi.DockerDriver`` names a class of ours,
wherever and however the package is installed.

Drivers are imported when they are asked for, so that a host needs the libraries of its
own engine only.
"""

from __future__ import annotations

import importlib
import sys
from typing import Any

#: Class name by which ``compute_driver`` asks for it, and the module that has it.
DRIVERS = {
    "DockerDriver": "nova_multi.virt.docker.driver",
    "LXDDriver": "nova_multi.virt.lxd.driver",
    "LibvirtDriver": "nova_multi.virt.libvirt.driver",
}

_NAME = "nova.virt.nova_multi"


def register() -> None:
    """Make this module importable as ``nova.virt.nova_multi``."""
    import nova.virt

    module = sys.modules[__name__]
    sys.modules[_NAME] = module
    nova.virt.nova_multi = module


def __getattr__(name: str) -> Any:
    try:
        module = DRIVERS[name]
    except KeyError:
        raise AttributeError(
            f"module {_NAME!r} has no driver {name!r}; it has {', '.join(DRIVERS)}"
        ) from None
    return getattr(importlib.import_module(module), name)
