# SPDX-License-Identifier: Apache-2.0
"""Schemas of the database server, and the accounts that own them."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import Any

from ansible.module_utils.basic import AnsibleModule

DOCUMENTATION = r"""
module: databases
short_description: Make databases and accounts on a MariaDB server
description:
  - What is there is found by logging in as each account, as the service will do.
  - Runs on the database's machine, with a Python that has PyMySQL.
options:
  socket:
    description: The server's private socket, on which root needs no password.
    required: true
    type: path
  databases:
    description: Name of the schema, and user and password of its only account.
    required: true
    type: list
    elements: dict
"""
EXAMPLES = r"""
- databases:
    socket: /run/nova-multi/mysql/mysqld.sock
    databases:
      - {name: keystone, user: keystone, password: "{{ passwords.database_keystone }}"}
"""

try:
    import pymysql
except ImportError:  # reported by main(): a module must be importable to be documented
    pymysql = None

# Refused account, account without right to the schema, unknown schema.
_MISSING = {1044, 1045, 1049, 1698}


def owned(socket: str, entry: dict[str, Any]) -> bool:
    """Can the account log in with its password and use its schema?"""
    try:
        pymysql.connect(
            unix_socket=socket,
            user=entry["user"],
            password=entry["password"],
            database=entry["name"],
        ).close()
    except pymysql.err.OperationalError as error:
        if error.args[0] in _MISSING:
            return False
        raise
    return True


@contextlib.contextmanager
def administrator(socket: str) -> Iterator[Any]:
    """A cursor of the server's root, who is known by the socket's peer."""
    connection = pymysql.connect(unix_socket=socket, user="root", autocommit=True)
    with connection, connection.cursor() as cursor:
        yield cursor


def make(cursor: Any, entry: dict[str, Any]) -> None:
    """Make schema and account, or give an account that exists its password back."""
    name, user, password = entry["name"], entry["user"], entry["password"]
    schema = "`" + name.replace("`", "``") + "`"
    cursor.execute(f"CREATE DATABASE IF NOT EXISTS {schema} CHARACTER SET utf8mb3")
    # The account is met over the bus of the machines, wherever the service runs;
    # the server itself listens on the management address only.
    account = (user, "%")
    cursor.execute("CREATE USER IF NOT EXISTS %s@%s", account)
    cursor.execute("ALTER USER %s@%s IDENTIFIED BY %s", (*account, password))
    cursor.execute(f"GRANT ALL PRIVILEGES ON {schema}.* TO %s@%s", account)


def main() -> None:
    module = AnsibleModule(
        argument_spec={
            "socket": {"type": "path", "required": True},
            "databases": {
                "type": "list",
                "elements": "dict",
                "required": True,
                "options": {
                    "name": {"type": "str", "required": True},
                    "user": {"type": "str", "required": True},
                    "password": {"type": "str", "required": True, "no_log": True},
                },
            },
        },
        supports_check_mode=True,
    )
    if pymysql is None:
        module.fail_json(msg="databases needs PyMySQL in its Python")
    socket = module.params["socket"]
    try:
        missing = [
            entry for entry in module.params["databases"] if not owned(socket, entry)
        ]
        if missing and not module.check_mode:
            with administrator(socket) as cursor:
                for entry in missing:
                    make(cursor, entry)
    except pymysql.err.MySQLError as error:
        module.fail_json(msg=f"database server at {socket}: {error}")
    module.exit_json(changed=bool(missing), made=[entry["name"] for entry in missing])


if __name__ == "__main__":
    main()
