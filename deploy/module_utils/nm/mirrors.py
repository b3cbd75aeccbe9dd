# SPDX-License-Identifier: Apache-2.0
"""Can Debian's and Python's packages be fetched from here?"""

from __future__ import annotations

import concurrent.futures
import os
import shutil
import ssl
import subprocess
import tempfile
import urllib.error
import urllib.request
from pathlib import Path

from . import pipconf

_APT_HELPER = Path("/usr/lib/apt/apt-helper")
_PYPI = "https://pypi.org/simple"
# Seconds; a mirror that needs longer to say a word is none to install from.
_TIMEOUT = 20
# A project that each index has, and whose page is small.
_PROJECT = "uv"


def check() -> list[str]:
    """What cannot be fetched, and why; asked the way apt and pip would ask."""
    with concurrent.futures.ThreadPoolExecutor() as pool:
        debian = pool.submit(_check_debian)
        python = pool.submit(_check_python)
        return [*debian.result(), *python.result()]


def _check_debian() -> list[str]:
    if shutil.which("apt-get", path="/usr/bin:/bin") is None:
        return ["there is no apt-get"]
    done = subprocess.run(
        ["apt-get", "update", "--print-uris"],
        capture_output=True,
        text=True,
        check=False,
    )
    # 'http://.../InRelease' name-of-the-file 0
    urls = {line.split("'")[1] for line in done.stdout.splitlines() if "'" in line}
    sources = sorted(url for url in urls if url.endswith("/InRelease"))
    if not sources:
        return ["apt has no source of packages; see /etc/apt/sources.list.d"]
    with (
        tempfile.TemporaryDirectory() as folder,
        concurrent.futures.ThreadPoolExecutor(len(sources)) as pool,
    ):
        faults = pool.map(lambda url: _fetch(url, Path(folder)), sources)
        return [fault for fault in faults if fault]


def _fetch(url: str, folder: Path) -> str | None:
    """Fetch the signed summary of a source with apt's own settings and proxies."""
    if not _APT_HELPER.exists():
        return None
    target = folder / url.translate(str.maketrans("/:", "__"))
    # apt leaves its rights to a user of its own, who may not write here.
    options = ["-o", "APT::Sandbox::User=root", "-o", "Acquire::Retries=0"]
    try:
        done = subprocess.run(
            [str(_APT_HELPER), *options, "download-file", url, str(target)],
            capture_output=True,
            text=True,
            timeout=_TIMEOUT,
            check=False,
        )
    except subprocess.TimeoutExpired:
        return f"apt's source {url} does not answer"
    if done.returncode == 0:
        return None
    last = (done.stderr.strip().splitlines() or ["no reason given"])[-1]
    return f"apt's source {url} cannot be reached: {last.strip()}"


def _check_python() -> list[str]:
    settings = pipconf.read(pipconf.config_files(os.environ), os.environ)
    if settings.get("no-index"):
        return []
    index = settings.get("index-url", _PYPI).rstrip("/")
    if not index.startswith(("http://", "https://")):
        return []
    # Whether it answers is asked, nothing is taken from it: pip and uv check its
    # certificate, with authorities of their own.
    context = ssl._create_unverified_context()
    try:
        request = urllib.request.Request(f"{index}/{_PROJECT}/", method="HEAD")
        urllib.request.urlopen(request, timeout=_TIMEOUT, context=context).close()
    except urllib.error.HTTPError as error:
        if error.code not in (401, 403, 404, 405):
            return [f"the index of Python packages answers {error.code}: {index}"]
    except OSError as error:
        reason = getattr(error, "reason", error)
        return [f"the index of Python packages cannot be reached: {index}: {reason}"]
    return []
