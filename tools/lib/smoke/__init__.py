# SPDX-License-Identifier: Apache-2.0
"""Tempest against the deployed cloud, once per hypervisor."""
