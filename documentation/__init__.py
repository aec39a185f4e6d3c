"""The documentation site: made from the Markdown of this repository and from the code, by Sphinx, and checked.

`script/docs` builds it. The site has the repository's shape: what is `docs/runbook.md` there is `docs/runbook.html`
here, so that a relative link means the same in both. See docs/decisions/0026-docs-site.md.
"""
