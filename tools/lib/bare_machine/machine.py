# SPDX-License-Identifier: Apache-2.0
"""One bare machine: started, used, stopped."""

import contextlib
import json
import os
import shutil
import signal
import stat
import subprocess
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from toolbox import ToolError, run

from bare_machine import base, cgroups, network, surroundings

# Where the checkout is in a machine: a home folder, closed to other users, as
# the checkout of somebody who tries the deployment.
CHECKOUT = "/root/nova_multi"
_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
_BOOT_TIMEOUT = 60
_STOP_TIMEOUT = 90
_LOOPS = 32
# systemd-nspawn mounts version 1 controllers read-only; engines write there.
#: What a machine does as the first thing: control groups that container engines can
#: write to, and loop devices, which udev would make.
_EARLY = (
    "for group in /sys/fs/cgroup/*; do "
    'mountpoint -q "$group" && mount -o remount,bind,rw "$group"; done; '
    f"for n in {' '.join(str(number) for number in range(_LOOPS))}; do "
    "[ -e /dev/loop$n ] || mknod -m 0660 /dev/loop$n b 7 $n; done"
)
_EARLY_UNIT = f"""[Unit]
Description=Control groups and loop devices for container engines
DefaultDependencies=no
Before=basic.target

[Service]
Type=oneshot
ExecStart=-/bin/sh -c '{_EARLY.replace("$", "$$")}'

[Install]
WantedBy=basic.target
"""


@dataclass
class Machine:
    """A machine as it is recorded in the store."""

    name: str
    suite: str
    systemd: bool
    address: str = ""
    # Process IDs of systemd-nspawn and of the machine's own first process.
    outer: int = 0
    leader: int = 0
    # Tells the first process from a stranger that has its number later. Machines of
    # an older bare-machine have none.
    began: str = ""

    def folder(self, store: Path) -> Path:
        """The machine's own folder."""
        return store / "machines" / self.name

    @property
    def alive(self) -> bool:
        """Whether its processes are there."""
        now = _began(self.leader)
        return bool(now) and self.began in ("", now)


