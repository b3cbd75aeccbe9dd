# SPDX-License-Identifier: Apache-2.0
"""The order and the restarts of services, on a manager that keeps a diary."""

from __future__ import annotations

import os
import threading
import time
from pathlib import Path

import pytest
from nm import files, manifest, paths, services, table
from nm.backend import ServiceError


class Diary:
    """A manager of services whose processes become ready at once, or never."""

    def __init__(self, broken: set[str] | None = None) -> None:
        self.entries: list[tuple[str, str]] = []
        self.states: dict[str, str] = {}
        self.pids: dict[str, int] = {}
        self.broken = broken or set()
        self._lock = threading.Lock()

    def prepare(self) -> bool:
        return False

    def definition(self, service: table.Service) -> str:
        return str(service)

    def write(self, service: table.Service) -> bool:
        return False

    def state(self, name: str) -> str:
        return self.states.get(name, "stopped")

    def pid(self, name: str) -> int:
        return self.pids.get(name, 1)

    def start(self, service: table.Service) -> None:
        with self._lock:
            self.entries.append(("start", service.name))
            broken = service.name in self.broken
            self.states[service.name] = "failed" if broken else "running"

    def stop(self, name: str, timeout: float) -> None:
        with self._lock:
            self.entries.append(("stop", name))
            self.states[name] = "stopped"

    def remove(self, name: str) -> None:
        pass

    def hint(self, name: str) -> str:
        return f"look at {name}"


