"""Which code a fit or a result came from."""

from __future__ import annotations

import ast
import hashlib
import inspect
from collections.abc import Iterable
from types import ModuleType


def code_sha256(modules: Iterable[ModuleType]) -> str:
    """Return the SHA-256 (hex) of what modules compute.

    Imports, docstrings and comments do not count: a module may be moved or documented better, and
    what came of it stays valid.
    """
    digest = hashlib.sha256()
    for module in modules:
        tree = ast.parse(inspect.getsource(module))
        digest.update(ast.unparse(_Computation().visit(tree)).encode())
    return digest.hexdigest()


class _Computation(ast.NodeTransformer):
    """Removes imports and docstrings."""

    def visit_Import(self, node: ast.Import) -> None:
        """Remove it."""

    def visit_ImportFrom(self, node: ast.ImportFrom) -> None:
        """Remove it."""

    def visit_Expr(self, node: ast.Expr) -> ast.Expr | None:
        """Remove a string that stands alone."""
        alone = isinstance(node.value, ast.Constant) and isinstance(node.value.value, str)
        return None if alone else node
