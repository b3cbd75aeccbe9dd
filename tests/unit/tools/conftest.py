# SPDX-License-Identifier: Apache-2.0
"""Makes the modules of tools/lib importable."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[3] / "tools" / "lib"))
