# SPDX-License-Identifier: Apache-2.0
"""The contract suite against a real LXD daemon."""

from __future__ import annotations

import os
import pathlib
import signal

import nova.conf

from nova_multi.inspection.roottree import Limits
from nova_multi.virt.engine import Engine
from nova_multi.virt.lxd.client import LXDClient
from nova_multi.virt.lxd.engine import LXDEngine
from tests.contract.harness import HOST, Harness
from tests.fixtures import images
from tests.fixtures.lxd_daemon import POOL, PROJECT, LXDDaemon


class LXDHarness(Harness):
    """An LXD daemon of the suite's own."""

    def __init__(self, folder: pathlib.Path) -> None:
        self._folder = folder
        nova.conf.CONF.set_override("instances_path", str(folder))
        self.daemon = LXDDaemon(os.environ.get("NOVA_MULTI_TEST_LXD_POOL", "btrfs"))
        self.engine = self.engine_for(HOST)

    def image_file(self, path: pathlib.Path, kind: images.Kind) -> None:
        images.lxd_tarball(path, kind)

    def engine_for(self, host: str) -> Engine:
        return self._engine(host, str(self.daemon.socket))

    def _engine(self, host: str, socket: str) -> Engine:
        return LXDEngine(
            LXDClient(socket, PROJECT, 30),
            LXDClient(socket, PROJECT, 120),
            nova_host=host,
            project=PROJECT,
            pool=POOL,
            isolated=True,
            console_folder=str(self._folder / "consoles"),
            limits=Limits(unpacked_bytes=1024**3, members=10_000),
        )

    def unreachable(self) -> Engine:
        return self._engine(HOST, str(self._folder / "nobody.socket"))

    def restart_daemon(self) -> None:
        self.daemon.restart()

    def make_foreign(self, name: str) -> None:
        if "foreign" not in self.daemon.lxc("image", "list", "-f", "csv", "-c", "l"):
            archive = self._folder / "foreign.tar"
            images.lxd_tarball(archive, images.Kind.PROBE)
            self.daemon.lxc("image", "import", str(archive), "--alias", "foreign")
        isolated = "security.idmap.isolated=true"
        self.daemon.lxc("launch", "foreign", name, "-s", POOL, "-c", isolated)

    def foreign_runs(self, name: str) -> bool:
        listed = self.daemon.lxc("list", "-f", "csv", "-c", "ns")
        return f"{name},RUNNING" in listed.split()

    def remove_foreign(self, name: str) -> None:
        self.daemon.lxc("delete", "--force", name)

    def objects(self) -> set[str]:
        return set(self.daemon.lxc("list", "-f", "csv", "-c", "n").split())

    def kill(self, uuid: str) -> None:
        name = self.engine.guest(uuid).name
        listed = self.daemon.lxc("list", name, "-f", "csv", "-c", "p")
        os.kill(int(listed.strip()), signal.SIGKILL)

    def lose(self, uuid: str) -> None:
        self.daemon.lxc("delete", "--force", self.engine.guest(uuid).name)

    def close(self) -> None:
        super().close()
        self.daemon.close()
