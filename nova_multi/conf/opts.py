# SPDX-License-Identifier: Apache-2.0
"""All option groups of nova_multi, for oslo-config-generator and the tests."""

from __future__ import annotations

import importlib
import pkgutil

from oslo_config import cfg

import nova_multi.conf


def list_opts() -> list[tuple[cfg.OptGroup, list[cfg.Opt]]]:
    """Every group with its options (entry point ``oslo.config.opts``).

    Each module of this package that has a ``list_opts`` counts, so that a new group
    can't be forgotten.
    """
    found: dict[str, tuple[cfg.OptGroup, list[cfg.Opt]]] = {}
    for module_info in pkgutil.iter_modules(nova_multi.conf.__path__):
        if module_info.name == "opts":
            continue
        module = importlib.import_module(f"nova_multi.conf.{module_info.name}")
        for group, opts in module.list_opts().items():
            found.setdefault(group.name, (group, []))[1].extend(opts)
    return list(found.values())
