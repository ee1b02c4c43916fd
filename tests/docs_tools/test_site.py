"""The hooks of the documentation site."""

from types import SimpleNamespace

import pytest
from mkdocs.exceptions import PluginError

from docs_tools.site import on_page_markdown, on_post_build


@pytest.mark.parametrize(
    "page",
    [
        '<script src="https://cdn.example/a.js"></script>',
        '<link rel="stylesheet" href="//cdn.example/a.css">',
        "<style>@font-face {src: url(https://cdn.example/a.woff2)}</style>",
        "<script type=module>import a from 'https://cdn.example/a.mjs'</script>",
    ],
)
def test_a_page_that_loads_from_another_host_is_refused(tmp_path, page):
    (tmp_path / "index.html").write_text(page)
    with pytest.raises(PluginError, match=r"index.html loads .*cdn.example.* from another host"):
        on_post_build(SimpleNamespace(site_dir=tmp_path))


def test_links_to_another_host_and_own_scripts_are_allowed(tmp_path):
    page = '<a href="https://doi.org/1">source</a><script src="../assets/a.js"></script>'
    (tmp_path / "index.html").write_text(page)
    on_post_build(SimpleNamespace(site_dir=tmp_path))


def test_links_to_files_outside_the_site_become_text(tmp_path):
    (tmp_path / "docs" / "folder").mkdir(parents=True)
    (tmp_path / "code.py").touch()
    text = (
        "[code](../code.py), [data](folder), [page](page.md#part), [lost](../lost.py), [n](n.ipynb)"
    )
    page = SimpleNamespace(file=SimpleNamespace(src_uri="index.md"))
    config = SimpleNamespace(docs_dir=tmp_path / "docs")
    files = SimpleNamespace(src_uris={"page.md"})
    shown = on_page_markdown(text, page, config, files)
    assert shown == "code, data, [page](page.md#part), [lost](../lost.py), [n](n.md)"