@pytest.fixture(autouse=True)
def _folders(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("LOG", "RUN", "STATE", "SERVICES", "STARTED"):
        monkeypatch.setattr(paths, name, tmp_path / name.lower())
    monkeypatch.setattr(services, "_SETTLE", 0.5)
    monkeypatch.setattr(manifest, "record", lambda *_, **__: True)
    monkeypatch.setattr(files, "_ensure_attributes", lambda *_: False)
    monkeypatch.setattr(files, "_uid", lambda _: -1)
    monkeypatch.setattr(files, "_gid", lambda _: -1)


def _service(name: str, **fields: object) -> table.Service:
    entry = {"role": "x", "description": "d", "command": "/bin/true", **fields}
    return table.service(name, entry)


def _actions(outcomes: list[services.Outcome]) -> dict[str, str]:
    return {outcome.name: outcome.action for outcome in outcomes}


def test_needs_are_started_first() -> None:
    diary = Diary()
    wanted = [_service("api", needs=["bus", "base"]), _service("bus", needs=["base"])]
    services.ServiceSet(diary, [*wanted, _service("base")]).ensure()
    assert diary.entries == [("start", "base"), ("start", "bus"), ("start", "api")]


def test_a_second_time_nothing_is_done() -> None:
    diary = Diary()
    services.ServiceSet(diary, [_service("a")]).ensure()
    outcomes = services.ServiceSet(diary, [_service("a")]).ensure()
    assert _actions(outcomes) == {"a": "unchanged"}
    assert diary.entries == [("start", "a")]


def test_another_configuration_restarts(tmp_path: Path) -> None:
    config = tmp_path / "a.conf"
    config.write_text("1")
    diary = Diary()
    service = _service("a", config=[str(tmp_path / "*.conf")])
    services.ServiceSet(diary, [service]).ensure()
    config.write_text("2")
    outcomes = services.ServiceSet(diary, [service]).ensure()
    assert _actions(outcomes) == {"a": "restarted"}
    assert diary.entries == [("start", "a"), ("stop", "a"), ("start", "a")]


def test_the_same_configuration_put_back_does_not_restart(tmp_path: Path) -> None:
    config = tmp_path / "a.conf"
    config.write_text("1")
    diary = Diary()
    service = _service("a", config=[str(config)])
    services.ServiceSet(diary, [service]).ensure()
    config.unlink()
    config.write_text("1")
    services.ServiceSet(diary, [service]).ensure()
    assert diary.entries == [("start", "a")]


@pytest.fixture
def process(monkeypatch: pytest.MonkeyPatch) -> dict[int, float]:
    """When processes began."""
    found: dict[int, float] = {}
    monkeypatch.setattr(services.processes, "began", lambda pid: found.get(pid, 0.0))
    return found


@pytest.mark.parametrize(
    ("written", "action"),
    [(-60.0, "unchanged"), (60.0, "restarted")],
    ids=["as it was", "put right since"],
)
def test_one_that_the_machine_started_itself(
    tmp_path: Path, process: dict[int, float], written: float, action: str
) -> None:
    config = tmp_path / "a.conf"
    config.write_text("x")
    diary = Diary()
    service = _service("a", config=[str(config)])
    services.ServiceSet(diary, [service]).ensure()
    boot = time.time() - 1000
    process[1] = boot
    os.utime(paths.STARTED / "a", (boot - 1000, boot - 1000))
    os.utime(config, (boot + written, boot + written))
    outcomes = services.ServiceSet(diary, [service]).ensure()
    assert _actions(outcomes) == {"a": action}


def test_one_that_died_is_started_again() -> None:
    diary = Diary()
    services.ServiceSet(diary, [_service("a")]).ensure()
    diary.states["a"] = "stopped"
    outcomes = services.ServiceSet(diary, [_service("a")]).ensure()
    assert _actions(outcomes) == {"a": "started"}


def test_a_failure_names_service_log_and_next_step_and_stops_what_needs_it() -> None:
    diary = Diary(broken={"base"})
    paths.LOG.mkdir(parents=True)
    (paths.LOG / "base.log").write_text("one\nno such table\n")
    wanted = [_service("base"), _service("api", needs=["base"]), _service("other")]
    with pytest.raises(ServiceError) as raised:
        services.ServiceSet(diary, wanted).ensure()
    message = str(raised.value)
    assert "service base does not stay up" in message
    assert "no such table" in message
    assert "look at base" in message
    assert "api: not tried, it needs base" in message
    assert ("start", "api") not in diary.entries
    assert ("start", "other") in diary.entries


def test_a_service_that_was_roots_gives_its_files_to_its_new_user(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Those in its own folder, and of them root's; nothing that a link leads to."""
    given: list[Path] = []
    monkeypatch.setattr(files.os, "chown", lambda path, *_, **__: given.append(path))
    monkeypatch.setattr(files, "_ROOT", os.getuid())
    folder = paths.STATE / "db"
    (folder / "below").mkdir(parents=True)
    (folder / "below" / "inner").touch()
    (folder / "data").touch()
    (folder / ".lock").touch()
    (folder / "link").symlink_to("data")
    services.ServiceSet(Diary(), [_service("db", user="ovn")]).ensure()
    ours = {path for path in given if folder in Path(path).parents}
    assert ours == {folder / "data", folder / ".lock"}
    given.clear()
    services.ServiceSet(Diary(), [_service("db")]).ensure()
    assert folder / "data" not in given


def test_a_circle_is_refused() -> None:
    wanted = [_service("a", needs=["b"]), _service("b", needs=["a"])]
    with pytest.raises(ServiceError, match="a, b"):
        services.ServiceSet(Diary(), wanted).ensure()


def test_somebody_elses_daemon_is_used_as_it_is(tmp_path: Path) -> None:
    socket = tmp_path / "answers"
    socket.touch()
    diary = Diary()
    ready = {"kind": "file", "path": str(socket)}
    service = _service("a", adopt=True, ready=ready)
    outcomes = services.ServiceSet(diary, [service]).ensure()
    assert _actions(outcomes) == {"a": "adopted"}
    assert diary.entries == []


def test_without_waiting_only_needs_are_waited_for(tmp_path: Path) -> None:
    missing = {"kind": "file", "path": str(tmp_path / "never")}
    diary = Diary()
    wanted = [_service("slow", ready=missing), _service("quick")]
    outcomes = services.ServiceSet(diary, wanted).ensure(wait=False)
    assert _actions(outcomes) == {"slow": "started", "quick": "started"}


def test_what_an_earlier_call_started_is_waited_for(tmp_path: Path) -> None:
    flag = tmp_path / "flag"
    ready = {"kind": "file", "path": str(flag)}
    diary = Diary()
    slow = _service("slow", ready=ready)
    services.ServiceSet(diary, [slow]).ensure(wait=False)
    timer = threading.Timer(0.5, flag.touch)
    timer.start()
    services.ServiceSet(diary, [_service("api", needs=["slow"])]).ensure()
    timer.join()
    assert diary.entries[-1] == ("start", "api")


def test_a_need_of_another_machine_is_no_fault_unless_it_must_be_here() -> None:
    far = _service("api", needs=["bus"])
    outcomes = services.ServiceSet(Diary(), [far]).ensure()
    assert _actions(outcomes) == {"api": "started"}
    here = _service("compute", needs=["switch"], local=["switch"])
    diary = Diary()
    with pytest.raises(ServiceError, match="compute needs switch on its own machine"):
        services.ServiceSet(diary, [here]).ensure()
    assert diary.entries == []


def test_one_that_keeps_ending_is_found_out_without_a_check() -> None:
    class Restless(Diary):
        """Each look at the service finds another process."""

        def pid(self, name: str) -> int:
            self.pids[name] = self.pids.get(name, 0) + 1
            return self.pids[name]

    with pytest.raises(ServiceError, match="service a does not stay up"):
        services.ServiceSet(Restless(), [_service("a")]).ensure()
