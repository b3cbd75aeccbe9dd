# SPDX-License-Identifier: Apache-2.0
"""What travels into guests: POSIX sh only."""
