# SPDX-License-Identifier: Apache-2.0
"""Libraries of the database stay in the store, the domain is plain Python."""

import ast
import pathlib
import sys

import pytest

import nova_multi

ROOT = pathlib.Path(nova_multi.__file__).parent
STORE = ROOT / "provision" / "store"
DATABASE = {"sqlalchemy", "alembic", "oslo_db", "pymysql"}
FOREIGN = {"nova", "openstack", "keystoneauth1", "flask", "pydantic", "cliff"}
FILES = sorted(ROOT.rglob("*.py"))


def imports(path):
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert not node.level, f"{path}: relative import"
            yield node.module


def tops(path):
    return {name.split(".")[0] for name in imports(path)}


def name(path):
    return str(path.relative_to(ROOT))


@pytest.mark.parametrize("path", FILES, ids=name)
def test_the_database_is_the_stores_own(path):
    if not path.is_relative_to(STORE):
        assert not DATABASE & tops(path)


@pytest.mark.parametrize("path", sorted(STORE.rglob("*.py")), ids=name)
def test_the_store_knows_only_the_domain(path):
    assert not FOREIGN & tops(path)
    allowed = ("domain", "exception", "provision.store")
    for imported in imports(path):
        if imported.startswith("nova_multi."):
            assert imported.removeprefix("nova_multi.").startswith(allowed), imported


@pytest.mark.parametrize("path", sorted((ROOT / "domain").glob("*.py")), ids=name)
def test_the_domain_is_plain_python(path):
    assert tops(path) <= {"nova_multi", *sys.stdlib_module_names}
    for imported in imports(path):
        if imported.startswith("nova_multi"):
            assert imported.startswith(("nova_multi.domain", "nova_multi.exception"))
