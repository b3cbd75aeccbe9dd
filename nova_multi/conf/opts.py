# SPDX-License-Identifier: Apache-2.0
"""All option groups of nova_multi, for oslo-config-generator and the tests."""

from __future__ import annotations

import importlib
import pkgutil

from oslo_config import cfg

import nova_multi.conf

Groups = list[tuple[cfg.OptGroup, list[cfg.Opt]]]

#: Modules whose options the provisioning service reads; those of all others are the
#: computes'.
_PROVISIONING = frozenset({"api", "provision"})


def list_opts() -> Groups:
    """The computes' groups with their options (entry point ``oslo.config.opts``).

    Each module of this package that has a ``list_opts`` counts, so that a new group
    can't be forgotten.
    """
    return _of(_modules() - _PROVISIONING)


def list_provision_opts() -> Groups:
    """The provisioning service's groups with their options.

    The database's are declared beside the store: see :mod:`nova_multi.cmd.options`.
    """
    return _of(_PROVISIONING)


def _modules() -> frozenset[str]:
    found = {each.name for each in pkgutil.iter_modules(nova_multi.conf.__path__)}
    return frozenset(found - {"opts"})


def _of(modules: frozenset[str]) -> Groups:
    found: dict[str, tuple[cfg.OptGroup, list[cfg.Opt]]] = {}
    for name in sorted(modules):
        module = importlib.import_module(f"nova_multi.conf.{name}")
        for group, opts in module.list_opts().items():
            found.setdefault(group.name, (group, []))[1].extend(opts)
    return list(found.values())
