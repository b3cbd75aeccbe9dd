# SPDX-License-Identifier: Apache-2.0
"""OpenStack as the provisioning layer sees it; the only importer of openstacksdk.

Everything goes in and comes out as frozen values, and whatever goes wrong comes out as
an error of :mod:`nova_multi.domain.errors`.
"""
