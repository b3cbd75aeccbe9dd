# SPDX-License-Identifier: Apache-2.0
"""Images by commands: of a file, from a URL, of an instance, and installed.

Systems are installed by a small installer of the tests' own. It runs three times at
once, since each machine is emulated: once well, once with an answer that fails, and
once it waits for ever, in a service of the tests' own with a short time limit.
"""

from __future__ import annotations

import contextlib
import functools
import hashlib
import http.server
import os
import pathlib
import secrets
import socket
import subprocess
import tarfile
import threading
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any

import openstack as sdk
import pytest

from tests.integration import cloud, provisioning
from tests.integration.provisioning import Client
from tests.long import small_installer

#: Seconds that an installation may take in the service of the tests' own.
LIMIT = 60
#: Seconds for one that ends; emulated, beside others.
PATIENCE = 300
KEY = "ssh-ed25519 " + "A" * 64 + " it@example.org"
PRESEED = """\
d-i netcfg/get_hostname string it-box
d-i preseed/late_command string \\
    {late}
{more}
"""
ANSWERS = {
    "well": PRESEED.format(late="echo late >/target/etc/late", more=""),
    "fails": PRESEED.format(late="echo the mirror is closed; exit 3", more=""),
    "hangs": PRESEED.format(late="true", more="d-i small/hang boolean true"),
}


class Images:
    """Names of what a run makes, and who makes it.

    :ivar own: a client of the service of the tests' own.
    :ivar address: where a web server of the tests has files, for that service alone.
    """

    def __init__(
        self, admin: Client, own: Client, name: str, folder: pathlib.Path, address: str
    ) -> None:
        self.admin, self.own, self.name = admin, own, name
        self.folder, self.address = folder, address

    def stored(self, name: str, client: Client | None = None) -> Any:
        """An image as Glance has it."""
        client = client or self.admin
        shown = client.get(f"/images/{name}")
        return self.admin.connection.image.get_image(shown["uuid"])

    def save(self, image: str, name: str) -> pathlib.Path:
        """The content of an image of the cloud, as a file."""
        path = self.folder / name
        glance = self.admin.connection.image
        found = glance.find_image(image, ignore_missing=False)
        glance.download_image(found, output=str(path))
        return path

    def create(self, client: Client, name: str, *words: str) -> Any:
        """``openstack multi image create``, to its end."""
        within = ("--environment", self.name, "--wait")
        return client.multi("image", "create", name, *words, *within)


def _free_port() -> int:
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        return int(sock.getsockname()[1])


@contextlib.contextmanager
def _web(folder: pathlib.Path) -> Iterator[str]:
    """A web server of a folder on loopback."""
    handler = functools.partial(
        http.server.SimpleHTTPRequestHandler, directory=str(folder)
    )
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        try:
            yield f"http://127.0.0.1:{server.server_address[1]}"
        finally:
            server.shutdown()


@contextlib.contextmanager
def _service(folder: pathlib.Path) -> Iterator[Client]:
    """``nova-multi serve`` for the cloud's ordinary user."""
    config = folder / "serve.conf"
    config.write_text(
        "[provision]\n"
        "private_hosts = 127.0.0.1\n"
        f"install_timeout = {LIMIT}\n"
        "installer_memory = 512\n"
        "installer_disk = 1\n"
    )
    program = pathlib.Path(cloud.command()).resolve().with_name("nova-multi")
    port = _free_port()
    words = [str(program), "serve", "--cloud", cloud.MEMBER, "--port", str(port)]
    words += ["--folder", str(folder / "state"), "--config-file", str(config)]
    endpoint = f"http://127.0.0.1:{port}/v1"
    with (folder / "serve.log").open("wb") as log:
        process = subprocess.Popen(words, stdout=log, stderr=log)
    try:
        connection = sdk.connect(
            cloud=cloud.MEMBER, provisioning_endpoint_override=endpoint
        )
        environment = {"OS_CLOUD": cloud.MEMBER, "OS_PROVISIONING_ENDPOINT": endpoint}
        cloud.wait_for("the service listens", lambda: _listens(process, port), 60)
        yield Client(connection, environment)
    finally:
        process.terminate()
        process.wait(60)


def _listens(process: subprocess.Popen[bytes], port: int) -> bool:
    assert process.poll() is None, f"the service ended with {process.returncode}"
    with socket.socket() as sock:
        return sock.connect_ex(("127.0.0.1", port)) == 0


