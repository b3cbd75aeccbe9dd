# SPDX-License-Identifier: Apache-2.0
"""Fetches what a user's URL names, and from nowhere inside.

A name is resolved once and the connection goes to the address that was checked, so that
its owner can't change it in between. Redirects are checked like the URL itself.
"""

from __future__ import annotations

import contextlib
import http.client
import ipaddress
import socket
import ssl
import threading
import time
import urllib.parse
from collections.abc import Callable, Iterator
from typing import Any

from nova_multi.domain.errors import Invalid, Unavailable

_CHUNK = 1024 * 1024
#: Seconds that the other side may be silent.
_TIMEOUT = 60.0
#: Seconds of waiting for the other side over which its rate is measured.
_WINDOW = 60.0
#: Bytes in a second that it has to send in each of them.
_SLOWEST = 64 * 1024
#: Seconds that a download may take, with redirects and headers.
_LONGEST = 7200.0
_MAX_REDIRECTS = 5
#: Schemes of URLs that are fetched, with their ports.
PORTS = {"http": 80, "https": 443}
#: IPv4 through a gateway (RFC 6052): the last four bytes are the address behind it.
_NAT64 = ipaddress.IPv6Network("64:ff9b::/96")
#: The same with a prefix of the network's own (RFC 8215); nothing outside has it.
_LOCAL_NAT64 = ipaddress.IPv6Network("64:ff9b:1::/48")

Resolver = Callable[[str, int], list[str]]


def resolve(host: str, port: int) -> list[str]:
    """Addresses of a host."""
    found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    return [str(info[4][0]) for info in found]


def parsed(url: str) -> urllib.parse.SplitResult:
    """A URL's parts; nobody is asked for anything.

    :raises Invalid: it is none that is fetched.
    """
    try:
        parts = urllib.parse.urlsplit(url)
        # Reading it finds one that is none.
        _ = parts.port
    except ValueError as error:
        raise Invalid(f"{url!r:.80} is no URL", field="download_url") from error
    if parts.scheme not in PORTS or not parts.hostname:
        raise Invalid("only http and https URLs are fetched", field="download_url")
    if parts.username or parts.password:
        raise Invalid("a URL must not hold a password", field="download_url")
    return parts


def screened(url: str, allowed: frozenset[str]) -> None:
    """See what is wrong with a URL without asking anybody where its host is.

    :param allowed: as for :func:`checked`.
    :raises Invalid: it may not be fetched, and why.
    """
    host = str(parsed(url).hostname)
    # That of an address is told at once; a name's only the one who fetches learns.
    with contextlib.suppress(ValueError):
        if not _is_outside(host) and host not in allowed:
            raise _private(host)


def _private(host: str) -> Invalid:
    return Invalid(
        f"host {host} is a private one; the operator has not allowed it",
        field="download_url",
        code="private_host",
    )


def checked(
    url: str, allowed: frozenset[str], resolver: Resolver = resolve
) -> tuple[urllib.parse.SplitResult, str]:
    """A URL's parts, and the address to connect to.

    :param allowed: names and addresses of private hosts that may be used.
    :raises Invalid: it may not be fetched, and why.
    :raises Unavailable: its host can't be resolved now.
    """
    parts = parsed(url)
    host = str(parts.hostname)
    try:
        addresses = resolver(host, parts.port or PORTS[parts.scheme])
    except (OSError, UnicodeError) as error:
        raise Unavailable(f"host {host} can't be resolved") from error
    for address in addresses:
        if not _is_outside(address) and not {host, address} & allowed:
            raise _private(host)
    if not addresses:
        raise Unavailable(f"host {host} has no address")
    return parts, addresses[0]


def _is_outside(text: str) -> bool:
    address = ipaddress.ip_address(text.partition("%")[0])
    if isinstance(address, ipaddress.IPv6Address):
        if address in _LOCAL_NAT64:
            return False
        if address in _NAT64:
            address = ipaddress.IPv4Address(address.packed[-4:])
            return address.is_global and not address.is_multicast
        address = address.ipv4_mapped or address.sixtofour or address
    return address.is_global and not address.is_multicast


class _Deadline:
    """Cuts connections when a download has taken too long, wherever it is then.

    A socket's own timeout begins anew with each byte that drips in.
    """

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self._lock = threading.Lock()
        self._watched: list[socket.socket] = []
        self._passed = False
        self._timer = threading.Timer(seconds, self._cut)
        self._timer.daemon = True
        self._timer.start()

    def watch(self, connected: socket.socket) -> None:
        """Cut this connection, too."""
        with self._lock:
            # TLS takes the socket itself over.
            self._watched.append(connected.dup())
        self.check()

    def check(self) -> None:
        """See that there is time left; the end of what was read may be our cut.

        :raises Invalid: there is none.
        """
        if self._passed:
            raise Invalid(
                f"the download took more than {self._seconds:.0f} seconds",
                field="download_url",
            )

    def close(self) -> None:
        """Cut nothing any more."""
        self._timer.cancel()
        with self._lock:
            for each in self._watched:
                each.close()
            self._watched.clear()

    def _cut(self) -> None:
        with self._lock:
            self._passed = True
            for each in self._watched:
                with contextlib.suppress(OSError):
                    each.shutdown(socket.SHUT_RDWR)


