"""Hash of the code that produced a fit or a result."""

from __future__ import annotations

import ast
import hashlib
import inspect
from collections.abc import Iterable
from types import ModuleType


def code_sha256(modules: Iterable[ModuleType]) -> str:
    """Return the SHA-256 (hex) of the computations of modules.

    Imports, docstrings and comments are left out: results stay valid when a module is moved or its
    documentation changes.
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
        """Remove a bare string."""
        bare = isinstance(node.value, ast.Constant) and isinstance(node.value.value, str)
        return None if bare else node
