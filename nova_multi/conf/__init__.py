# SPDX-License-Identifier: Apache-2.0
"""Option declarations, one module for each group; nothing is read at import."""
