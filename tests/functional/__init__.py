# SPDX-License-Identifier: Apache-2.0
"""Our manager and driver in Nova's own functional cloud, with an engine in memory."""
