# SPDX-License-Identifier: Apache-2.0
"""Our values as LXD's, and back."""

import dataclasses
import json

import pytest

from nova_multi import exception
from nova_multi.virt import engine
from nova_multi.virt.engine import GuestState, ImageKey, Interface, Mount, Route
from nova_multi.virt.lxd import mapping

UUID = "7ccf313d-45b7-400c-8d86-9b90e56af815"
LOG = f"/var/lib/nova-multi/compute-lxd/instances/_consoles/{UUID}/console.log"

SPEC = engine.ContainerSpec(
    uuid=UUID,
    name="instance-0000002a",
    hostname="web-1",
    image=ImageKey("51061ca7-5b78-4f38-8461-4a792ed6d8c2", "cd" * 64),
    vcpus=2,
    memory_mb=512,
    disk_gb=3,
    pids=100,
    labels={engine.LABEL_UUID: UUID, engine.LABEL_HOST: "node-lxd"},
)
ETH0 = Interface(
    port_id="aaaaaaaa-1111-4222-8333-444444444444",
    name="eth0",
    mac="fa:16:3e:00:00:01",
    mtu=1342,
    tap="tapaaaaaaaa-11",
    inner="innaaaaaaaa-11",
    addresses=("10.0.0.7/24", "fd00::7/64"),
    gateways=("10.0.0.1", "fd00::1"),
    nameservers=("10.0.0.2",),
    search=("example.org",),
)
ETH1 = dataclasses.replace(
    ETH0,
    port_id="bbbbbbbb-1111-4222-8333-444444444444",
    name="eth1",
    inner="innbbbbbbbb-11",
    addresses=("10.1.0.7/24",),
    gateways=(),
    routes=(Route("192.0.2.0/24", "10.1.0.9"), Route("169.254.169.254/32", "")),
    nameservers=("10.1.0.2", "10.0.0.2"),
)


def record(status_code=103, status="Running", config=(), devices=()):
    return {
        "name": "instance-0000002a",
        "status": status,
        "status_code": status_code,
        "config": dict(config),
        "devices": dict(devices),
    }


def request(spec=SPEC, **options):
    settings = {
        "fingerprint": "f" * 64,
        "pool": "pool",
        "console_log": LOG,
        "disk_limits": True,
        "isolated": True,
    }
    return mapping.instance_request(spec, **(settings | options))


@pytest.mark.parametrize(
    "code, state",
    [
        (102, GuestState.STOPPED),
        (103, GuestState.RUNNING),
        (106, GuestState.CHANGING),
        (110, GuestState.PAUSED),
        (112, GuestState.CRASHED),
        (999, GuestState.UNKNOWN),
    ],
)
def test_states(code, state):
    assert mapping.container_state(record(code, "Word")).state is state


def test_every_documented_status_has_a_state():
    assert set(mapping.STATES) == set(range(100, 114))


def test_limits_and_confinement():
    config = request()["config"]
    assert config["limits.cpu.allowance"] == "200ms/100ms"
    assert config["limits.memory"] == "512MiB"
    assert config["limits.memory.swap"] == "false"
    assert config["limits.processes"] == "100"
    assert config["security.privileged"] == "false"
    assert config["security.nesting"] == "false"
    assert config["security.idmap.isolated"] == "true"
    assert config["boot.autostart"] == "false"
    assert config["user.nova-multi.instance-uuid"] == UUID


def test_cloud_init_is_told_where_it_is():
    spec = dataclasses.replace(SPEC, environment={"GREETING": "hi"})
    config = request(spec)["config"]
    assert config["environment.product_name"] == "OpenStack Nova"
    assert config["environment.GREETING"] == "hi"


def test_no_profile_of_the_project_is_applied():
    assert request()["profiles"] == []


@pytest.mark.parametrize(
    "disk_gb, limits, size", [(3, True, "3GiB"), (0, True, None), (3, False, None)]
)
def test_root_disk(disk_gb, limits, size):
    spec = dataclasses.replace(SPEC, disk_gb=disk_gb)
    root = request(spec, disk_limits=limits)["devices"]["root"]
    assert root.get("size") == size
    assert (root["pool"], root["path"]) == ("pool", "/")


def test_mounts_are_read_only_disks():
    spec = dataclasses.replace(SPEC, mounts=(Mount("/a/guest", "/var/lib/nova-multi"),))
    devices = request(spec)["devices"]
    assert devices["mount0"] == {
        "type": "disk",
        "source": "/a/guest",
        "path": "/var/lib/nova-multi",
        "readonly": "true",
    }
    assert mapping.mounted_folders({"devices": devices}) == ["/a/guest"]


def test_own_host_name_and_console():
    raw = request()["config"]["raw.lxc"]
    assert "lxc.uts.name = web-1\n" in raw
    assert f"lxc.console.logfile = {LOG}\n" in raw
    assert "lxc.init.cmd" not in raw


@pytest.mark.parametrize(
    "bootstrap, command, line",
    [
        ("/b.sh", (), "/b.sh /sbin/init"),
        ("/b.sh", ("/bin/app", "-x"), "/b.sh /bin/app -x"),
        (None, ("/bin/app", "a=b"), "/bin/app a=b"),
        (None, ("/bin/app", "two words"), mapping.COMMAND_FILE),
        (None, ("/bin/app", "x\nlxc.hook.start-host = evil"), mapping.COMMAND_FILE),
        (None, ("/bin/app", ""), mapping.COMMAND_FILE),
    ],
)
def test_first_process(bootstrap, command, line):
    spec = dataclasses.replace(SPEC, bootstrap=bootstrap, command=command)
    raw = request(spec)["config"]["raw.lxc"].splitlines()
    assert [each for each in raw if "init.cmd" in each] == [f"lxc.init.cmd = {line}"]
    assert not [each for each in raw if "hook" in each]


