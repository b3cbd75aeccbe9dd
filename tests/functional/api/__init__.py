# SPDX-License-Identifier: Apache-2.0
"""The whole provisioning service in one process, on an OpenStack at the wire."""
