"""Headers that tell browsers to trust an answer no further than they must."""

from __future__ import annotations

import base64
import hashlib
import re
from collections.abc import Mapping

from starlette.datastructures import MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

POLICY = "default-src 'none'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
"""For what is no page."""
HEADERS = {
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Resource-Policy": "same-origin",  # pages that CORS lets in ask with CORS, which this is not about
    "Cache-Control": "no-store",  # codes and media are nobody else's business
}


class SecurityHeaders:
    """Gives them to every answer.

    Args:
        app: What answers.
        pages: The content security policy of each path that is a page.
    """

    def __init__(self, app: ASGIApp, pages: Mapping[str, str]) -> None:
        self.app = app
        self._pages = pages

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Passes a request on."""

        async def guarded(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                for name, value in HEADERS.items():
                    headers.setdefault(name, value)
                headers["Content-Security-Policy"] = self._pages.get(scope["path"], POLICY)
            await send(message)

        await self.app(scope, receive, guarded if scope["type"] == "http" else send)


def page_policy(html: str, *, styles: str = "") -> str:
    """The policy of a page that shows media and calls its own service: no script but those that it has now.

    Args:
        html: The page; its inline scripts and styles are allowed by their hashes.
        styles: Other sources of styles.
    """
    directives = {
        "default-src": "'none'",
        "connect-src": "'self'",
        "img-src": "'self' data: blob:",
        "media-src": "'self' data: blob:",
        "script-src": f"'self' {_hashes(html, 'script')}",
        "style-src": f"'self' {styles or _hashes(html, 'style')}",
        "form-action": "'self'",
        "base-uri": "'none'",
        "frame-ancestors": "'none'",
    }
    return "; ".join(f"{name} {' '.join(value.split())}" for name, value in directives.items())


def _hashes(html: str, tag: str) -> str:
    inline = re.findall(rf"<{tag}(?![^>]*\bsrc=)[^>]*>(.*?)</{tag}>", html, re.DOTALL)
    return " ".join(f"'sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}'" for text in inline)