def test_command_file_keeps_words_apart():
    assert mapping.command_file(["/bin/app", "it's two words", ""]) == (
        "#!/bin/sh\nexec /bin/app 'it'\"'\"'s two words' ''\n"
    )


@pytest.mark.parametrize("name", ["web", "web.example.org", "9.x", "a" * 63])
def test_host_names(name):
    spec = dataclasses.replace(SPEC, hostname=name)
    assert f"lxc.uts.name = {name}\n" in request(spec)["config"]["raw.lxc"]


@pytest.mark.parametrize(
    "name",
    ["", "a b", "web\nlxc.hook = x", "-x", "a" * 64, "a..b", "a.", "a.-b", "ab." * 22],
)
def test_host_names_that_would_reach_liblxc_as_something_else(name):
    with pytest.raises(exception.EngineError):
        request(dataclasses.replace(SPEC, hostname=name))


def test_console_path_that_would_reach_liblxc_as_something_else():
    with pytest.raises(exception.ConfigurationError):
        request(console_log="/var/lib/a b\nlxc.hook = x")


def test_network_lines():
    assert mapping.network_lines([ETH0, ETH1]) == [
        "lxc.net.0.ipv4.address = 10.0.0.7/24",
        "lxc.net.0.ipv6.address = fd00::7/64",
        "lxc.net.0.ipv4.gateway = 10.0.0.1",
        "lxc.net.0.ipv6.gateway = fd00::1",
        "lxc.net.1.ipv4.address = 10.1.0.7/24",
        "lxc.hook.start-host = /bin/sh -ec '"
        'nsenter --net="/proc/$LXC_PID/ns/net" ip route replace 192.0.2.0/24'
        " dev eth1 via 10.1.0.9 onlink; "
        'nsenter --net="/proc/$LXC_PID/ns/net" ip route replace 169.254.169.254/32'
        " dev eth1'",
    ]


@pytest.mark.parametrize(
    "wrong",
    [
        {"addresses": ("10.0.0.7/24\nlxc.hook = x",)},
        {"gateways": ("'; reboot; '",)},
        {"routes": (Route("192.0.2.0/24 dev eth0; reboot", "10.0.0.1"),)},
        {"addresses": ("fe80::1%x\nlxc.hook = x/64",)},
        {"gateways": ("fe80::1%x\nlxc.hook = x",)},
        {"routes": (Route("192.0.2.0/24", "fe80::1%'; reboot; '"),)},
    ],
)
def test_what_is_no_address_does_not_reach_liblxc(wrong):
    with pytest.raises(ValueError):
        mapping.network_lines([dataclasses.replace(ETH0, **wrong)])


def test_interface_name_in_a_shell_command_is_checked():
    wrong = dataclasses.replace(ETH1, name="eth1; reboot")
    with pytest.raises(exception.NetworkSetupError):
        mapping.network_lines([wrong])


def test_network_is_replaced_and_the_rest_kept():
    config = request()["config"]
    with_both = mapping.with_network(config, [ETH0, ETH1])
    assert mapping.with_network(with_both, []) == mapping.with_network(config, [])
    assert "lxc.uts.name = web-1\n" in with_both["raw.lxc"]
    assert config["limits.memory"] == with_both["limits.memory"]


def test_interfaces_come_back_as_they_were():
    config = mapping.with_network({}, [ETH0, ETH1])
    assert mapping.interfaces_of({"config": config}) == (ETH0, ETH1)
    assert mapping.interfaces_of({"config": {}}) == ()


def test_nics_fail_closed_and_keep_their_order():
    devices = mapping.with_nics({"root": {"type": "disk"}}, [ETH0, ETH1])
    assert sorted(devices) == ["nova000", "nova001", "root"]
    assert devices["nova000"] == {
        "type": "nic",
        "nictype": "physical",
        "parent": "innaaaaaaaa-11",
        "name": "eth0",
        "hwaddr": "fa:16:3e:00:00:01",
        "mtu": "1342",
    }


def test_a_nic_that_stays_keeps_its_device():
    both = mapping.with_nics({}, [ETH0, ETH1])
    one = mapping.with_nics(both, [ETH1])
    assert list(one) == ["nova001"]
    again = mapping.with_nics(one, [ETH1, ETH0])
    assert again["nova001"]["name"] == "eth1"
    assert again["nova002"]["name"] == "eth0"


def test_nics_in_another_order_are_other_devices():
    both = mapping.with_nics({}, [ETH0, ETH1])
    turned = mapping.with_nics(both, [ETH1, ETH0])
    names = [turned[name]["name"] for name in sorted(turned)]
    assert names == ["eth1", "eth0"]


def test_whose_guest():
    marks = {
        "user.nova-multi.host": "node-lxd",
        "user.nova-multi.instance-uuid": UUID,
    }
    assert mapping.is_ours(record(config=marks), "node-lxd")
    assert not mapping.is_ours(record(config=marks), "other-lxd")
    assert not mapping.is_ours(record(), "node-lxd")
    del marks["user.nova-multi.instance-uuid"]
    assert not mapping.is_ours(record(config=marks), "node-lxd")


def test_ids_of_the_guests_root():
    ranges = [
        {"Isuid": True, "Isgid": False, "Hostid": 165536, "Nsid": 0, "Maprange": 65536},
        {"Isuid": False, "Isgid": True, "Hostid": 231072, "Nsid": 0, "Maprange": 65536},
    ]
    noted = record(config={"volatile.idmap.next": json.dumps(ranges)})
    assert mapping.root_ids(noted) == (165536, 231072)
    with pytest.raises(exception.EngineError):
        mapping.root_ids(record())
