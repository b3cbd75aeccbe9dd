# SPDX-License-Identifier: Apache-2.0
"""Does the work that was accepted: store, steps, runner, workers."""