@contextlib.contextmanager
def _environment(client: Client, name: str) -> Iterator[None]:
    client.run("partition", "create", f"{name}-co", "--wait")
    try:
        client.run("environment", "create", name, "--partition", f"{name}-co", "--wait")
        yield
    finally:
        _clear(client, name)


def _clear(client: Client, name: str) -> None:
    for kind in ("instances", "images"):
        left = client.get(f"/{kind}?environment={name}")[kind]
        paths = [f"/{kind}/{e['uuid']}" for e in left if e["name"].startswith(name)]
        answers = [client.adapter.delete(path) for path in paths]
        for answer in answers:
            if answer.status_code == 202:
                client.ended(answer.json()["task"], 180)
    for kind in ("provisioners", "files"):
        for each in client.get(f"/{kind}?partition={name}-co")[kind]:
            client.adapter.delete(f"/{kind}/{each['uuid']}")
    for path in (f"/environments/{name}", f"/partitions/{name}-co"):
        answer = client.adapter.delete(path)
        if answer.status_code == 202:
            task = client.ended(answer.json()["task"], 180)
            assert task["status"] == "deleted", task["status_history"]


@pytest.fixture(scope="module")
def images(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Images]:
    """An environment in each service; in the end nothing is left of either."""
    folder = tmp_path_factory.mktemp("images")
    admin = provisioning.administrator()
    compute = admin.connection.compute
    flavors = {flavor.id for flavor in compute.flavors()}
    name = f"it-{secrets.token_hex(3)}"
    (folder / "web").mkdir()
    with contextlib.ExitStack() as stack:
        address = stack.enter_context(_web(folder / "web"))
        own = stack.enter_context(_service(folder))
        stack.callback(_check_nothing_left, admin, name)
        for client in (admin, own):
            stack.enter_context(_environment(client, name))
        yield Images(admin, own, name, folder, address)
    for flavor in compute.flavors():
        if flavor.id not in flavors:
            compute.delete_flavor(flavor)


def _check_nothing_left(admin: Client, name: str) -> None:
    found = [
        *admin.connection.image.images(),
        *admin.connection.compute.servers(all_projects=True),
        *admin.connection.network.ports(),
    ]
    assert [each.name for each in found if (each.name or "").startswith(name)] == []


@pytest.fixture(scope="module")
def installing(images: Images) -> Iterator[dict[str, Future[Any]]]:
    """Three installations that go on while other images are made."""
    kernel = images.save("debian-vm-kernel", "kernel").read_bytes()
    ramdisk = images.save("debian-vm-initramfs", "ramdisk").read_bytes()
    work = images.folder / "installer"
    work.mkdir()
    archive = images.folder / "web/netboot.tar"
    archive.write_bytes(small_installer.make(kernel, ramdisk, work))
    key = images.folder / "key.pub"
    key.write_text(f"{KEY}\n")
    endpoint = images.admin.adapter.get_endpoint().rstrip("/")
    sources = {}
    for name, content in {"netboot.tar": archive, **ANSWERS}.items():
        path = images.folder / "web" / name
        if isinstance(content, str):
            path.write_text(content)
        called = f"{images.name}-{name}"
        words = ("--name", called, "--partition", f"{images.name}-co")
        images.admin.run("file", "create", str(path), *words)
        # A URL that names the service leads to its own files.
        sources[name] = f"{endpoint}/files/{called}"
    installers = {
        "well": (images.admin, sources["netboot.tar"], sources["well"]),
        "fails": (images.admin, sources["netboot.tar"], sources["fails"]),
        "hangs": (
            images.own,
            f"{images.address}/netboot.tar",
            f"{images.address}/hangs",
        ),
    }
    with ThreadPoolExecutor(len(installers)) as pool:
        yield {
            which: pool.submit(
                images.create,
                client,
                f"{images.name}-{which}",
                *("--type", "iso", "--url", url, "--preseed-url", answers),
                *("--key", str(key), "--timezone", "America/Bogota"),
                *("--os-name", "small", "--os-version", "1"),
                *("--architecture", os.uname().machine),
            )
            for which, (client, url, answers) in installers.items()
        }


def _provisioned(images: Images, name: str, image: str, script: str) -> dict[str, str]:
    """Outputs of a container that is made of an image and runs a script."""
    path = images.folder / f"{name}.sh"
    path.write_text(script)
    admin = images.admin
    admin.run(
        *("provisioner", "create", name, "--script", str(path), "--image", image),
        *("--partition", f"{images.name}-co", "--driver", "docker"),
        *("--memory", "0.125", "--cpus", "1", "--hdsize", "1"),
    )
    admin.run(
        *("instance", "create", name, "--environment", images.name),
        *("--provisioner", name, "--wait", "--timeout", str(PATIENCE)),
    )
    shown = admin.get(f"/instances/{name}?environment={images.name}")
    return dict(shown["outputs"])


