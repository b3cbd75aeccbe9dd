# SPDX-License-Identifier: Apache-2.0
"""The deployment's code is no installed package: it is found beside Ansible's."""

from __future__ import annotations

import sys
from pathlib import Path

DEPLOY = Path(__file__).resolve().parents[3] / "deploy"

for folder in (
    "module_utils",
    "cli",
    "roles/chassis/files",
    "roles/compute-libvirt/files",
    "roles/compute-lxd/files",
):
    sys.path.insert(0, str(DEPLOY / folder))
