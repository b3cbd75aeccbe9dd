# SPDX-License-Identifier: Apache-2.0
"""``openstack multi ...``: the provisioning service on the command line."""