@contextlib.contextmanager
def opened(
    url: str,
    allowed: frozenset[str] = frozenset(),
    limit: int = 64 * 1024**3,
    seconds: float = _LONGEST,
    resolver: Resolver = resolve,
) -> Iterator[Iterator[bytes]]:
    """The content behind a URL, in pieces.

    :param limit: bytes that it may have.
    :param seconds: that all of it may take.
    :raises Invalid: it may not be fetched, is too large, takes too long, or there is
        none.
    :raises Unavailable: its host does not answer now.
    """
    with contextlib.ExitStack() as stack:
        deadline = _Deadline(seconds)
        stack.callback(deadline.close)
        for _ in range(_MAX_REDIRECTS + 1):
            parts, address = checked(url, allowed, resolver)
            connection = _connect(parts, address, deadline)
            stack.callback(connection.close)
            response = _ask(connection, parts, deadline)
            if response.status in (301, 302, 303, 307, 308):
                url = _joined(url, response.headers.get("Location", ""))
                continue
            _check_answer(response, parts, limit)
            yield _pieces(response, limit, deadline)
            return
        raise Invalid("too many redirects", field="download_url")


def _joined(url: str, location: str) -> str:
    try:
        return urllib.parse.urljoin(url, location)
    except ValueError as error:
        raise Invalid(
            f"the redirect to {location!r:.80} leads to no URL", field="download_url"
        ) from error


def _connect(
    parts: urllib.parse.SplitResult, address: str, deadline: _Deadline
) -> http.client.HTTPConnection:
    host = str(parts.hostname)
    port = parts.port or PORTS[parts.scheme]
    connection: http.client.HTTPConnection
    if parts.scheme == "https":
        connection = http.client.HTTPSConnection(
            host, port, timeout=_TIMEOUT, context=ssl.create_default_context()
        )
    else:
        connection = http.client.HTTPConnection(host, port, timeout=_TIMEOUT)

    def to_address(_: Any, timeout: Any = None, source_address: Any = None) -> Any:
        made = socket.create_connection((address, port), timeout, source_address)
        deadline.watch(made)
        return made

    # The name stays for TLS and the Host header; the address is the checked one.
    connection._create_connection = to_address  # type: ignore[attr-defined]
    return connection


def _ask(
    connection: http.client.HTTPConnection,
    parts: urllib.parse.SplitResult,
    deadline: _Deadline,
) -> http.client.HTTPResponse:
    path = urllib.parse.urlunsplit(("", "", parts.path or "/", parts.query, ""))
    try:
        connection.request("GET", path, headers={"User-Agent": "nova-multi"})
        response = connection.getresponse()
        deadline.check()
        return response
    except (OSError, http.client.HTTPException, ValueError) as error:
        deadline.check()
        raise Unavailable(
            f"host {parts.hostname} does not answer ({type(error).__name__})"
        ) from error


def _check_answer(
    response: http.client.HTTPResponse, parts: urllib.parse.SplitResult, limit: int
) -> None:
    if response.status >= 500:
        raise Unavailable(f"host {parts.hostname} answers {response.status}")
    if response.status != 200:
        raise Invalid(
            f"host {parts.hostname} answers {response.status}", field="download_url"
        )
    if (_length(response) or 0) > limit:
        raise _too_large(limit)


def _length(response: http.client.HTTPResponse) -> int | None:
    text = response.headers.get("Content-Length", "")
    return int(text) if text.isdecimal() else None


def _pieces(
    response: http.client.HTTPResponse, limit: int, deadline: _Deadline
) -> Iterator[bytes]:
    size = 0
    expected = _length(response)
    # Of the present window; whoever takes the pieces may be slow, too.
    waited, came = 0.0, 0
    while True:
        began = time.monotonic()
        try:
            # What has come, however little: a whole chunk may be waited for for ever.
            piece = response.read1(_CHUNK)
        except (OSError, http.client.HTTPException, ValueError) as error:
            deadline.check()
            raise Unavailable("the download broke off") from error
        waited += time.monotonic() - began
        deadline.check()
        if not piece:
            # http.client itself does not mind.
            if expected is not None and size < expected:
                raise Unavailable("the download broke off")
            return
        size += len(piece)
        if size > limit:
            raise _too_large(limit)
        came += len(piece)
        if waited > _WINDOW:
            if came < waited * _SLOWEST:
                raise Unavailable(f"the download is too slow: {size} bytes so far")
            waited, came = 0.0, 0
        yield piece


def _too_large(limit: int) -> Invalid:
    return Invalid(f"the image has more than {limit} bytes", field="download_url")
