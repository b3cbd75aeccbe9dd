# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import shlex

import pytest
from nm import table, units


def _service(**fields: object) -> table.Service:
    entry = {"role": "x", "description": "d", "command": "/bin/true", **fields}
    return table.service("name", entry)


def test_all_faults_at_once() -> None:
    entry = {
        "role": "x",
        "command": "/bin/true",
        "colour": "red",
        "type": "forking",
        "ready": [{"kind": "http"}, {"kind": "smoke"}],
    }
    with pytest.raises(table.TableError) as raised:
        table.service("name", entry)
    message = str(raised.value)
    for part in ("colour", "description", "type", "http needs url", "smoke"):
        assert part in message


def test_what_must_be_of_the_same_machine_is_needed() -> None:
    assert _service(needs=["a", "b"], local=["a"]).local == ("a",)
    with pytest.raises(table.TableError, match="not needed: c"):
        _service(needs=["a"], local=["a", "c"])


def test_a_record_of_a_service_reads_back() -> None:
    service = _service(needs=["a"], ready={"kind": "tcp", "port": 1}, hide_kvm="True")
    entry = service.as_dict()
    assert service.hide_kvm is True
    assert table.service(entry.pop("name"), entry) == service


def test_the_launcher_drops_all_rights_but_the_named() -> None:
    service = _service(
        user="nova", capabilities=["NET_ADMIN"], extra_groups=["libvirt"]
    )
    words = shlex.split(units.launcher(service).splitlines()[-1])
    assert words[:2] == ["exec", "setpriv"]
    assert "--reuid=nova" in words
    assert "--groups=nova,libvirt" in words
    assert "--bounding-set=-all,+net_admin" in words
    assert "--no-new-privs" in words
    assert words[-1] == "/bin/true"


@pytest.mark.parametrize(
    ("bounding", "setpriv", "unit"),
    [
        ([], "-all", ""),
        (
            ["NET_ADMIN", "NET_RAW"],
            "-all,+net_admin,+net_raw",
            "CAP_NET_ADMIN CAP_NET_RAW",
        ),
    ],
)
def test_root_has_its_bounding_set_under_either_manager(
    bounding: list[str], setpriv: str, unit: str
) -> None:
    service = _service(bounding=bounding)
    words = shlex.split(units.launcher(service).splitlines()[-1])
    assert words == [
        "exec",
        "setpriv",
        "--no-new-privs",
        f"--bounding-set={setpriv}",
        "--",
        "/bin/true",
    ]
    lines = units.systemd_unit(service).splitlines()
    assert f"CapabilityBoundingSet={unit}" in lines
    for line in ("NoNewPrivileges=yes", "PrivateTmp=yes", "ProtectSystem=full"):
        assert line in lines


def test_an_engines_daemon_keeps_what_it_has() -> None:
    service = _service(protect="off")
    assert units.launcher(service).splitlines()[-1] == "exec /bin/true"
    assert "NoNewPrivileges" not in units.systemd_unit(service)


def test_a_bounding_set_is_for_root_and_reads_back() -> None:
    with pytest.raises(table.TableError, match="bounding is for root"):
        _service(user="nova", bounding=[])
    for service in (_service(), _service(bounding=[])):
        entry = service.as_dict()
        assert table.service(entry.pop("name"), entry) == service


def test_the_launcher_quotes() -> None:
    service = _service(command=["/bin/echo", "a b; $(c)"], environment={"X": "1 'y'"})
    text = units.launcher(service)
    assert "-- /bin/echo 'a b; $(c)'" in text
    assert shlex.split(text.split("export X=")[1].splitlines()[0]) == ["1 'y'"]


def test_a_broken_kvm_is_replaced_in_a_namespace_of_the_service() -> None:
    last = units.launcher(_service(hide_kvm=True)).splitlines()[-1]
    words = shlex.split(last)
    assert words[:3] == ["exec", "unshare", "--mount"]
    assert "mount --bind /run/nova-multi/no-device /dev/kvm" in words[-1]
    assert "BindReadOnlyPaths=/run/nova-multi/no-device:/dev/kvm" in (
        units.systemd_unit(_service(hide_kvm=True))
    )


def test_a_unit_is_hardened() -> None:
    lines = units.systemd_unit(
        _service(user="glance", stop_timeout=45, writable=["/srv/images"])
    ).splitlines()
    assert "User=glance" in lines
    assert "TimeoutStopSec=45" in lines
    assert "NoNewPrivileges=yes" in lines
    assert "ProtectSystem=strict" in lines
    assert "CapabilityBoundingSet=" in lines
    writable = next(line for line in lines if line.startswith("ReadWritePaths="))
    assert "/srv/images" in writable
    assert "-/var/lib/nova-multi/name" in writable


def test_guests_outlive_their_daemon() -> None:
    service = _service(kill_mode="process")
    assert "KillMode=process" in units.systemd_unit(service).splitlines()
    program = units.supervisor_program(service, "/launcher").splitlines()
    assert "stopasgroup=false" in program
    assert "killasgroup=false" in program


def test_a_unit_escapes() -> None:
    unit = units.systemd_unit(_service(command=["/bin/x", "100%", "$HOME", 'a"b']))
    assert 'ExecStart=/bin/x "100%%" "$$HOME" "a\\"b"' in unit.splitlines()


def test_what_runs_once_at_boot_tries_again_until_its_needs_answer() -> None:
    lines = units.systemd_unit(_service(type="oneshot", needs=["lxd"])).splitlines()
    assert "After=network-online.target nova-multi-lxd.service" in lines
    for line in ("Type=oneshot", "RemainAfterExit=yes", "Restart=on-failure"):
        assert line in lines
