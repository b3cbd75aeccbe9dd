# SPDX-License-Identifier: Apache-2.0
"""What the package imports, and who imports its libraries."""

from __future__ import annotations

import ast
import pathlib

import pytest

import nova_multi
from nova_multi import cloud

ROOT = pathlib.Path(nova_multi.__file__).parent
HERE = pathlib.Path(cloud.__file__).parent

#: Beside the standard library and the domain.
ALLOWED = {"openstack", "keystoneauth1", "requests", "oslo_log"}
#: A client's adapter is keystoneauth's, too.
KEYSTONEAUTH = {"cloud", "client", "osc", "cmd", "virt", "conf"}


def imports(path):
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


@pytest.mark.parametrize("path", sorted(HERE.glob("*.py")), ids=lambda p: p.stem)
def test_what_cloud_imports(path):
    import sys

    for imported in imports(path):
        top = imported.split(".")[0]
        if top == "nova_multi":
            part = imported.split(".")[1]
            assert part in ("cloud", "domain", "exception"), imported
        else:
            assert top in ALLOWED or top in sys.stdlib_module_names, imported


@pytest.mark.parametrize("path", sorted(HERE.glob("*.py")), ids=lambda p: p.stem)
def test_modules_stay_small(path):
    assert len(path.read_text().splitlines()) <= 450


def test_who_imports_openstacks_libraries():
    for path in ROOT.rglob("*.py"):
        part = path.relative_to(ROOT).parts[0]
        for imported in imports(path):
            top = imported.split(".")[0]
            if top == "openstack":
                assert part == "cloud", path
            elif top == "keystoneauth1":
                assert part in KEYSTONEAUTH, path
