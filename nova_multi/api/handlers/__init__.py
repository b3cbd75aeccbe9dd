# SPDX-License-Identifier: Apache-2.0
"""Handlers, a module for each noun: each calls one method of the service."""
