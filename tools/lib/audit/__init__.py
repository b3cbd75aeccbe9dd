# SPDX-License-Identifier: Apache-2.0
"""What is there on a node and belongs to no server."""
