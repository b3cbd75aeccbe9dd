# SPDX-License-Identifier: Apache-2.0
"""Has MariaDB's folder of data, with the system tables in it.

    - mariadb_datadir: {path: /var/lib/nova-multi/mariadb, defaults_file: /etc/...}

It is made beside its place and then renamed: one that is half made is never used.
"""

from __future__ import annotations

import shutil
from pathlib import Path

from ansible.module_utils.basic import AnsibleModule
from ansible.module_utils.nm import command, files, manifest


def main() -> None:
    module = AnsibleModule(
        argument_spec={
            "path": {"type": "path", "required": True},
            "defaults_file": {"type": "path", "required": True},
        }
    )
    base = Path(module.params["path"])
    try:
        changed = files.ensure_directory(base, 0o750, "mysql", "mysql")
        if not (base / "data" / "mysql").is_dir():
            _install(base, module.params["defaults_file"])
            changed = True
    except (command.CommandError, OSError, KeyError) as error:
        module.fail_json(msg=str(error))
    module.exit_json(changed=changed)


def _install(base: Path, defaults_file: str) -> None:
    data, new = base / "data", base / "data.new"
    manifest.record("tree", path=str(data))
    shutil.rmtree(new, ignore_errors=True)
    command.run(
        [
            "mariadb-install-db",
            f"--defaults-file={defaults_file}",
            f"--datadir={new}",
            "--user=mysql",
            # root by the peer of the private socket, and by nothing else.
            "--auth-root-authentication-method=socket",
            "--skip-test-db",
        ]
    )
    new.rename(data)


if __name__ == "__main__":
    main()
