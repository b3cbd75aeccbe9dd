# SPDX-License-Identifier: Apache-2.0
"""Settings of Sphinx."""

project = "nova_multi"
copyright = "nova_multi contributors"
extensions = ["cliff.sphinxext", "oslo_config.sphinxext", "reno.sphinxext"]
html_theme = "openstackdocs"
extensions.append("openstackdocstheme")
openstackdocs_auto_name = False
nitpicky = False
