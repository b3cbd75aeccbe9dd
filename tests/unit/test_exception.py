# SPDX-License-Identifier: Apache-2.0
"""All our errors are in one tree, and the tree that is drawn is that one."""

import importlib
import pkgutil
import re

import pytest

import nova_multi
from nova_multi import exception

#: Not errors: what a step, a worker or a reader says to the one that runs it.
SIGNALS = {"Wait", "Stopping", "Wrong", "Told", "_Stop"}
_LINE = re.compile(r"^    ((?:│   |    )*)[├└]── (\w+)")


def _modules():
    skipped = ("nova_multi.virt.libvirt", "nova_multi.privsep")
    for found in pkgutil.walk_packages(nova_multi.__path__, "nova_multi."):
        # Migrations are run by alembic only.
        if ".migrations" not in found.name and not found.name.startswith(skipped):
            yield importlib.import_module(found.name)


@pytest.fixture(scope="module")
def ours():
    """Every class of ours that can be raised."""
    found = set()
    for module in _modules():
        for value in vars(module).values():
            if (
                isinstance(value, type)
                and issubclass(value, BaseException)
                and value.__module__.startswith("nova_multi.")
            ):
                found.add(value)
    return found


def drawn():
    """Pairs of the names of a parent and a child, as the docstring draws them."""
    pairs, above = [], ["NovaMultiError"]
    for line in exception.__doc__.splitlines():
        if match := _LINE.match(line):
            depth = len(match[1]) // 4
            above = [*above[: depth + 1], match[2]]
            pairs.append((above[-2], above[-1]))
    return pairs


def test_every_error_of_ours_is_one_of_the_tree(ours):
    names = {each.__name__ for each in ours if not issubclass(each, _BASE)}
    assert names == SIGNALS


def test_the_tree_is_drawn_as_it_is(ours):
    pairs = sorted(
        (each.__base__.__name__, each.__name__)
        for each in ours
        if issubclass(each, _BASE) and each is not _BASE
    )
    assert sorted(drawn()) == pairs


_BASE = exception.NovaMultiError