class Store:
    """All machines of a folder."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def machines(self) -> list[Machine]:
        """Machines that are recorded, running or not."""
        found = []
        for path in sorted(self._folder.glob("machines/*/machine.json")):
            with contextlib.suppress(FileNotFoundError):  # stopped at this moment
                found.append(Machine(**json.loads(path.read_text())))
        return found

    def get(self, name: str) -> Machine:
        """The machine of that name.

        :raises ToolError: there is none
        """
        for machine in self.machines():
            if machine.name == name:
                return machine
        raise ToolError(f"no machine {name}; `bare-machine list` shows those there are")

    def start(
        self, name: str, *, suite: str, systemd: bool, extra: tuple[str, ...] = ()
    ) -> Machine:
        """Make a machine and boot it; nothing of it stays if that fails.

        :raises ToolError: the name is taken, or a step failed
        """
        machine = Machine(name, suite, systemd)
        folder = machine.folder(self._folder)
        if folder.exists():
            raise ToolError(
                f"machine {name} is there already: `bare-machine stop {name}`"
            )
        if Path("/run/netns", name).exists():
            # Of another store, perhaps: nothing of it may be touched.
            raise ToolError(f"a network namespace {name} is there already")
        tree = base.tree(self._folder, suite, systemd=systemd, extra=extra)
        folder.mkdir(parents=True)
        try:
            self._save(machine)
            base.copy(tree, folder / "root")
            base.furnish(folder / "root", name, suite)
            machine.address = network.add(name)
            self._boot(machine)
        except BaseException:
            self.stop(machine)
            raise
        return machine

    def _boot(self, machine: Machine) -> None:
        folder = machine.folder(self._folder)
        root = folder / "root"
        if machine.systemd:
            unit = root / "etc/systemd/system/container-engines.service"
            unit.write_text(_EARLY_UNIT)
            run(["systemctl", f"--root={root}", "enable", unit.name])
        with (folder / "console.log").open("wb") as console:
            process = subprocess.Popen(
                _nspawn(machine, root),
                stdin=subprocess.DEVNULL,
                stdout=console,
                stderr=subprocess.STDOUT,
                env={**os.environ, "SYSTEMD_NSPAWN_API_VFS_WRITABLE": "1"},
                preexec_fn=cgroups.entry(machine.name),
                start_new_session=True,
            )
        machine.outer = process.pid
        self._save(machine)

        def started() -> bool:
            if process.poll() is not None:
                raise ToolError(
                    f"machine {machine.name} ended at once:\n"
                    + (folder / "console.log").read_text(errors="replace")[-2000:]
                )
            children = _children(process.pid)
            machine.leader = children[0] if children else 0
            machine.began = _began(machine.leader)
            return bool(children) and self._booted(machine)

        _wait(started, _BOOT_TIMEOUT, f"machine {machine.name} did not boot")
        self._save(machine)

    def _booted(self, machine: Machine) -> bool:
        probe = ["test", "-e", "/run/booted"]
        if machine.systemd:
            probe = ["systemctl", "is-system-running"]
        done = subprocess.run(
            [*_enter(machine), *probe], capture_output=True, text=True, check=False
        )
        if machine.systemd:
            # "degraded" is a unit that a container can't start.
            return done.stdout.strip() in ("running", "degraded")
        return done.returncode == 0

    def call(
        self, machine: Machine, command: Sequence[str], *, folder: str = "/"
    ) -> int:
        """Run a command in a machine on this terminal; returns its exit status.

        :raises ToolError: the machine does not run
        """
        if not machine.alive:
            raise ToolError(f"machine {machine.name} does not run")
        environment = {
            **surroundings.environment(),
            "PATH": _PATH,
            "HOME": "/root",
            "TERM": os.environ.get("TERM", "dumb"),
            "LANG": "C.UTF-8",
        }
        words = [*_enter(machine)]
        # systemd gives the command a group itself.
        enter = None if machine.systemd else cgroups.entry(machine.name, inner=True)
        if machine.systemd:
            terminal = os.isatty(0) and os.isatty(1)
            words += ["systemd-run", "--quiet", "--wait", "--collect"]
            words += [
                "--pty" if terminal else "--pipe",
                f"--working-directory={folder}",
            ]
            # By name only: values of such settings may be secret.
            words += [f"--setenv={name}" for name in environment]
            # systemd-run looks for a relative name where it stands itself.
            words += ["sh", "-c", 'exec "$@"', "sh"]
        else:
            words += ["sh", "-c", 'cd "$1" && shift && exec "$@"', "sh", folder]
        return subprocess.run(
            [*words, *command],
            env=environment,
            preexec_fn=enter,
            check=False,
        ).returncode

    def copy_checkout(self, machine: Machine, source: Path) -> None:
        """Copy a checkout's files, without what git ignores, into a machine."""
        listed = run(
            ["git", "-C", source, "ls-files", "-z", "-c", "-o", "--exclude-standard"]
        )
        names = [name for name in listed.split("\0") if name]
        present = [
            name for name in dict.fromkeys(names) if os.path.lexists(source / name)
        ]
        target = machine.folder(self._folder) / "root" / CHECKOUT.lstrip("/")
        shutil.rmtree(target, ignore_errors=True)
        target.mkdir(parents=True)
        archive = machine.folder(self._folder) / "checkout.tar"
        run(
            [
                *("tar", "--create", f"--file={archive}", f"--directory={source}"),
                *("--owner=0", "--group=0", "--null", "--files-from=-"),
            ],
            stdin="\0".join(present),
        )
        run(["tar", "--extract", f"--file={archive}", f"--directory={target}"])
        archive.unlink()

    def reboot(self, machine: Machine, *, hard: bool = False) -> None:
        """Boot a machine again from its disk, whether it runs or has ended.

        :param hard: without a shutdown, as after a power cut.
        """
        if machine.alive and hard:
            _kill(machine)
        elif machine.alive:
            _shut_down(machine)
        _detach_loops(machine.folder(self._folder) / "root")
        cgroups.remove(machine.name)
        (machine.folder(self._folder) / "root/run/booted").unlink(missing_ok=True)
        self._boot(machine)

    def stop(self, machine: Machine) -> None:
        """Shut a machine down and remove all that belongs to it."""
        if machine.alive:
            _shut_down(machine)
        root = machine.folder(self._folder) / "root"
        _detach_loops(root)
        network.remove(machine.name)
        cgroups.remove(machine.name)
        mounted = [
            line.split()[4]
            for line in Path("/proc/self/mountinfo").read_text().splitlines()
            if line.split()[4].startswith(f"{root}/")
        ]
        if mounted:
            raise ToolError(f"still mounted: {', '.join(mounted)}; nothing was removed")
        # A run that ends at this moment removes the same.
        shutil.rmtree(machine.folder(self._folder), onerror=_unless_gone)

    def _save(self, machine: Machine) -> None:
        path = machine.folder(self._folder) / "machine.json"
        path.write_text(json.dumps(asdict(machine)) + "\n")


