# SPDX-License-Identifier: Apache-2.0
"""Guest images for all three hypervisors from Debian's packages.

Standard library only, because it runs before anything else is installed.
"""
