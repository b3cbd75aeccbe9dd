# SPDX-License-Identifier: Apache-2.0
"""Bring the services' database schemas to the release that is installed."""

from __future__ import annotations

import concurrent.futures
import fcntl
import glob
import os
import shlex
import subprocess
import sysconfig
from pathlib import Path
from typing import Any

from ansible.module_utils.basic import AnsibleModule
from ansible.module_utils.nm import files, migrations

DOCUMENTATION = r"""
module: db_schema
short_description: Bring database schemas to the installed release
description:
  - A schema's own version table is compared with the heads of the migrations that
    are installed. Only where they differ, or a file or row that the commands make is
    missing, the commands run; services in parallel, the commands of one in order.
  - Runs with the services' own Python, which has PyMySQL too.
options:
  database:
    description: Address and port of the server.
    required: true
    type: dict
  state:
    description: >-
      Folder of marks for schemas whose first making has begun and not ended. Made
      again, a schema with such a mark is emptied first: nothing can have used it, and
      migrations fail over what a killed one left.
    required: true
    type: path
  services:
    description: >-
      For each service its name, the system account that runs its commands, an
      account of the database, its schemas (name, and migrations below
      the Python's packages), commands
      and their environment. `files` (patterns) are made by the commands; `rows` are
      queries that must find something.
    required: true
    type: list
    elements: dict
"""

try:
    import pymysql
except ImportError:  # reported by main(): a module must be importable to be documented
    pymysql = None

# Unknown schema, unknown table: nothing was ever synchronised.
_ABSENT = {1049, 1146}
# Nova's command would import eventlet otherwise, and warn of it.
_ENVIRONMENT = {"OS_NOVA_DISABLE_EVENTLET_PATCHING": "1"}
# The last words of a command that failed, for the error.
_TAIL_LINES = 20


class Service:
    """One service's schemas, and the commands that make them."""

    def __init__(self, module: AnsibleModule, entry: dict[str, Any]) -> None:
        self._module = module
        self._entry = entry
        self.name: str = entry["name"]
        self._mark = Path(module.params["state"], self.name)

    def faults(self) -> list[str]:
        """What is not as the commands would leave it."""
        entry = self._entry
        faults = [
            f"{path} is missing" for path in entry["files"] or () if not glob.glob(path)
        ]
        for schema in entry["schemas"]:
            folder = Path(sysconfig.get_path("purelib"), schema["migrations"])
            wanted = migrations.heads_below(folder)
            present = {
                row[0]
                for row in self._rows(
                    schema["name"], "SELECT version_num FROM alembic_version"
                )
            }
            if present != wanted:
                faults.append(
                    f"schema {schema['name']} is at {sorted(present) or 'nothing'}, "
                    f"not at {sorted(wanted)}"
                )
        for row in entry["rows"] or ():
            if not faults and not self._rows(row["schema"], row["query"]):
                faults.append(f"{row['schema']}: nothing found by {row['query']}")
        return faults

    def run(self) -> None:
        """Run the commands in order.

        :raises RuntimeError: one failed; with its last lines.
        """
        entry = self._entry
        self._begin()
        for command in entry["commands"]:
            words = [
                "setpriv",
                f"--reuid={entry['user']}",
                f"--regid={entry['user']}",
                "--init-groups",
                # It must not go on beside the next run when this one is killed.
                "--pdeathsig=KILL",
                *command["argv"],
            ]
            # Not the module's own run_command: it changes the process' environment,
            # and services run in parallel.
            done = subprocess.run(
                words,
                env={**os.environ, **_ENVIRONMENT, **(command["environment"] or {})},
                cwd="/",
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                text=True,
                check=False,
            )
            if done.returncode not in (command["ok"] or [0]):
                tail = "\n".join(done.stdout.strip().splitlines()[-_TAIL_LINES:])
                raise RuntimeError(
                    f"{self.name}: {shlex.join(command['argv'])} gave "
                    f"{done.returncode}:\n{tail}"
                )

    def _begin(self) -> None:
        """Mark empty schemas as being made; empty those that were marked before."""
        schemas = [schema["name"] for schema in self._entry["schemas"]]
        if self._mark.exists():
            for schema in schemas:
                with self._connect(schema) as connection, connection.cursor() as cursor:
                    # The account owns the schema, whose name is none of a user's.
                    cursor.execute(f"DROP DATABASE `{schema}`")
                    cursor.execute(f"CREATE DATABASE `{schema}` CHARACTER SET utf8mb3")
        elif not any(self._rows(schema, "SHOW TABLES") for schema in schemas):
            self._mark.touch()
            os.sync()

    def end(self) -> None:
        """All is right: from now on the schemas are somebody's."""
        self._mark.unlink(missing_ok=True)

    def _connect(self, schema: str) -> Any:
        database = self._module.params["database"]
        return pymysql.connect(
            host=database["address"],
            port=database["port"],
            user=self._entry["account"],
            password=self._entry["password"],
            database=schema,
        )

    def _rows(self, schema: str, query: str) -> tuple[tuple[Any, ...], ...]:
        try:
            with (
                self._connect(schema) as connection,
                connection.cursor() as cursor,
            ):
                cursor.execute(query)
                return tuple(cursor.fetchall())
        except pymysql.err.MySQLError as error:
            if error.args[0] in _ABSENT:
                return ()
            raise


