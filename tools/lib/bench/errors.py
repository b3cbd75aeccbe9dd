# SPDX-License-Identifier: Apache-2.0
"""What can keep a measurement from being made."""


class BenchError(Exception):
    """Something can't be measured; the message says what and why."""
