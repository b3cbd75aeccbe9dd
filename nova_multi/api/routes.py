# SPDX-License-Identifier: Apache-2.0
"""The table of all routes, on canonical paths (see :mod:`nova_multi.api.paths`)."""

from __future__ import annotations

import importlib
import pkgutil

from nova_multi.api import handlers
from nova_multi.api.handlers.base import Route


def all_routes() -> list[Route]:
    """Every route of every module of handlers, so that none can be forgotten."""
    found: list[Route] = []
    for module_info in pkgutil.iter_modules(handlers.__path__):
        module = importlib.import_module(f"{handlers.__name__}.{module_info.name}")
        found.extend(getattr(module, "ROUTES", ()))
    return found
