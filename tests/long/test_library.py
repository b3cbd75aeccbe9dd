# SPDX-License-Identifier: Apache-2.0
"""The helper library, Puppet and Ansible in real guests.

Their image, with a package tool, is built here. It has a signed repository of its own:
no guest needs a mirror.
"""

from __future__ import annotations

import dataclasses
import secrets
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from nova_multi.domain.recipe import File, Packaging, Recipe
from nova_multi.image_build import build
from tests.integration import provisioning
from tests.integration.provisioning import Client

HERE = Path(__file__).parent
TYPES = {"docker": "docker-container", "lxd": "lxd"}
FILES = {"docker": "library-docker.tar", "lxd": "library-lxd-unified.tar.gz"}

MANIFEST = """
file { '/srv/page': content => "made for ${facts['greeting']}, ${facts['token']}" }
exec { "output page 'made for ${facts['greeting']}'":
  path => $facts['nova_multi_path'], require => File['/srv/page'],
}
exec { "output length $(wc -c < /srv/page)":
  path => $facts['nova_multi_path'], provider => shell, require => File['/srv/page'],
}
"""
PLAYBOOK = """
- hosts: all
  tasks:
    - name: Write the page
      ansible.builtin.copy:
        dest: /srv/page
        content: "made for {{ GREETING }}, {{ TOKEN }}"
    - name: Tell what is in it
      ansible.builtin.command: {argv: [output, page, "made for {{ GREETING }}"]}
    - ansible.builtin.shell: output length "$(wc -c < /srv/page)"
"""
#: A value that a shell, Puppet and Ansible would each like to look into.
GREETING = "{{ you }} $(id) 'e' \\1"


@dataclasses.dataclass(frozen=True)
class Place:
    """A partition with an image for each kind of container."""

    admin: Client
    name: str
    folder: Path

    def image(self, driver: str) -> str:
        """Its image for a driver."""
        return f"{self.name}-{driver}"

    def apply(self, text: str, *options: str) -> subprocess.CompletedProcess[str]:
        """Apply a file."""
        path = self.folder / "file.yaml"
        path.write_text(f"name: {self.name}\npartition: {self.name}-co\n{text}")
        words = ("environment", "apply", str(path), "--yes", "--wait")
        return self.admin.multi(*words, *options)

    def outputs(self, name: str) -> dict[str, Any]:
        """What an instance's script told."""
        shown = self.admin.get(f"/instances/{name}?environment={self.name}")
        return dict(shown["outputs"])


def _run(*words: str | Path, **more: Any) -> str:
    done = subprocess.run(
        words, capture_output=True, text=True, check=False, timeout=300, **more
    )
    assert done.returncode == 0, f"{words}: {done.stdout}{done.stderr}"
    return done.stdout


def _repository(folder: Path) -> Path:
    """A signed repository with one package."""
    root, package, keys = folder / "repository", folder / "package", folder / "keys"
    architecture = _run("dpkg", "--print-architecture").strip()
    lists = root / f"dists/stable/main/binary-{architecture}"
    for each in (package / "DEBIAN", package / "usr/bin", root / "pool", lists, keys):
        each.mkdir(parents=True)
    keys.chmod(0o700)
    (package / "DEBIAN/control").write_text(
        "Package: it-hello\nVersion: 1.0\nArchitecture: all\n"
        "Maintainer: Nobody <nobody@example.org>\nDescription: Says hello\n"
    )
    hello = package / "usr/bin/it-hello"
    hello.write_text("#!/bin/sh\necho hello from a package\n")
    hello.chmod(0o755)
    _run("dpkg-deb", "--build", package, root / "pool/it-hello.deb")
    told = _run("dpkg-scanpackages", "pool", cwd=root)
    (lists / "Packages").write_text(told)
    file = f"main/binary-{architecture}/Packages"
    digest = _run("sha256sum", lists / "Packages").split()[0]
    release = root / "dists/stable/Release"
    release.write_text(
        "Suite: stable\nCodename: stable\nComponents: main\n"
        f"Architectures: {architecture}\nDate: Fri, 09 Jun 2023 00:00:00 UTC\n"
        f"SHA256:\n {digest} {len(told.encode())} {file}\n"
    )
    gpg = ("gpg", "--homedir", str(keys), "--batch", "--yes", "--passphrase", "")
    _run(*gpg, "--quick-generate-key", "it@example.org", "rsa2048", "sign", "never")
    (root / "key.asc").write_text(_run(*gpg, "--armor", "--export"))
    _run(*gpg, "--clearsign", "--output", release.with_name("InRelease"), release)
    _run("gpgconf", "--homedir", keys, "--kill", "gpg-agent")
    return root


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    folder = tmp_path_factory.mktemp("library")
    recipe = Recipe(
        "library",
        packages=("apt", "gpgv", "puppet-agent", "ansible-core"),
        exclude=("/usr/share/doc/*", "/usr/share/man/*", "/usr/share/locale/*"),
        files=(File("/srv/repository", source=_repository(folder)),),
        properties={"os_distro": "it"},
    )
    formats = (Packaging.DOCKER, Packaging.LXD_UNIFIED)
    build.build(recipe, folder / "out", packagings=formats, log=lambda _: None)
    admin = provisioning.administrator()
    place = Place(admin, f"it-{secrets.token_hex(3)}", folder)
    scope = ("--partition", f"{place.name}-co")
    admin.run("partition", "create", f"{place.name}-co", "--wait")
    made = []
    try:
        for driver, kind in TYPES.items():
            file = str(folder / "out" / FILES[driver])
            words = ("image", "create", place.image(driver), "--type", kind, *scope)
            admin.run(*words, "--file", file, "--wait")
            made.append(place.image(driver))
        yield place
    finally:
        admin.multi("environment", "destroy", place.name, "--yes", "--queue", "--wait")
        for name in made:
            admin.multi("image", "delete", name, *scope, "--wait")
        deleted = admin.multi("partition", "delete", f"{place.name}-co", "--wait")
        assert deleted.returncode == 0, deleted.stderr


