# SPDX-License-Identifier: Apache-2.0
"""The REST interface of the provisioning service."""
