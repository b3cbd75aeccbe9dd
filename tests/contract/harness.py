# SPDX-License-Identifier: Apache-2.0
"""What the contract suite needs besides an engine: a way to look at it from outside.

One subclass for each engine. Its constructor may start a daemon of its own; ``close``
ends that and leaves the machine as it was.
"""

from __future__ import annotations

import abc
import hashlib
import pathlib
import time

from nova_multi.virt.engine import Engine, ImageFacts, ImageKey, Interface
from tests.fixtures import fake_engine, images, probe, wires

HOST = "contract-node-engine"


class Harness(abc.ABC):
    """An engine to test, and the daemon behind it.

    :ivar engine: of the Nova host :data:`HOST`.
    :ivar boot_seconds: within which a guest must have reported.
    """

    engine: Engine
    boot_seconds: float = 15.0

    @abc.abstractmethod
    def image_file(self, path: pathlib.Path, kind: images.Kind) -> None:
        """Write an image in this engine's format."""

    @abc.abstractmethod
    def engine_for(self, host: str) -> Engine:
        """Another Nova host's engine on the same daemon."""

    @abc.abstractmethod
    def unreachable(self) -> Engine:
        """An engine whose daemon is not there."""

    @abc.abstractmethod
    def restart_daemon(self) -> None:
        """Stop the daemon and start it again; returns when it answers."""

    @abc.abstractmethod
    def make_foreign(self, name: str) -> None:
        """Let somebody who is not Nova have a running guest of that name."""

    @abc.abstractmethod
    def foreign_runs(self, name: str) -> bool:
        """Whether that guest is still there and running."""

    @abc.abstractmethod
    def remove_foreign(self, name: str) -> None:
        """Delete that guest."""

    @abc.abstractmethod
    def objects(self) -> set[str]:
        """Names of all guests and sandboxes that the daemon holds, whoever's."""

    @abc.abstractmethod
    def kill(self, uuid: str) -> None:
        """Let the guest's first process die of SIGKILL, behind the engine's back."""

    @abc.abstractmethod
    def lose(self, uuid: str) -> None:
        """Delete a guest, and only it, behind the engine's back."""

    def close(self) -> None:
        """End the daemon and leave nothing behind."""
        self.close_wires()

    # -- the network; an engine without real guests overrides all three ----------

    def interface(self, number: int = 0) -> Interface:
        """A new interface, plugged on the host's side."""
        return self._wires.interface(number)

    def plug(self, interface: Interface) -> None:
        """Put back what is missing of the interface on the host's side."""
        self._wires.plug(interface)

    def unplug(self, interface: Interface) -> None:
        """Take the interface away on the host's side."""
        self._wires.unplug(interface)

    def answers(self, uuid: str, interface: Interface) -> bool:
        """Whether the guest answers at the interface's address."""
        return self._wires.answers(interface)

    @property
    def _wires(self) -> wires.Wires:
        if not hasattr(self, "_made_wires"):
            self._made_wires = wires.Wires()
        return self._made_wires

    def close_wires(self) -> None:
        """Delete the test network if there is one."""
        if hasattr(self, "_made_wires"):
            self._made_wires.close()

    # -- built on these -----------------------------------------------------------

    def image(
        self, folder: pathlib.Path, kind: images.Kind = images.Kind.PROBE
    ) -> tuple[ImageKey, pathlib.Path]:
        """An image file and the key that Glance would give it."""
        path = folder / f"{kind.value}.image"
        self.image_file(path, kind)
        digest = hashlib.sha512(path.read_bytes()).hexdigest()
        # The same kind has the same UUID throughout a run of the suite.
        name = hashlib.sha256(kind.value.encode()).hexdigest()
        uuid = f"{name[:8]}-{name[8:12]}-4{name[13:16]}-8{name[17:20]}-{name[20:32]}"
        return ImageKey(uuid, digest), path

    def report(self, uuid: str, runs: int = 1) -> probe.Report:
        """The probe's newest report, when it has run ``runs`` times.

        :raises AssertionError: it did not; with what is on the console.
        """
        deadline = time.monotonic() + self.boot_seconds
        while True:
            console = self.engine.console(uuid, 100_000)
            found = probe.reports(console)
            if len(found) >= runs and found[-1].ready:
                return found[-1]
            if time.monotonic() > deadline:
                raise AssertionError(
                    f"{len(found)} reports instead of {runs} within "
                    f"{self.boot_seconds} s; console: {console[-3000:]!r}; "
                    f"{self.engine.guest(uuid)}"
                )
            time.sleep(0.1)


class FakeHarness(Harness):
    """Around the engine in memory."""

    def __init__(self) -> None:
        self._fake = fake_engine.FakeEngine(HOST, timeout=0.2)
        self.engine = self._fake

    def image_file(self, path: pathlib.Path, kind: images.Kind) -> None:
        if kind in (images.Kind.DAMAGED, images.Kind.ESCAPING):
            path.write_bytes(kind.value.encode())
            return
        facts = ImageFacts(
            shell=kind is not images.Kind.SHELLLESS,
            cloud_init=False,
            command={
                images.Kind.PROBE: probe.STAY,
                images.Kind.BARE: (),
                images.Kind.SHELLLESS: ("/bin/sleep", "100000"),
            }[kind],
            size_bytes=1000,
        )
        fake_engine.write_image(path, facts)

    def engine_for(self, host: str) -> Engine:
        return self._fake.sibling(host)

    def unreachable(self) -> Engine:
        return fake_engine.FakeEngine(HOST, reachable=False)

    def restart_daemon(self) -> None:
        self._fake.restart_daemon()

    def make_foreign(self, name: str) -> None:
        self._fake.foreign[name] = True

    def foreign_runs(self, name: str) -> bool:
        return self._fake.foreign.get(name, False)

    def remove_foreign(self, name: str) -> None:
        del self._fake.foreign[name]

    def objects(self) -> set[str]:
        return self._fake.objects()

    def kill(self, uuid: str) -> None:
        self._fake.kill_guest(uuid)

    def lose(self, uuid: str) -> None:
        self._fake.remove(uuid)

    def interface(self, number: int = 0) -> Interface:
        return fake_engine.interface(number)

    def plug(self, interface: Interface) -> None:
        self._fake.unplugged.discard(interface.inner)

    def unplug(self, interface: Interface) -> None:
        self._fake.unplugged.add(interface.inner)

    def answers(self, uuid: str, interface: Interface) -> bool:
        return self._fake.answers(uuid, interface)
