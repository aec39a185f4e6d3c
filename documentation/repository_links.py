"""Links as they stand in the repository, in the site: to a page's source, to a folder, to any other file.

MyST resolves links to pages. What is left leads to something in the repository that is no page: a generated page's
source leads to the page, a folder to its README, and any other file to itself, which then stands in the site at its
own path. What is not there stays as it is, and MyST tells of it.
"""

import posixpath
from pathlib import Path
from typing import Any

from docutils import nodes
from sphinx import addnodes
from sphinx.application import Sphinx
from sphinx.transforms import SphinxTransform

from documentation.reference import SHOWN_AS


class RepositoryLinks(SphinxTransform):
    """Resolves the links that lead out of the pages."""

    default_priority = 300

    def apply(self, **kwargs: Any) -> None:
        """See `docutils.transforms.Transform`."""
        repository = Path(self.config.billing_repository)
        for link in list(self.document.findall(addnodes.pending_xref)):
            if link.get("reftype") == "myst" and link.get("refdomain") is None:
                self._resolve(link, repository)

    def _resolve(self, link: addnodes.pending_xref, repository: Path) -> None:
        target, _, fragment = link["reftarget"].partition("#")
        path = posixpath.normpath(posixpath.join(posixpath.dirname(self.env.docname), target))
        shown_as = SHOWN_AS.get(path, self.env.docname)
        readme = f"{path}/README"
        if not target or path.startswith(".."):
            return
        if shown_as != self.env.docname:
            self._lead_to(link, shown_as, fragment)
        elif readme in self.env.found_docs:
            self._lead_to(link, readme, fragment)
        elif (repository / path).is_file() and not fragment:
            link.replace_self(nodes.reference("", "", *link.children, refuri=target, internal=False))

    def _lead_to(self, link: addnodes.pending_xref, docname: str, fragment: str) -> None:
        link["refdomain"], link["reftarget"] = "doc", docname
        link["reftargetid"] = fragment or None


def setup(app: Sphinx) -> dict[str, Any]:
    """This will add the resolver, and the setting that says where the repository is."""
    app.add_config_value("billing_repository", "", "env", str)
    app.add_transform(RepositoryLinks)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
