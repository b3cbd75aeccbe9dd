# SPDX-License-Identifier: Apache-2.0
"""``nova-multi serve``: the API and a worker in one process, for one user of a cloud.

nova-multi serve --cloud NAME [--host ADDRESS] [--port NUMBER] [--folder FOLDER]

NAME is an entry of clouds.yaml. State is in a SQLite file in the folder; nothing else
is needed. Tokens are checked with that entry's own account, so that they have to be its
user's; keep the address on loopback, or put TLS before it.
"""

from __future__ import annotations

import argparse
import configparser
import contextlib
import io
import logging
import os
import pathlib
import socketserver
import sys
import tempfile
import threading
from collections.abc import Mapping, Sequence
from typing import Any
from wsgiref import simple_server

from oslo_config import cfg

from nova_multi.api.app import create_app
from nova_multi.cloud.clouds import Clouds
from nova_multi.cmd import assembly
from nova_multi.cmd.worker import stop_on_signals, unique_name
from nova_multi.domain.errors import DomainError
from nova_multi.exception import ConfigurationError, NovaMultiError
from nova_multi.provision import sealing, store
from nova_multi.provision.provisioning import Provisioning
from nova_multi.provision.signals import Local

LOG = logging.getLogger(__name__)

PROG = "nova-multi"
DEFAULT_PORT = 9797


class _Server(socketserver.ThreadingMixIn, simple_server.WSGIServer):
    """A thread for each request: enough for one user."""

    daemon_threads = True


class _Handler(simple_server.WSGIRequestHandler):
    """Tells requests to the log."""

    def log_message(self, format: str, *args: object) -> None:
        LOG.debug("%s " + format, self.client_address[0], *args)


def parser() -> argparse.ArgumentParser:
    """The command line."""
    top = argparse.ArgumentParser(prog=PROG)
    commands = top.add_subparsers(dest="command", required=True)
    serve = commands.add_parser("serve", help="API and worker in one process")
    serve.add_argument("--cloud", required=True, help="entry of clouds.yaml")
    serve.add_argument("--host", default="127.0.0.1", help="address to listen on")
    serve.add_argument(
        "--port", type=int, default=DEFAULT_PORT, help=f"default: {DEFAULT_PORT}"
    )
    serve.add_argument(
        "--folder",
        type=pathlib.Path,
        default=_state_home() / "nova-multi",
        help="where the database and the files are kept",
    )
    serve.add_argument(
        "--config-file", action="append", default=[], help="further options"
    )
    return top


def _state_home() -> pathlib.Path:
    named = os.environ.get("XDG_STATE_HOME")
    return pathlib.Path(named) if named else pathlib.Path.home() / ".local" / "state"


def secret_key(folder: pathlib.Path) -> str:
    """The key that secrets are sealed by, made when it is asked for first."""
    path = folder / "secrets.key"
    if not path.exists():
        # Whole before it has its name: killed in between, the next start makes one.
        with tempfile.NamedTemporaryFile("w", dir=folder, prefix=path.name) as file:
            file.write(f"{sealing.new_key()}\n")
            file.flush()
            os.fsync(file.fileno())
            with contextlib.suppress(FileExistsError):
                os.link(file.name, path)
    return path.read_text().strip()


def configuration_text(
    cloud: str,
    folder: pathlib.Path,
    auth: Mapping[str, Any],
    auth_type: str,
    key: str = "",
) -> str:
    """A configuration for one user and one process.

    :param auth: how the entry logs in; Keystone's middleware uses the same.
    :param key: that secrets are sealed by.
    """
    made = configparser.RawConfigParser()
    made["DEFAULT"] = {"use_stderr": "true"}
    made["database"] = {"connection": f"sqlite:///{folder / 'state.sqlite'}"}
    made["cloud"] = {"single_cloud": cloud}
    made["provision"] = {"files_folder": str(folder / "files")}
    made["secrets"] = {"fernet_keys": key}
    made["worker"] = {"notifications": "false"}
    made["keystone_authtoken"] = {
        "auth_type": auth_type,
        # "$" begins a reference in oslo.config.
        **{key: str(value).replace("$", "$$") for key, value in auth.items()},
        "www_authenticate_uri": str(auth.get("auth_url", "")),
    }
    text = io.StringIO()
    made.write(text)
    return text.getvalue()


def configuration(
    cloud: str, folder: pathlib.Path, more: Sequence[str] = ()
) -> cfg.ConfigOpts:
    """The configuration; the password is in a file only while it is read.

    :raises ConfigurationError: there is no such entry in clouds.yaml.
    """
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    # What clouds.yaml says, with its defaults and vendor files.
    region = Clouds.single(cloud).project().connection.sdk.config
    text = configuration_text(
        cloud,
        folder,
        region.config["auth"],
        region.config.get("auth_type") or "password",
        secret_key(folder),
    )
    with tempfile.NamedTemporaryFile("w", dir=folder, suffix=".conf") as file:
        file.write(text)
        file.flush()
        return assembly.configuration([], PROG, files=[file.name, *more])


def endpoint(host: str, port: int) -> str:
    """Where users on this machine find the service."""
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"


def main(arguments: Sequence[str] | None = None) -> int:
    """Serve until told to end."""
    given = parser().parse_args(arguments)
    try:
        folder = given.folder.resolve()
        conf = configuration(given.cloud, folder, given.config_file)
        endpoints = [endpoint(given.host, given.port)]
        conf.set_default("endpoints", endpoints, group="provision")
        store.db_sync(conf.database.connection)
        shared = assembly.tools(conf, Local())
        application = create_app(conf, Provisioning(shared), shared.files.spool)
        worker = assembly.worker(conf, shared, unique_name())
        server = simple_server.make_server(
            given.host, given.port, application, _Server, _Handler
        )
    except (cfg.Error, NovaMultiError, DomainError, OSError) as error:
        print(f"{PROG}: error: {_told(error)}", file=sys.stderr)
        return 1
    stop_on_signals(worker)
    threading.Thread(target=server.serve_forever, name="api", daemon=True).start()
    LOG.info("serving http://%s:%s for %s", given.host, server.server_port, given.cloud)
    worker.run()
    server.shutdown()
    shared.store.close()
    return 0


def _told(error: Exception) -> str:
    if isinstance(error, ConfigurationError):
        return f"configuration: {error}"
    return str(error)


if __name__ == "__main__":
    sys.exit(main())
