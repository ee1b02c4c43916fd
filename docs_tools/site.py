"""What the documentation site needs beyond mkdocs: its hooks, named in mkdocs.yml."""

from __future__ import annotations

import re
from pathlib import Path
from posixpath import dirname, join, normpath

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.exceptions import PluginError
from mkdocs.structure.files import File, Files
from mkdocs.structure.pages import Page
from nbconvert import MarkdownExporter

LINK = re.compile(r"(?<!!)\[([^\]]+)\]\(([^)#:]+)\)")
LOADED = re.compile(
    r"""<(?:script|link|img|iframe)\b[^>]*\b(?:src|href)=["']?(?:https?:)?//[^"'\s>]+"""
    r"""|url\(["']?(?:https?:)?//[^)]+|\bimport\b[^;\n]*["']https?://[^"']+"""
)


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Replace each notebook by a page with its text, code and outputs."""
    for notebook in [file for file in files if file.src_uri.endswith(".ipynb")]:
        text, resources = MarkdownExporter().from_filename(str(notebook.abs_src_path))
        files.remove(notebook)
        page = notebook.src_uri.removesuffix("ipynb") + "md"
        files.append(File.generated(config, page, content=text))
        for name, data in resources["outputs"].items():
            picture = join(dirname(page), name)
            files.append(File.generated(config, picture, content=data))
    return files


def on_page_markdown(markdown: str, page: Page, config: MkDocsConfig, files: Files) -> str:
    """Link to the pages of notebooks, and to no file of the repository that the site omits."""

    def linked(match: re.Match[str]) -> str:
        target = normpath(join(dirname(page.file.src_uri), match[2]))
        if target.endswith(".ipynb"):
            return match[0].replace(".ipynb)", ".md)")
        in_repository = Path(config.docs_dir, target).exists()
        return match[1] if in_repository and target not in files.src_uris else match[0]

    return LINK.sub(linked, markdown)


def on_post_build(config: MkDocsConfig) -> None:
    """Refuse a site whose pages load anything from another host.

    Raises
    ------
    PluginError
        If a page, a style sheet or a script does; names the file and the address.
    """
    for path in sorted(Path(config.site_dir).rglob("*")):
        if path.suffix in {".html", ".css", ".js"} and (found := LOADED.search(path.read_text())):
            raise PluginError(f"{path} loads {found[0]} from another host.")
