# SPDX-License-Identifier: Apache-2.0
"""Around the Docker engine: a daemon of the suite's own."""

from __future__ import annotations

import pathlib
import tempfile

from docker import errors as docker_errors

from nova_multi.inspection import tarball
from nova_multi.inspection.unpacking import Limits
from nova_multi.virt.docker.engine import DockerEngine, Settings
from nova_multi.virt.engine import LABEL_ROLE, LABEL_UUID, Engine
from tests.contract.harness import HOST, Harness
from tests.fixtures import images
from tests.fixtures.dockerd import Dockerd, remap_user

_FOREIGN_IMAGE = "foreign/sleep:1"


class DockerHarness(Harness):
    """The real engine on a real daemon."""

    def __init__(self, folder: pathlib.Path) -> None:
        # Not below pytest's own folder, which guests' users may not enter.
        self._folder = pathlib.Path(tempfile.mkdtemp(prefix="nova-multi-"))
        self._folder.chmod(0o711)
        self.daemon = Dockerd(self._folder, remap_user())
        self.engine = self.engine_for(HOST)

    def _engine(self, host: str, url: str) -> DockerEngine:
        return DockerEngine(
            Settings(
                host=host,
                url=url,
                timeout=30,
                transfer_timeout=60,
                pause_binary="/usr/bin/catatonit",
                no_new_privileges=True,
                limits=Limits(unpacked_bytes=2**30, members=50_000),
            )
        )

    def image_file(self, path: pathlib.Path, kind: images.Kind) -> None:
        images.docker_archive(path, kind)

    def engine_for(self, host: str) -> Engine:
        return self._engine(host, self.daemon.url)

    def unreachable(self) -> Engine:
        return self._engine(HOST, f"unix://{self._folder}/nobody.sock")

    def restart_daemon(self) -> None:
        self.daemon.stop()
        self.daemon.start()

    def make_foreign(self, name: str) -> None:
        api = self.daemon.api
        archive = tarball.single_program(
            _FOREIGN_IMAGE, "sleep", images.busybox(), ("100000",)
        )
        list(api.load_image(archive))
        api.create_container_from_config(
            {"Image": _FOREIGN_IMAGE, "HostConfig": {"NetworkMode": "none"}}, name
        )
        api.start(name)

    def foreign_runs(self, name: str) -> bool:
        try:
            state = self.daemon.api.inspect_container(name)["State"]
        except docker_errors.NotFound:
            return False
        return bool(state["Running"])

    def remove_foreign(self, name: str) -> None:
        self.daemon.api.remove_container(name, force=True)
        self.daemon.api.remove_image(_FOREIGN_IMAGE, force=True)

    def objects(self) -> set[str]:
        found = self.daemon.api.containers(all=True)
        return {name.lstrip("/") for each in found for name in each["Names"]}

    def _container(self, uuid: str) -> str:
        (guest,) = self.daemon.api.containers(
            filters={"label": [f"{LABEL_UUID}={uuid}", f"{LABEL_ROLE}=guest"]}
        )
        return str(guest["Id"])

    def kill(self, uuid: str) -> None:
        self.daemon.api.kill(self._container(uuid))

    def lose(self, uuid: str) -> None:
        self.daemon.api.remove_container(self._container(uuid), force=True)

    def close(self) -> None:
        super().close()
        self.daemon.close()