def _argument_spec() -> dict[str, Any]:
    text = {"type": "str", "required": True}
    words = {"type": "list", "elements": "str"}
    return {
        "database": {
            "type": "dict",
            "required": True,
            "options": {
                "address": text,
                "port": {"type": "int", "required": True},
            },
        },
        "state": {"type": "path", "required": True},
        "services": {
            "type": "list",
            "elements": "dict",
            "required": True,
            "options": {
                "name": text,
                "user": text,
                "account": text,
                "password": {**text, "no_log": True},
                "files": words,
                "schemas": {
                    "type": "list",
                    "elements": "dict",
                    "required": True,
                    "options": {"name": text, "migrations": text},
                },
                "rows": {
                    "type": "list",
                    "elements": "dict",
                    "options": {"schema": text, "query": text},
                },
                "commands": {
                    "type": "list",
                    "elements": "dict",
                    "required": True,
                    "options": {
                        "argv": {**words, "required": True},
                        "environment": {"type": "dict"},
                        "ok": {"type": "list", "elements": "int"},
                    },
                },
            },
        },
    }


def synchronise(
    services: list[Service], is_check: bool
) -> tuple[dict[str, list[str]], list[str]]:
    """Have all schemas as installed.

    :returns: by service's name, why it was to be done; and what went wrong.
    """
    todo = {service: service.faults() for service in services}
    why = {service.name: faults for service, faults in todo.items() if faults}
    if is_check:
        return why, []
    for service, faults in todo.items():
        if not faults:
            service.end()
    faulty = [service for service in services if service.name in why]
    if not faulty:
        return why, []
    with concurrent.futures.ThreadPoolExecutor(len(faulty)) as pool:
        runs = [pool.submit(service.run) for service in faulty]
    failed = [str(error) for run in runs if (error := run.exception())]
    for service in faulty:
        if failed:
            break
        remaining = service.faults()
        if remaining:
            failed.append(f"{service.name}, after its commands: {remaining}")
        else:
            service.end()
    return why, failed


def main() -> None:
    module = AnsibleModule(argument_spec=_argument_spec(), supports_check_mode=True)
    if pymysql is None:
        module.fail_json(msg="db_schema needs PyMySQL in its Python")
    services = [Service(module, entry) for entry in module.params["services"]]
    state = Path(module.params["state"])
    try:
        files.ensure_directory(state)
        with (state / ".lock").open("w") as lock:
            # A run whose controller was killed goes on: wait for its end.
            fcntl.flock(lock, fcntl.LOCK_EX)
            why, failed = synchronise(services, module.check_mode)
    except (pymysql.err.MySQLError, LookupError, OSError) as error:
        module.fail_json(msg=f"cannot look at the schemas: {error}")
    if failed:
        module.fail_json(msg="\n\n".join(failed), why=why)
    module.exit_json(changed=bool(why), why=why)


if __name__ == "__main__":
    main()
