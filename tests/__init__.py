# SPDX-License-Identifier: Apache-2.0
"""Tests, by what they need: see tools/test."""

import importlib.util
import os

if importlib.util.find_spec("nova"):
    # Nova decides how threads are made before anything else of it is imported, and its
    # tests read this variable for it. Our computes run on native threads.
    os.environ.setdefault("OS_NOVA_DISABLE_EVENTLET_PATCHING", "1")

    from nova import monkey_patch

    monkey_patch.patch(backend="threading")
