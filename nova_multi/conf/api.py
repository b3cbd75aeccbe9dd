# SPDX-License-Identifier: Apache-2.0
"""Options of the provisioning service's REST interface."""

from __future__ import annotations

from oslo_config import cfg

group = cfg.OptGroup("api", title="REST interface of the provisioning service")

opts = [
    cfg.IntOpt(
        "max_limit",
        default=1000,
        min=1,
        max=10_000,
        help="""
Largest number of items in one page of a list, and the size of a page where the request
names none. More items are had with ``marker``.
""",
    ),
    cfg.IntOpt(
        "max_file_size",
        default=1024 * 1024 * 1024,
        min=1,
        help="""
Largest file, in bytes, that may be uploaded to ``/files``. Other requests are limited
by ``[oslo_middleware] max_request_body_size``.
""",
    ),
    cfg.BoolOpt(
        "virtshell_signature",
        default=False,
        help="""
Accept requests that carry ``X-VirtShell-Authorization: UserId:Signature`` in place of a
token. UserId is the access key of an EC2 credential in Keystone, which also checks the
signature. Such requests are taken over TLS only, except from the machine itself and not
through a proxy.

The secret is shared and HMAC-SHA1 is old: leave it off unless clients of VirtShell
itself are in use.
""",
    ),
    cfg.IntOpt(
        "signature_window",
        default=900,
        min=1,
        max=3600,
        help="""
Seconds by which the Date of a signed request may differ from this machine's clock,
either way. A signature is accepted once within that time.
""",
    ),
]


def register_opts(conf: cfg.ConfigOpts) -> None:
    """Declare the group on ``conf``; repeating it is harmless."""
    conf.register_group(group)
    conf.register_opts(opts, group=group)


def list_opts() -> dict[cfg.OptGroup, list[cfg.Opt]]:
    """Options for the sample configuration."""
    return {group: opts}
