#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Nova's schemas and cells, made by the commands of nova-manage in one process.

    make_schemas.py CONFIGURATION

Each run of nova-manage takes two seconds of a processor to load Nova, of which four are
needed here. All commands leave alone what is there already. Runs with Nova's Python.
"""

from __future__ import annotations

import os
import sys

os.environ["OS_NOVA_DISABLE_EVENTLET_PATCHING"] = "1"

# First, for it decides how Nova's threads are made.
from nova.cmd import manage  # noqa: E402, I001
from nova import config, objects  # noqa: E402
from oslo_log import log as logging  # noqa: E402

# Nova fills these in from its own configuration whenever it uses a cell: no password is
# stored in the database, and a new one needs no change there.
DATABASE = "{scheme}://{username}:{password}@{hostname}:{port}/{path}?{query}"
DATABASE_0 = "{scheme}://{username}:{password}@{hostname}:{port}/nova_cell0?{query}"
BUS = "{scheme}://{username}:{password}@{hostname}:{port}/{path}?{query}"

# What `create_cell` returns for a cell that is there.
ALREADY = 2


def main() -> int:
    config.parse_args(["nova-manage", "--config-file", sys.argv[1]])
    logging.setup(manage.CONF, "nova")
    objects.register_all()
    cells = manage.CellV2Commands()
    steps = {
        "api_db sync": lambda: manage.ApiDbCommands().sync(),
        "cell_v2 map_cell0": lambda: cells.map_cell0(DATABASE_0),
        "db sync": lambda: manage.DbCommands().sync(),
        "cell_v2 create_cell": lambda: cells.create_cell("cell1", DATABASE, BUS),
    }
    for name, step in steps.items():
        code = step() or 0
        if code and (name, code) != ("cell_v2 create_cell", ALREADY):
            print(f"nova-manage {name} gave {code}", file=sys.stderr)
            return code
    return 0


if __name__ == "__main__":
    sys.exit(main())
