# SPDX-License-Identifier: Apache-2.0
"""The privileged functions, in real network namespaces and on real files."""

import json
import os
import secrets
import subprocess
import sys

import nova.conf
import pytest

from nova_multi import exception
from nova_multi.privsep import files, network

PREFIX = "198.18.78"  # a benchmark network of RFC 2544: nothing real uses it


@pytest.fixture(autouse=True)
def in_process(monkeypatch):
    from nova_multi import privsep

    for context in (privsep.network_context, privsep.files_context):
        monkeypatch.setattr(context, "client_mode", False)


@pytest.fixture
def namespace():
    name = f"nmt-{secrets.token_hex(3)}"
    subprocess.run(["ip", "netns", "add", name], check=True)
    yield f"/run/netns/{name}"
    subprocess.run(["ip", "netns", "delete", name], check=True)


@pytest.fixture
def pair():
    mark = secrets.token_hex(4)
    tap, inner = f"tapt{mark}", f"innt{mark}"
    network.create_veth(tap, inner, "fa:16:3e:78:00:01", 1342)
    yield tap, inner
    network.delete_link(tap)


def links(*where):
    out = subprocess.run(
        [*where, "ip", "-json", "address", "show"], check=True, capture_output=True
    ).stdout
    return {link["ifname"]: link for link in json.loads(out)}


def inside(namespace):
    return links("nsenter", f"--net={namespace}")


def test_a_pair_is_made_once(pair):
    tap, inner = pair
    network.create_veth(tap, inner, "fa:16:3e:78:00:01", 1342)
    found = links()
    assert found[inner]["address"] == "fa:16:3e:78:00:01"
    assert found[inner]["mtu"] == found[tap]["mtu"] == 1342
    assert "UP" in found[tap]["flags"]
    assert "UP" not in found[inner]["flags"]


def test_the_hosts_end_has_no_address_on_the_guests_network(pair):
    assert links()[pair[0]]["addr_info"] == []


def test_checksums_are_finished_by_the_guest(pair):
    features = subprocess.run(
        ["ethtool", "-k", pair[1]], check=True, capture_output=True, text=True
    ).stdout
    assert "tx-checksumming: off" in features


def test_a_link_is_switched(pair):
    for up in (False, False, True, True):
        network.set_link(pair[0], up)
        assert ("UP" in links()[pair[0]]["flags"]) is up
    network.set_link("tapnotthere", True)


def move(pair, namespace, **changed):
    values = {
        "mtu": 1342,
        "addresses": [f"{PREFIX}.7/24", "fd00:78::7/64"],
        "gateways": [f"{PREFIX}.1", "fd00:78::1"],
        "routes": [("203.0.113.0/24", f"{PREFIX}.9")],
        **changed,
    }
    network.move_to_namespace(pair[1], namespace, "eth0", **values)


def test_moved_and_configured(pair, namespace):
    move(pair, namespace)
    move(pair, namespace)  # again
    eth0 = inside(namespace)["eth0"]
    addresses = {a["local"]: a for a in eth0["addr_info"] if a["scope"] == "global"}
    assert set(addresses) == {f"{PREFIX}.7", "fd00:78::7"}
    assert not addresses["fd00:78::7"].get("tentative")
    routes = subprocess.run(
        ["nsenter", f"--net={namespace}", "ip", "route"],
        check=True,
        capture_output=True,
        text=True,
    ).stdout
    assert f"default via {PREFIX}.1" in routes
    assert f"203.0.113.0/24 via {PREFIX}.9" in routes
    assert pair[1] not in links()
    features = subprocess.run(
        ["nsenter", f"--net={namespace}", "ethtool", "-k", "eth0"],
        check=True,
        capture_output=True,
        text=True,
    ).stdout
    assert "tx-checksumming: off" in features


def test_nothing_to_move_is_an_error(namespace):
    with pytest.raises(exception.NetworkSetupError, match="innmissing"):
        move(("tapmissing", "innmissing"), namespace)