def test_of_a_file_and_of_an_instance(
    images: Images, installing: dict[str, Future[Any]]
) -> None:
    name = images.name
    path = images.save("debian-docker", "docker.tar")
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    words = ("--type", "docker-container", "--file", str(path))
    done = images.create(
        images.admin, f"{name}-bad", *words, "--checksum", f"sha256:{'0' * 64}"
    )
    assert done.returncode and digest in done.stderr
    told = ("--checksum", f"sha256:{digest}", "--os-name", "debian")
    done = images.create(images.admin, f"{name}-file", *words, *told)
    assert done.returncode == 0, done.stderr
    image = images.stored(f"{name}-file")
    assert image.status == "active" and image.visibility == "shared"
    assert image.hypervisor_type is None and image.properties["img_hv_type"] == "docker"
    script = "echo kept >/kept\noutput made yes\n"
    assert _provisioned(images, f"{name}-a", f"{name}-file", script) == {"made": "yes"}
    done = images.create(images.admin, f"{name}-own", "--from-instance", f"{name}-a")
    assert done.returncode == 0, done.stderr
    script = 'output found "$(cat /kept)"\n'
    found = _provisioned(images, f"{name}-b", f"{name}-own", script)
    assert found == {"found": "kept"}


def test_from_a_url(images: Images, installing: dict[str, Future[Any]]) -> None:
    """It is fetched by the service, and from nowhere that it is not allowed to."""
    path = images.folder / "web/tree.tar"
    with tarfile.open(path, "w") as archive:
        archive.add(__file__, "etc/motd")
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    words = ("--type", "lxd", "--url", f"{images.address}/tree.tar")
    told = ("--checksum", f"sha256:{digest}")
    # The cloud's own service has no such host among those that it is let to.
    done = images.create(images.admin, f"{images.name}-url", *words, *told)
    assert done.returncode and "127.0.0.1" in done.stderr, done.stderr
    done = images.create(images.own, f"{images.name}-url", *words, *told)
    assert done.returncode == 0, done.stderr
    image = images.stored(f"{images.name}-url", images.own)
    assert image.status == "active"
    assert image.properties["img_hv_type"] == "lxd"


def test_installed(images: Images, installing: dict[str, Future[Any]]) -> None:
    """What was installed boots by itself, and was told what the answers said."""
    done = installing["well"].result(PATIENCE)
    assert done.returncode == 0, done.stderr
    name = f"{images.name}-well"
    image = images.stored(name)
    assert image.disk_format == "qcow2" and image.status == "active"
    assert not {"kernel_id", "ramdisk_id"} & image.properties.keys()
    images.admin.run(
        *("provisioner", "create", name, "--image", name, "--driver", "libvirt"),
        *("--partition", f"{images.name}-co", "--memory", "0.25", "--cpus", "1"),
    )
    images.admin.run(
        *("instance", "create", name, "--environment", images.name),
        *("--provisioner", name, "--wait", "--timeout", str(PATIENCE)),
    )
    server = images.admin.get(f"/instances/{name}?environment={images.name}")["uuid"]
    compute = images.admin.connection.compute

    def told() -> str | None:
        output = compute.get_server_console_output(server)["output"] or ""
        lines = [line for line in output.splitlines() if "installed: " in line]
        return lines[0].partition("installed: ")[2].strip() if lines else None

    found = cloud.wait_for("the system boots", told, PATIENCE, 2)
    assert found == f"it-box America/Bogota late {KEY}"


def test_an_installation_that_fails(
    images: Images, installing: dict[str, Future[Any]]
) -> None:
    done = installing["fails"].result(PATIENCE)
    assert done.returncode, done.stdout
    assert "exit status 3" in done.stderr, done.stderr
    assert "the mirror is closed" in done.stderr, done.stderr


def test_an_installation_that_waits_for_ever(
    images: Images, installing: dict[str, Future[Any]]
) -> None:
    done = installing["hangs"].result(PATIENCE)
    assert done.returncode, done.stdout
    assert f"has not ended within {LIMIT} s" in done.stderr, done.stderr
    assert "Waiting for somebody to answer" in done.stderr, done.stderr