@pytest.mark.parametrize("driver", TYPES)
def test_all_of_the_library(place: Place, driver: str) -> None:
    (place.folder / "library.sh").write_text((HERE / "library.sh").read_text())
    done = place.apply(
        "provisioners:\n"
        "  all: {script: {file: library.sh}, variables: {GREETING: hello}}\n"
        "instances:\n"
        f"  one: {{driver: {driver}, image: {place.image(driver)}, memory: 256,"
        " cpus: 1, provisioner: all}\n"
    )
    assert done.returncode == 0, done.stdout + done.stderr
    outputs = place.outputs("one")
    assert int(outputs.pop("memory")) in range(200, 257)
    assert outputs.pop("cpus").isdigit()
    assert outputs.pop("uuid") and outputs.pop("address")
    text = r"[a & \1 {{VALUE}} $(id)] hello"
    assert outputs == {
        "package": "hello from a package",
        "user": "keeper 600 keeper keepers",
        "lines": "made once kept made again ",
        "host": "1",
        "file": "keeper:keepers 640",
        "text": text,
        "page": text,
        "hypervisor": driver,
        "os": "debian",
        "os_family": "debian",
        "init": "sysv",
    }


@pytest.mark.parametrize("driver", TYPES)
def test_puppet_and_ansible(place: Place, driver: str) -> None:
    (place.folder / "site.pp").write_text(MANIFEST)
    (place.folder / "site.yml").write_text(PLAYBOOK)
    variables = (
        f"variables: {{GREETING: {_quoted(GREETING)}, TOKEN: '${{inputs.token}}'}}"
    )
    size = f"driver: {driver}, image: {place.image(driver)}, memory: 512, cpus: 1"
    done = place.apply(
        "inputs:\n"
        "  token: {secret: true, generate: password, length: 20}\n"
        "provisioners:\n"
        f"  p: {{script: {{file: site.pp}}, executor: manifest, {variables}}}\n"
        f"  a: {{script: {{file: site.yml}}, executor: playbook, {variables}}}\n"
        "instances:\n"
        f"  puppet: {{{size}, provisioner: p}}\n"
        f"  ansible: {{{size}, provisioner: a}}\n"
    )
    assert done.returncode == 0, done.stdout + done.stderr
    length = len(f"made for {GREETING}, ".encode()) + 20
    ansible = place.outputs("ansible")
    assert ansible == {"page": f"made for {GREETING}", "length": str(length)}
    assert place.outputs("puppet")["length"] == str(length)


def test_a_playbook_that_fails(place: Place) -> None:
    (place.folder / "site.yml").write_text(
        "- hosts: all\n  tasks:\n    - fail: {msg: no}\n"
    )
    done = place.apply(
        "provisioners:\n  a: {script: {file: site.yml}, executor: playbook}\n"
        "instances:\n"
        f"  ansible: {{driver: docker, image: {place.image('docker')}, memory: 512,"
        " provisioner: a}\n"
    )
    assert done.returncode != 0
    assert "ansible-playbook ended with exit status 2" in done.stdout + done.stderr


def test_a_builder_is_refused(place: Place) -> None:
    """The image was looked at when it came: it has no git."""
    done = place.apply(
        "provisioners:\n"
        "  b: {builder: 'https://git.example/a.git', executor: sh run.sh}\n"
        "instances:\n"
        f"  b: {{driver: lxd, image: {place.image('lxd')}, provisioner: b}}\n"
    )
    assert done.returncode != 0
    assert f"image {place.image('lxd')} has no git" in done.stdout + done.stderr


def _quoted(text: str) -> str:
    return "'" + text.replace("'", "''") + "'"
