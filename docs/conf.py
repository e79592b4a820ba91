"""How Sphinx builds the documentation: `make docs`, into build/docs. Pages ask no other host."""

from __future__ import annotations

import sys
from importlib.metadata import version as installed
from pathlib import Path

HERE = Path(__file__).parent
sys.path[:0] = [str(HERE.parent), str(HERE)]

import generated  # noqa: E402  it lies beside this file

project, author, copyright = "R-WAE", "The authors of R-WAE", "Apache-2.0"  # noqa: A001  as Sphinx calls it
version = release = installed("rwae")
extensions = ["myst_parser", "sphinx.ext.autodoc", "sphinx.ext.napoleon", "sphinx.ext.viewcode"]
html_theme = "furo"
html_title = "R-WAE"
html_show_sphinx = False

myst_heading_anchors = 3

default_role = "code"  # docstrings have `names` in single backticks
autodoc_member_order = "bysource"
autodoc_typehints = "signature"
napoleon_use_ivar = True
napoleon_numpy_docstring = False

generated.write(HERE / "reference")
