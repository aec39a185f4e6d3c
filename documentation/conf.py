"""Sphinx' configuration: Markdown by MyST, Python by autodoc, drawn by furo. Nothing is fetched to build or read it."""

from importlib.metadata import version as version_of

project = "Billing"
author = "Billing's authors"
project_copyright = "Billing's authors, Apache-2.0"
version = release = version_of("billing-core")
language = "en"

extensions = ["myst_parser", "sphinx.ext.autodoc", "documentation.repository_links", "documentation.docstrings"]
root_doc = "docs/index"
source_suffix = {".md": "markdown", ".rst": "restructuredtext"}
nitpicky = True
nitpick_ignore_regex = [
    ("py:.*", r"(?!billing_).*"),  # what others' packages call their own is described where they are
    ("py:.*", r"billing_.*\.[A-Z]"),  # type variables
]
# Functions within an annotation, taken for classes; and what the kit's storage hands out is a port.
nitpick_ignore = [
    ("py:class", "billing_core.domain.events.rfc3339"),
    ("py:class", "billing_core.testing.memory.storage.InMemoryUnitOfWork"),
]
# `type[X]` is Python's own, and not the `type` that several of ours have.
suppress_warnings = ["ref.python"]

# A link to a heading of any page is checked, by the anchor that it has in a repository's browser as well.
myst_heading_anchors = 6
myst_enable_extensions = ["strikethrough"]

autodoc_member_order = "bysource"
autodoc_typehints_format = "short"
autodoc_preserve_defaults = True
python_use_unqualified_type_names = True
toc_object_entries = False  # pages list their names themselves, and a build takes a third less

# For `script/nightly`, where there is a network.
linkcheck_timeout = 20
linkcheck_retries = 2

html_theme = "furo"
html_title = "Billing"
html_static_path = ["static"]
html_css_files = ["site.css"]
# What stands at the root leads to the first page.
html_extra_path = ["extra"]
html_copy_source = False
html_show_sourcelink = False
html_use_index = False
html_domain_indices = False
html_theme_options = {
    "footer_icons": [],
    "light_css_variables": {"color-brand-primary": "#1f4e79", "color-brand-content": "#1f4e79"},
    "dark_css_variables": {"color-brand-primary": "#8ec1f0", "color-brand-content": "#8ec1f0"},
}
pygments_style = "a11y-high-contrast-light"
pygments_dark_style = "a11y-high-contrast-dark"
