# SPDX-License-Identifier: Apache-2.0
"""What the REST interface asks for, a module for each noun."""
