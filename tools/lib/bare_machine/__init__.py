# SPDX-License-Identifier: Apache-2.0
"""Bare Debian machines to try the deployment on, in containers of their own.

Standard library only, and systemd-nspawn: the machine that runs them needs no
systemd itself.
"""