def _nspawn(machine: Machine, root: Path) -> list[str]:
    pip = surroundings.pip_configuration()
    places = surroundings.local_folders(pip, *surroundings.environment().values())
    command = [
        # Not nspawn's own option for it: that mounts /sys before it enters, and the
        # machine would see the interfaces outside.
        *("nsenter", f"--net=/run/netns/{machine.name}", "--"),
        "systemd-nspawn",
        "--quiet",
        f"--directory={root}",
        f"--machine={machine.name}",
        "--settings=no",
        "--keep-unit",
        "--register=no",
        "--resolv-conf=off",
        "--timezone=off",
        "--link-journal=no",
        "--capability=all",
        "--system-call-filter=@keyring bpf",
        *(f"--bind={device}" for device in surroundings.devices()),
        *(f"--bind-ro={place}" for place in places),
    ]
    if machine.systemd:
        return [*command, "--boot"]
    keep = f"{_EARLY}; touch /run/booted; exec sleep infinity"
    return [*command, "--as-pid2", "/bin/sh", "-c", keep]


def _enter(machine: Machine) -> list[str]:
    namespaces = ("--mount", "--uts", "--ipc", "--net", "--pid", "--cgroup")
    return ["nsenter", f"--target={machine.leader}", *namespaces, "--root", "--wd"]


def _began(pid: int) -> str:
    """When a process began, as a word for comparison; empty if it is not there."""
    try:
        text = Path(f"/proc/{pid}/stat").read_text()
        boot = Path("/proc/sys/kernel/random/boot_id").read_text().strip()
    except OSError:
        return ""
    return f"{boot}/{text.rpartition(')')[2].split()[19]}"


def _children(pid: int) -> list[int]:
    try:
        text = Path(f"/proc/{pid}/task/{pid}/children").read_text()
    except OSError:
        return []
    return [int(word) for word in text.split()]


def _shut_down(machine: Machine) -> None:
    def gone() -> bool:
        return not machine.alive

    if machine.systemd:
        # systemd's signal for a regular power-off.
        os.kill(machine.leader, signal.SIGRTMIN + 4)
        try:
            _wait(gone, _STOP_TIMEOUT, "")
            return
        except ToolError:
            pass  # killed below
    if machine.alive:
        _kill(machine)


def _kill(machine: Machine) -> None:
    # The end of its first process is the end of all of a machine's processes.
    os.kill(machine.leader, signal.SIGKILL)

    def gone() -> bool:
        return not machine.alive

    _wait(gone, _STOP_TIMEOUT, f"machine {machine.name} can't be killed")


def _unless_gone(_function: Any, _path: str, error: Any) -> None:
    """What rmtree does with an error: what is gone already is fine."""
    if not issubclass(error[0], FileNotFoundError):
        raise error[1]


def _detach_loops(root: Path) -> None:
    """Free loop devices of files in the machine's root: they are the kernel's."""
    for device in Path("/sys/block").glob("loop*/loop/backing_file"):
        try:
            backing = device.read_text().strip()
        except OSError:
            continue
        name = device.parts[3]
        if not backing.startswith(f"{root}/") and not _is_in(name, root):
            continue
        subprocess.run(["losetup", "-d", f"/dev/{name}"], check=False)


def _is_in(loop: str, root: Path) -> bool:
    """Whether a loop device's file is below `root`, by file identity.

    The kernel tells the path as the machine saw it.
    """
    path = Path(f"/sys/block/{loop}/loop/backing_file").read_text().strip()
    inside = root / path.removesuffix(" (deleted)").lstrip("/")
    try:
        if not stat.S_ISREG(inside.stat().st_mode):
            return False
    except OSError:
        return False
    listed = run(["losetup", "-l", "-n", "-O", "NAME,BACK-INO", f"/dev/{loop}"])
    return str(inside.stat().st_ino) in listed.split()


def _wait(done: Callable[[], bool], seconds: float, problem: str) -> None:
    deadline = time.monotonic() + seconds
    while not done():
        if time.monotonic() > deadline:
            raise ToolError(f"{problem} within {seconds} s")
        time.sleep(0.1)
