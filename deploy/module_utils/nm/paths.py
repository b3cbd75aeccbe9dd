# SPDX-License-Identifier: Apache-2.0
"""Where the deployment keeps its own records on a node.

The inventory's nm_* variables say the same; these are for the commands that run
without Ansible (status, down) and for the records of the modules.
"""

from __future__ import annotations

from pathlib import Path

ROOT = Path("/opt/nova-multi")
ETC = Path("/etc/nova-multi")
STATE = Path("/var/lib/nova-multi")
LOG = Path("/var/log/nova-multi")
RUN = Path("/run/nova-multi")

# The venv of Ansible, made by deploy/up before anything else.
DEPLOY_VENV = ROOT / "deploy-venv"

MANIFEST = STATE / "manifest.jsonl"
ORIGINALS = STATE / "originals"
# One JSON document for each service as it was last written, for status and down.
SERVICES = STATE / "services"
# A digest of what each service was last started with by us.
STARTED = STATE / "started"
