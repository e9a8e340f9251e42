"""Settings of the documentation. Nothing is fetched from the network."""

from importlib.metadata import version as installed_version

project = "limbeck"
author = "limbeck contributors"
copyright = "2026, limbeck contributors"
release = version = installed_version("limbeck")

extensions = ["myst_parser", "sphinx.ext.autodoc", "sphinx.ext.napoleon"]
source_suffix = {".md": "markdown"}
exclude_patterns = ["_build", "_generated"]
nitpicky = False

myst_enable_extensions = ["colon_fence", "deflist"]
myst_heading_anchors = 3

default_role = "code"
autodoc_member_order = "bysource"
autodoc_typehints = "signature"
autodoc_typehints_format = "short"
autodoc_default_options = {"members": True, "show-inheritance": True}
napoleon_google_docstring = True
napoleon_numpy_docstring = False

html_theme = "furo"
html_title = "limbeck"
html_show_sourcelink = False
