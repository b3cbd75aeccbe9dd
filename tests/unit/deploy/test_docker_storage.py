# SPDX-License-Identifier: Apache-2.0
"""Which storage Docker's guests get, with the commands recorded instead of run.

With the commands really run: tests/integration/test_docker_daemon.py.
"""

from __future__ import annotations

import importlib.util
import pathlib

import pytest

ROLE = pathlib.Path(__file__).parents[3] / "deploy/roles/compute-docker"


@pytest.fixture
def module():
    path = ROLE / "files/docker_storage.py"
    spec = importlib.util.spec_from_file_location("docker_storage", path)
    made = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(made)
    return made


class Machine:
    """Runs nothing, notes everything.

    :ivar refuse: beginnings of commands that fail.
    """

    def __init__(self, module, folder, monkeypatch):
        self.commands = []
        self.refuse = []
        self.data = folder / "docker"
        self.image = folder / "docker.img"
        self._mounted = ""
        monkeypatch.setattr(module, "_run", self._run)
        monkeypatch.setattr(
            module.Storage, "_enable_simple_quotas", lambda storage: None
        )
        monkeypatch.setattr(module.Storage, "mounted", lambda storage: self._mounted)
        self.storage = module.Storage(
            {
                "data": str(self.data),
                "image": str(self.image),
                "size_gb": 1,
                "kinds": ["xfs", "btrfs"],
                "url": "unix:///x",
            }
        )

    def _run(self, *command):
        text = " ".join(command)
        self.commands.append(text)
        if any(text.startswith(refused) for refused in self.refuse):
            raise OSError(text)
        if command[0] == "mount":
            self._mounted = command[2]
        return "btrfs\n" if command[0] == "blkid" else ""

    def unmount(self):
        self._mounted = ""

    def ran(self, beginning):
        return [text for text in self.commands if text.startswith(beginning)]


@pytest.fixture
def machine(module, tmp_path, monkeypatch):
    return Machine(module, tmp_path, monkeypatch)


def test_first_kind_that_works(machine):
    machine.storage.apply()
    assert machine.storage.mounted() == "xfs"
    assert "pquota" in machine.ran("mount")[0]
    assert machine.image.stat().st_size == 2**30
    assert machine.image.stat().st_mode & 0o777 == 0o600
    assert machine.storage.driver() == "overlay2"


@pytest.mark.parametrize("refused", ["mount -t xfs", "mkfs.xfs"])
def test_next_kind_where_the_first_does_not_work(machine, refused):
    machine.refuse = [refused]
    machine.storage.apply()
    assert machine.storage.driver() == "btrfs"
    assert machine.image.exists()


def test_without_limits_where_none_works(machine, capsys):
    machine.refuse = ["mount"]
    machine.storage.apply()
    assert machine.storage.driver() == "overlay2"
    assert not machine.image.exists()
    assert machine.storage.check()
    assert "without limits" in capsys.readouterr().out


def test_no_daemon_before_the_storage_is_there(machine):
    machine.storage.apply()
    machine.unmount()
    with pytest.raises(OSError, match="not mounted"):
        machine.storage.driver()
    machine.storage.apply()
    assert machine.storage.driver() == "btrfs"


def test_nothing_to_do(machine):
    machine.storage.apply()
    machine.commands.clear()
    machine.storage.apply()
    assert machine.commands == []


def test_mounted_again_after_the_machine_started(machine):
    machine.refuse = ["mkfs.xfs"]
    machine.storage.apply()
    machine.commands.clear()
    machine.unmount()
    assert not machine.storage.check()
    machine.storage.apply()
    assert machine.storage.check()
    assert not machine.ran("mkfs")


def test_maker_killed_before_the_file_had_its_name(machine):
    machine.storage.apply()
    # The same file, mounted already; made anew after the next boot it would be empty.
    machine.image.rename(machine.image.with_suffix(".new"))
    machine.storage.apply()
    assert machine.image.exists()
    assert len(machine.ran("mkfs")) == 1


def test_guests_on_plain_storage_stay_there(machine):
    machine.data.mkdir()
    (machine.data / "overlay2").mkdir()
    machine.storage.apply()
    assert machine.commands == []
    assert machine.storage.check()


@pytest.mark.parametrize("arguments", [[], ["apply"], ["explode", "x"]])
def test_usage(module, monkeypatch, tmp_path, arguments):
    config = tmp_path / "x"
    config.write_text(
        '{"data": "/d", "image": "/i", "size_gb": 1, "kinds": [], "url": ""}'
    )
    given = [str(config) if word == "x" else word for word in arguments]
    monkeypatch.setattr("sys.argv", ["docker_storage.py", *given])
    with pytest.raises(SystemExit) as caught:
        module.main()
    assert caught.value.code == 2
