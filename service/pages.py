"""What browsers are shown, with everything that it needs: nothing is asked of another host."""

from __future__ import annotations

import os
from pathlib import Path

from fastapi.openapi.docs import get_swagger_ui_html
from starlette.responses import Response
from starlette.staticfiles import StaticFiles
from starlette.types import Scope
from typing_extensions import override

PAGE = Path(__file__).parent / "static" / "index.html"


class Files(StaticFiles):
    """Files that browsers keep, and ask about before they use them again."""

    @override
    def file_response(
        self, full_path: str | os.PathLike[str], stat_result: os.stat_result, scope: Scope, status_code: int = 200
    ) -> Response:
        answer = super().file_response(full_path, stat_result, scope, status_code)
        answer.headers["Cache-Control"] = "no-cache"
        return answer


FILES = Files(packages=[("service", "static"), ("fastapi_offline", "static")])
"""The page's own, and Swagger UI's."""
FILE_PATHS = frozenset(
    f"/static/{file.relative_to(folder).as_posix()}"
    for folder in FILES.all_directories
    for file in Path(folder).rglob("*")
    if file.is_file()
)
DOCS = get_swagger_ui_html(
    openapi_url="openapi.json",
    title="R-WAE: its calls",
    swagger_js_url="static/swagger-ui-bundle.js",
    swagger_css_url="static/swagger-ui.css",
    swagger_favicon_url="static/icon.svg",
)
