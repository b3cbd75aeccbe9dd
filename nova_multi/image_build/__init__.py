# SPDX-License-Identifier: Apache-2.0
"""Guest images for all three hypervisors from a distribution's packages.

Standard library only: it also makes the images of a deployment that has nothing else
installed yet. Needs neither loop devices, device-mapper nor systemd.
"""
