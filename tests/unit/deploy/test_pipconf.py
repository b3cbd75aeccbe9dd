# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

from pathlib import Path

from nm import pipconf


def test_the_environment_is_stronger_than_files(tmp_path: Path) -> None:
    weak, strong = tmp_path / "weak", tmp_path / "strong"
    weak.write_text("[global]\nindex-url = https://a.example/simple\ntimeout = 5\n")
    strong.write_text("[global]\nindex-url = https://b.example/simple\n")
    environ = {"PIP_FIND_LINKS": "/wheels"}
    assert pipconf.read([weak, strong, tmp_path / "none"], environ) == {
        "index-url": "https://b.example/simple",
        "timeout": "5",
        "find-links": "/wheels",
    }


def test_in_the_terms_of_uv() -> None:
    variables = pipconf.for_uv(
        {
            "index-url": "https://a.example/simple",
            "extra-index-url": "\nhttps://b.example/simple\nfile:///srv/simple",
            "find-links": "/one\n/two",
            "cert": "/ca.pem",
            "no-index": "true",
        }
    )
    assert variables == {
        "UV_DEFAULT_INDEX": "https://a.example/simple",
        "UV_INDEX": "https://b.example/simple file:///srv/simple",
        "UV_INDEX_STRATEGY": "unsafe-best-match",
        "UV_FIND_LINKS": "/one,/two",
        "SSL_CERT_FILE": "/ca.pem",
        "UV_NO_INDEX": "1",
    }
