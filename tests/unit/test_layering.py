# SPDX-License-Identifier: Apache-2.0
"""Imports go one way, and each library has one place (doc: contributor/layout)."""

from __future__ import annotations

import ast
import pathlib
from collections.abc import Iterator

import pytest

import nova_multi

ROOT = pathlib.Path(nova_multi.__file__).parent

#: What a part of the package may import of the others. The longest prefix counts; a
#: part may always import itself. Parts that are not there yet have their place already.
ALLOWED = {
    "exception": (),
    "conf": ("exception",),
    "domain": ("exception",),
    "spec": ("exception", "domain"),
    "cloud": ("exception", "domain"),
    "cpio": (),
    "image_build": ("exception", "domain", "cpio"),
    "inspection": ("exception",),
    "provision": ("exception", "conf", "domain", "spec", "cloud", "inspection", "cpio"),
    "api": ("exception", "conf", "domain", "spec", "cloud", "provision"),
    "client": ("exception",),
    # The command line reads files, with their scripts, and sends what is in them.
    "osc": ("exception", "client", "domain", "spec"),
    "web": (),
    "guest": (),
    "privsep": ("exception",),
    "virt": ("exception", "conf", "privsep", "guest", "inspection"),
    "virt.docker": ("exception", "conf", "inspection", "privsep", "virt"),
    "virt.lxd": ("exception", "conf", "inspection", "privsep", "virt"),
    "virt.libvirt": ("exception", "conf", "inspection", "privsep", "virt"),
}

#: Engines' folders: nothing shared imports them, and they don't import each other.
ENGINES = ("virt.docker", "virt.lxd", "virt.libvirt")

#: Libraries that one part alone may import.
OWNED = {
    "docker": ("virt.docker",),
    "pylxd": ("virt.lxd",),
    "openstack": ("cloud",),
    "libvirt": ("virt.libvirt",),
    "nova": ("virt", "privsep", "cmd"),
    "os_vif": ("virt",),
    "vif_plug_ovs": ("virt.libvirt",),
    "flask": ("api",),
    "werkzeug": ("api",),
    "keystonemiddleware": ("api",),
    "oslo_policy": ("api",),
    "oslo_middleware": ("api",),
    "pydantic": ("api.schemas",),
    "pydantic_core": ("api.schemas",),
    "yaml": ("spec",),
    "cliff": ("osc",),
    "osc_lib": ("osc",),
    "keystoneauth1": ("cloud", "client", "osc"),
}

#: The domain is plain Python, and so is what must run where nothing is installed.
STDLIB_ONLY = (
    "domain",
    "exception",
    "cpio",
    "virt.engine",
    "virt.chassis",
    # It makes the images of a deployment before anything else is installed.
    "image_build",
)


def _modules() -> Iterator[tuple[str, pathlib.Path]]:
    for path in sorted(ROOT.rglob("*.py")):
        parts = path.relative_to(ROOT).with_suffix("").parts
        yield ".".join(part for part in parts if part != "__init__"), path


def _imports(module: str, path: pathlib.Path) -> Iterator[str]:
    """Every module that is imported anywhere in a file, by its full name."""
    tree = ast.parse(path.read_text())
    package = ["nova_multi", *module.split(".")]
    if path.name != "__init__.py":
        package = package[:-1]
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = package[: len(package) + 1 - node.level] if node.level else []
            stem = ".".join([*base, *(node.module or "").split(".")]).strip(".")
            for alias in node.names:
                yield f"{stem}.{alias.name}"


def _part(module: str, parts: tuple[str, ...]) -> str | None:
    """The longest of the parts that holds the module."""
    fitting = [part for part in parts if f"{module}.".startswith(f"{part}.")]
    return max(fitting, key=len, default=None)


MODULES = dict(_modules())


@pytest.mark.parametrize("module", MODULES)
def test_imports_go_one_way(module: str) -> None:
    part = _part(module, tuple(ALLOWED))
    if part is None:
        # cmd puts the others together; the package itself is empty.
        assert module.split(".")[0] in ("", "cmd"), f"{module} has no rule"
        return
    for imported in _imports(module, MODULES[module]):
        if not imported.startswith("nova_multi."):
            continue
        target = imported.removeprefix("nova_multi.")
        allowed = (part, *ALLOWED[part])
        assert _part(target, allowed), f"{module} must not import {imported}"
        engine = _part(target, ENGINES)
        assert engine in (None, part), f"{module} must not import {imported}"


@pytest.mark.parametrize("module", MODULES)
def test_libraries_have_one_place(module: str) -> None:
    for imported in _imports(module, MODULES[module]):
        owners = OWNED.get(imported.split(".")[0])
        if owners:
            assert _part(module, owners), f"{module} must not import {imported}"


@pytest.mark.parametrize("module", MODULES)
def test_the_interface_knows_only_the_service(module: str) -> None:
    if _part(module, ("api",)) is None:
        return
    allowed = ("api", "domain", "conf", "exception", "provision.service")
    for imported in _imports(module, MODULES[module]):
        if imported.startswith("nova_multi."):
            target = imported.removeprefix("nova_multi.")
            assert _part(target, allowed), f"{module} must not import {imported}"


@pytest.mark.parametrize("module", MODULES)
def test_plain_parts_import_nothing(module: str) -> None:
    import sys

    if _part(module, STDLIB_ONLY) is None:
        return
    for imported in _imports(module, MODULES[module]):
        top = imported.split(".")[0]
        assert top == "nova_multi" or top in sys.stdlib_module_names, imported


@pytest.mark.parametrize("module", MODULES)
def test_modules_stay_small(module: str) -> None:
    lines = len(MODULES[module].read_text().splitlines())
    assert lines <= 800, f"{module} has {lines} lines: split it"


def test_engines_have_the_same_files() -> None:
    common = {
        "driver.py",
        "client.py",
        "engine.py",
        "mapping.py",
        "image.py",
        "host.py",
    }
    for engine in ("docker", "lxd"):
        files = {path.name for path in (ROOT / "virt" / engine).glob("*.py")}
        assert common <= files, f"{engine} lacks {common - files}"