def test_a_bad_address_is_an_error(pair, namespace):
    with pytest.raises(exception.NetworkSetupError, match="999"):
        move(pair, namespace, addresses=["10.0.0.999/24"])


def test_deleted_inside(pair, namespace):
    move(pair, namespace)
    network.delete_in_namespace(namespace, "eth0")
    network.delete_in_namespace(namespace, "eth0")
    assert "eth0" not in inside(namespace)
    assert pair[0] not in links()


def test_deleting_what_is_not_there():
    network.delete_link("tapnotthere")


@pytest.fixture
def instances(tmp_path, monkeypatch):
    folder = tmp_path / "instances"
    folder.mkdir()
    nova.conf.CONF.set_override("instances_path", str(folder))
    yield folder
    nova.conf.CONF.clear_override("instances_path")


def test_files_change_hands_without_following_links(instances, tmp_path):
    outside = tmp_path / "outside"
    outside.write_text("x")
    guest = instances / "uuid" / "guest"
    guest.mkdir(parents=True)
    (guest / "file").write_text("x")
    (guest / "link").symlink_to(outside)
    files.chown_tree(str(guest), 100000, 100000)
    assert (guest / "file").stat().st_uid == 100000
    assert (guest / "link").lstat().st_uid == 100000
    assert outside.stat().st_uid == os.getuid()


@pytest.mark.parametrize("function", ["chown_tree", "remove_tree"])
def test_only_below_the_instances_path(instances, tmp_path, function):
    arguments = (0, 0) if function == "chown_tree" else ()
    victim = tmp_path / "victim"
    victim.mkdir()
    (instances / "link").symlink_to(victim)
    for path in (victim, instances, instances / "..", instances / "link"):
        with pytest.raises(PermissionError):
            getattr(files, function)(str(path), *arguments)
    assert victim.exists()


def test_a_folder_is_removed_once(instances):
    folder = instances / "uuid"
    (folder / "a").mkdir(parents=True)
    files.remove_tree(str(folder))
    files.remove_tree(str(folder))
    assert not folder.exists()


def test_a_mark_goes_where_the_namespace_goes(namespace):
    assert network.mark(namespace) == ""
    network.set_mark(namespace, "nova-multi:eth0,eth1")
    network.set_mark(namespace, "nova-multi:eth0")
    assert network.mark(namespace) == "nova-multi:eth0"
    assert network.mark("/proc/0/ns/net") == ""


@pytest.fixture
def sleeper(tmp_path):
    """A process with a root of its own, which has files in /etc."""
    (tmp_path / "etc").mkdir()
    (tmp_path / "etc/hosts").write_text("a much longer text than the new one")
    (tmp_path / "etc/resolv.conf").symlink_to("/etc/passwd")
    program = "import os, sys; os.chroot(sys.argv[1]); print(flush=True); input()"
    with subprocess.Popen(
        [sys.executable, "-c", program, str(tmp_path)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    ) as process:
        process.stdout.readline()
        yield process.pid, tmp_path / "etc"
        process.communicate(b"\n")


def test_files_of_etc_are_written_in_place(sleeper):
    pid, etc = sleeper
    before = (etc / "hosts").stat().st_ino
    network.write_etc(pid, "hosts", "short\n")
    assert (etc / "hosts").read_text() == "short\n"
    assert (etc / "hosts").stat().st_ino == before


@pytest.mark.parametrize("name", ["resolv.conf", "passwd", "../etc/hosts"])
def test_no_other_file_is_written(sleeper, name):
    pid, etc = sleeper
    with pytest.raises(exception.NetworkSetupError):
        network.write_etc(pid, name, "ours")
    assert (etc / "hosts").read_text() != "ours"


def test_a_process_that_is_gone_has_no_files():
    with pytest.raises(exception.NetworkSetupError):
        network.write_etc(2**30, "hosts", "ours")
