# SPDX-License-Identifier: Apache-2.0
"""Composition roots: the programs that are started."""
