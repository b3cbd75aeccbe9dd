# SPDX-License-Identifier: Apache-2.0
"""``nova-multi-compute``: Nova's compute service with the drivers of nova_multi.

Takes the arguments and the configuration of nova-compute.
"""

# ruff: noqa: E402, I001
import sys

# Nova decides here, before anything else is imported, how its threads are made; its
# configuration has a say in that.
from nova import monkey_patch
from oslo_config import cfg

try:
    monkey_patch.patch(backend="threading")
except cfg.Error as error:
    sys.exit(f"nova-multi-compute: error: {error}")

from nova import service
from nova.cmd import compute

from nova_multi.cmd import compute_checks
from nova_multi.virt import nova_namespace

MANAGER = "nova_multi.virt.manager.ComputeManager"


def main() -> int:
    """Check the configuration, then be nova-compute until told to end."""
    problems = compute_checks.problems(sys.argv[1:])
    if problems:
        for problem in problems:
            print(f"nova-multi-compute: error: {problem}", file=sys.stderr)
        return 1
    nova_namespace.register()
    service.SERVICE_MANAGERS["nova-compute"] = MANAGER
    compute.main()
    return 0


if __name__ == "__main__":
    sys.exit(main())
