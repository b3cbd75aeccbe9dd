# SPDX-License-Identifier: Apache-2.0
"""The example's Ansible modules, against answers as OpenStack gives them."""

import importlib.util
import json
import sys
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest

LIBRARY = Path(__file__).parents[3] / "deploy/roles/example/library"


def load(name: str, monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """Import a module of the role; Ansible's own helpers aren't called."""
    helpers: dict[str, dict[str, Any]] = {
        "ansible": {},
        "ansible.module_utils": {},
        "ansible.module_utils.basic": {"AnsibleModule": object},
        "ansible.module_utils.nm": {"manifest": None},
    }
    for helper, content in helpers.items():
        stand_in = ModuleType(helper)
        vars(stand_in).update(content)
        monkeypatch.setitem(sys.modules, helper, stand_in)
    spec = importlib.util.spec_from_file_location(name, LIBRARY / f"{name}.py")
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    monkeypatch.setitem(sys.modules, name, module)
    spec.loader.exec_module(module)
    return module


class Glance:
    """What the uploader asks for, with Glance's answers."""

    def __init__(self, *images: dict[str, Any]) -> None:
        self.images = {image["id"]: image for image in images}
        self.calls: list[str] = []
        self.content_hash = "new"

    def request(self, path: str, method: str, **arguments: Any) -> Any:
        self.calls.append(f"{method} {path}")
        body: Any = {}
        number = path.split("/")[2] if path.count("/") > 1 else ""
        if (method, path) == ("GET", "/images"):
            name = arguments["params"]["name"]
            visible = [
                image
                for image in self.images.values()
                if image["name"] == name and not image.get("os_hidden")
            ]
            body = {"images": visible}
        elif method == "POST":
            number = str(len(self.images) + 1)
            body = {**arguments["json"], "id": number, "status": "queued"}
            self.images[number] = {**body, "os_hash_value": None}
        elif method == "PUT":
            arguments["data"].read()
            self.images[number] |= {
                "status": "active",
                "os_hash_value": self.content_hash,
            }
        elif method == "PATCH":
            for change in json.loads(arguments["data"]):
                self.images[number][change["path"][1:]] = change["value"]
        elif method == "DELETE":
            del self.images[number]
        else:
            body = self.images[number]
        return SimpleNamespace(json=lambda: body)


@pytest.fixture
def images(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    module = load("example_images", monkeypatch)
    sdk = SimpleNamespace(raise_from_response=lambda response: None)
    monkeypatch.setattr(module, "sdk_exceptions", sdk, raising=False)
    return module


def image(name: str, **more: Any) -> dict[str, Any]:
    return {
        "name": name,
        "file": "file",
        "sha512": "new",
        "disk_format": "raw",
        "container_format": "bare",
        "min_disk": 0,
        "min_ram": 0,
        "properties": {},
        "references": {},
        **more,
    }


class TestImages:
    """Uploads happen once for a content; properties are kept right."""

    @pytest.fixture
    def folder(self, tmp_path: Path) -> Path:
        (tmp_path / "file").write_bytes(b"content")
        return tmp_path

    def bring(
        self, module: ModuleType, glance: Glance, folder: Path, *wanted: dict[str, Any]
    ) -> Any:
        uploader = module.Uploader(SimpleNamespace(image=glance), folder)
        uploader.bring(list(wanted))
        return uploader

    def test_references_become_ids(self, images: ModuleType, folder: Path) -> None:
        glance = Glance()
        disk = image("vm", references={"kernel_id": "vm-kernel"})
        uploader = self.bring(images, glance, folder, disk, image("vm-kernel"))
        kernel = uploader.ids["vm-kernel"]
        assert glance.images[uploader.ids["vm"]]["kernel_id"] == kernel

    def test_second_time_writes_nothing(self, images: ModuleType, folder: Path) -> None:
        glance = Glance()
        wanted = image("web", properties={"trait:CUSTOM_X": "required"})
        self.bring(images, glance, folder, wanted)
        glance.calls.clear()
        assert self.bring(images, glance, folder, wanted).changes == []
        assert glance.calls == ["GET /images"]

    def test_changed_property_is_mended(self, images: ModuleType, folder: Path) -> None:
        glance = Glance()
        wanted = image("web", properties={"img_hv_type": "lxd"})
        number = self.bring(images, glance, folder, wanted).ids["web"]
        glance.images[number]["img_hv_type"] = "qemu"
        changes = self.bring(images, glance, folder, wanted).changes
        assert changes == ["img_hv_type of image web"]
        assert glance.images[number]["img_hv_type"] == "lxd"

    def test_older_content_is_hidden_and_unfinished_removed(
        self, images: ModuleType, folder: Path
    ) -> None:
        old = {"id": "o", "name": "web", "status": "active", "os_hash_value": "old"}
        half = {"id": "h", "name": "web", "status": "saving", "os_hash_value": None}
        glance = Glance(old, half)
        self.bring(images, glance, folder, image("web"))
        assert glance.images["o"]["os_hidden"] is True
        assert "h" not in glance.images

    def test_damage_on_the_way_is_an_error(
        self, images: ModuleType, folder: Path
    ) -> None:
        glance = Glance()
        glance.content_hash = "other"
        with pytest.raises(ValueError, match="image web was damaged"):
            self.bring(images, glance, folder, image("web"))
        assert glance.images == {}


@pytest.fixture
def servers(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    return load("example_servers", monkeypatch)


def test_table_has_a_line_for_each_server(servers: ModuleType) -> None:
    row = servers.Row(
        "web-docker", "docker", "node-docker", "172.24.4.11", "1.4", "3", "200 page"
    )
    lines = servers.table([row, servers.Row("web-vm")])
    assert lines[0].split("  ")[0] == "Server"
    assert lines[2].split() == [
        *("web-docker", "docker", "node-docker", "172.24.4.11", "1.4", "3"),
        *("200", "page"),
    ]
    assert lines[3].split() == ["web-vm", "none"]


def test_next_commands_name_the_first_server(servers: ModuleType) -> None:
    row = servers.Row("web-docker", address="172.24.4.11")
    text = "\n".join(servers.next_commands("nova-multi", [row]))
    assert "console log show web-docker" in text
    assert "curl http://172.24.4.11/" in text


class TestFetch:
    """The HTTP answer of a server's page, from a real one."""

    @pytest.fixture
    def page(self) -> Iterator[tuple[list[bytes], str]]:
        """A server on loopback: its page, and its address."""
        pages = [b""]

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                self.send_response(200)
                self.end_headers()
                self.wfile.write(pages[0])

            def log_message(self, format: str, *args: Any) -> None:
                pass

        server = HTTPServer(("127.0.0.1", 0), Handler)
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield pages, f"127.0.0.1:{server.server_port}"
        server.shutdown()
        server.server_close()

    def test_title(self, servers: ModuleType, page: tuple[list[bytes], str]) -> None:
        pages, address = page
        pages[0] = b"<!DOCTYPE html><title>web on lxd</title>"
        assert servers.fetch(address) == "200 web on lxd"

    def test_nothing_there(self, servers: ModuleType) -> None:
        assert servers.fetch("127.0.0.1:1") is None


def test_times_of_records(servers: ModuleType) -> None:
    # As Nova writes them: created with a zone, launched without.
    begin, end = "2026-11-20T08:00:00Z", "2026-11-20T08:00:03.000000"
    assert servers._seconds(servers._epoch(begin), end) == "3"
    assert servers._seconds(servers._epoch(begin), None) == ""


class Boot:
    """A server that the scheduler keeps waiting before Nova notes when it was created.

    As on a new cloud: the clock is at 1000 s when it is asked for, Nova notes 1003 s,
    the script is done at 1008 s, and the server is ACTIVE at 1010 s.
    """

    def __init__(self) -> None:
        self.now = 1000.0
        self.server = SimpleNamespace(
            id="1",
            task_state=None,
            created_at="1970-01-01T00:16:43Z",
            metadata={},
            status="ACTIVE",
        )
        anything = lambda *_, **__: SimpleNamespace(id="x")  # noqa: E731
        self.compute = SimpleNamespace(
            find_flavor=anything,
            create_server=self.create,
            get_server=self.get,
            set_server_metadata=lambda server, **new: server.metadata.update(new),
            get_server_console_output=lambda _: {"output": "site: ready at 1008\n"},
        )
        self.image = SimpleNamespace(find_image=anything)
        self.network = SimpleNamespace(find_network=anything)

    def create(self, **wanted: Any) -> Any:
        self.server.metadata = dict(wanted["metadata"])
        return self.server

    def get(self, number: str) -> Any:
        self.now = 1010.0
        return self.server


def test_both_times_begin_with_the_request(
    servers: ModuleType, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """What is done in the end is not told as done before it: 10 and 8, not 10 and 5."""
    boot = Boot()
    clock = SimpleNamespace(time=lambda: boot.now, monotonic=lambda: boot.now)
    monkeypatch.setattr(servers, "time", clock)
    script = tmp_path / "site.sh"
    script.write_text("#!/bin/sh\n")
    params = {
        "timeout": 60,
        "user_data": str(script),
        "network": "private",
        "cloud": "demo",
    }
    example = servers.Example(params, None)
    wanted = {"name": "web", "image": "i", "flavor": "f"}
    server = example._create(boot, wanted, servers.Row("web"))
    assert server.metadata[servers.ACTIVE_KEY] == "10.0"
    assert example._ready_seconds(boot, server) == "8"


def test_a_server_that_was_made_before_there_was_an_origin(servers: ModuleType) -> None:
    server = SimpleNamespace(created_at="1970-01-01T00:16:43Z", metadata={})
    assert servers._begin(server) == 1003


class Compute:
    """One server of Nova, which comes out of a state as it is told.

    :ivar then: states that are shown one after the other, the last one for good.
    """

    def __init__(self, *then: dict[str, Any]) -> None:
        self.then = [SimpleNamespace(id="1", task_state=None, **each) for each in then]
        self.calls: list[str] = []

    def get_server(self, number: str) -> Any:
        return self.then.pop(0) if len(self.then) > 1 else self.then[0]

    def reboot_server(self, server: Any, kind: str) -> None:
        self.calls.append(kind)

    def delete_server(self, server: Any) -> None:
        self.calls.append("delete")

    def wait_for_delete(self, server: Any, wait: float) -> None:
        self.calls.append("gone")


ONCE = {"launched_at": "2026-11-20T08:00:03.000000"}
NEVER = {"launched_at": None}


@pytest.mark.parametrize(
    ("states", "calls", "kept"),
    [
        ([{"status": "ACTIVE", **ONCE}], [], True),
        ([{"status": "SHUTOFF", **ONCE}], [], True),
        ([{"status": "BUILD", **NEVER}, {"status": "ACTIVE", **ONCE}], [], True),
        ([{"status": "ERROR", **ONCE}], ["HARD"], True),
        ([{"status": "ERROR", **NEVER}], ["delete", "gone"], False),
        ([{"status": "BUILD", **NEVER}], ["delete", "gone"], False),
    ],
)
def test_what_an_interrupted_run_left_is_set_right(
    servers: ModuleType,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    states: list[dict[str, Any]],
    calls: list[str],
    kept: bool,
) -> None:
    monkeypatch.setattr(servers, "BUILD_SECONDS", 0.4)
    monkeypatch.setattr(servers, "POLL_SECONDS", 0.01)
    script = tmp_path / "site.sh"
    script.write_text("#!/bin/sh\n")
    example = servers.Example({"timeout": 5, "user_data": str(script)}, None)
    compute = Compute(*states)
    row = servers.Row("web")
    found = example._mended(SimpleNamespace(compute=compute), compute.then[0], row)
    assert compute.calls == calls
    assert bool(found) is kept
    assert bool(row.changes) is bool(calls)
