# SPDX-License-Identifier: Apache-2.0
"""Commands, a module for each noun."""
