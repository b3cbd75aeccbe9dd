# SPDX-License-Identifier: Apache-2.0
"""What the deployment's modules and its commands share.

Standard library only: it runs on the nodes with Debian's own Python.
"""
