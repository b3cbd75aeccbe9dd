# SPDX-License-Identifier: Apache-2.0
"""What the provisioning layer may import; the cloud of the tests is like the real."""

import ast
import inspect
import pathlib

import pytest

import nova_multi
from nova_multi.cloud import (
    clouds,
    compute,
    flavor,
    grant,
    host,
    identity,
    image,
    network,
    placement,
    publish,
    signature,
)
from tests.fixtures import fake_cloud

ROOT = pathlib.Path(nova_multi.__file__).parent
PROVISION = ROOT / "provision"
FILES = [
    path
    for path in sorted(PROVISION.rglob("*.py"))
    if not path.is_relative_to(PROVISION / "store")
]
#: Libraries, and the one module of this layer that may import each.
OWNED = {"oslo_messaging": "bus.py", "pycadf": "audit.py"}
FORBIDDEN = {
    "nova",
    "openstack",
    "keystoneauth1",
    "flask",
    "pydantic",
    "sqlalchemy",
    "oslo_db",
    "cliff",
    "osc_lib",
    "requests",
}
PARTS = (
    *("conf", "domain", "exception", "spec", "cloud", "provision", "guest"),
    *("cpio", "inspection"),
)


def imports(path):
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert not node.level
            for alias in node.names:
                yield f"{node.module}.{alias.name}"


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(ROOT)))
def test_imports(path):
    for name in imports(path):
        top = name.split(".")[0]
        assert top not in FORBIDDEN, name
        if top in OWNED:
            assert path.name == OWNED[top], name
        if top == "nova_multi":
            assert name.split(".")[1] in PARTS, name


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(ROOT)))
def test_modules_stay_small(path):
    assert len(path.read_text().splitlines()) <= 620


PAIRS = [
    (compute.Servers, fake_cloud.FakeServers),
    (flavor.Flavors, fake_cloud.FakeFlavors),
    (host.Hosts, fake_cloud.FakeHosts),
    (placement.Placement, fake_cloud.FakePlacement),
    (network.Networks, fake_cloud.FakeNetworks),
    (publish.Publishing, fake_cloud.FakePublishing),
    (image.Images, fake_cloud.FakeImages),
    (identity.Identity, fake_cloud.FakeIdentity),
    (grant.Grants, fake_cloud.FakeGrants),
    (signature.Signatures, fake_cloud.FakeSignatures),
]


def methods(kind):
    return {
        name: [
            (each.name, each.kind, each.default)
            for each in inspect.signature(member).parameters.values()
        ]
        for name, member in inspect.getmembers(kind, inspect.isfunction)
        if not name.startswith("_")
    }


@pytest.mark.parametrize(("real", "fake"), PAIRS, ids=lambda kind: kind.__name__)
def test_the_fake_has_the_same_methods(real, fake):
    assert methods(fake) == methods(real)


def test_no_noun_is_missing():
    real = inspect.getsource(clouds.Cloud.__init__)
    fake = inspect.getsource(fake_cloud.FakeCloud.__init__)
    nouns = {line.split("=")[0].strip() for line in real.splitlines() if "wire" in line}
    for noun in nouns - {"self.connection"}:
        assert noun in fake, noun
