# SPDX-License-Identifier: Apache-2.0
"""What can keep the tests from running at all."""


class SmokeError(Exception):
    """The tests can't be run; the message says why and what to do."""
