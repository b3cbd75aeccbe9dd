# SPDX-License-Identifier: Apache-2.0
"""What requests and answers look like, a module for each noun.

The same models check requests, write answers, and become the OpenAPI document.
"""
