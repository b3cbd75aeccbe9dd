# SPDX-License-Identifier: Apache-2.0
"""What users handle, as frozen values with their pure rules. Standard library only."""
