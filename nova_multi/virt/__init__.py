# SPDX-License-Identifier: Apache-2.0
"""The Nova side: compute drivers for Docker and LXD, and libvirt beside them."""
