"""Values from the ``repr`` of Python objects: ``Message(role=<Role.USER: 'user'>, text='Hi')``.

Some frameworks write values without a JSON form this way. Objects become objects of their named fields.
"""

from __future__ import annotations

import ast
import math
import re
from typing import Any

from otel_posthog._model import Json
from otel_posthog.conventions._attributes import ConversionError, to_structure
from otel_posthog.conventions._json import loads

# Strings stay as they are (an open one reaches to the end); enum members are their value; <function …> has none.
_TOKEN = re.compile(
    r"""('(?:[^'\\]|\\.)*(?:'|\\?\Z)|"(?:[^"\\]|\\.)*(?:"|\\?\Z))"""
    r"""|<[\w.]+: ('(?:[^'\\]|\\.)*'|"(?:[^"\\]|\\.)*"|-?\d+)>"""
    r"""|<[^<>'"]*(?:<[^<>'"]*>[^<>'"]*){0,4}>""",
    re.DOTALL,
)
_MOST = 100_000  # characters; parsing deep nesting is slow and exhausts its stack
_BARE_OBJECT = re.compile(r"<[\w.]+ object at 0x[0-9a-fA-F]+>")


def is_bare_object(value: Any) -> bool:
    """Whether a text is the ``repr`` of an object that shows nothing of itself."""
    return isinstance(value, str) and _BARE_OBJECT.fullmatch(value) is not None


def parse_literal(value: Any) -> Json:
    """An object or a list, as JSON or as the ``repr`` of Python values (LiteLLM, LangSmith)."""
    if isinstance(value, str) and value[:1] in ("{", "[", "("):
        try:
            return loads(value)
        except ValueError:
            return repr_value(value)
    return to_structure(value)


def repr_value(text: str) -> Json:
    """The value of a ``repr``."""
    if len(text) > _MOST:
        raise ConversionError
    try:
        return _value(ast.parse(_TOKEN.sub(lambda found: found[1] or found[2] or "None", text), mode="eval").body)
    except (SyntaxError, ValueError, MemoryError, RecursionError):
        raise ConversionError from None


def _value(node: ast.expr) -> Json:
    if isinstance(node, ast.Constant):
        return _plain(node.value)
    if isinstance(node, (ast.List, ast.Tuple, ast.Set)):
        return [_value(item) for item in node.elts]
    if isinstance(node, ast.Dict):
        pairs = zip(node.keys, node.values, strict=True)
        return {str(_value(key)): _value(item) for key, item in pairs if key is not None}
    if isinstance(node, ast.Call):
        return {field.arg: _value(field.value) for field in node.keywords if field.arg is not None}
    if isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.USub) and isinstance(node.operand, ast.Constant):
        value = node.operand.value
        return -value if isinstance(value, (int, float)) else None
    if isinstance(node, (ast.Name, ast.Attribute)):  # nan, inf, an enum without a value
        return None
    raise ConversionError


def _plain(value: Any) -> Json:
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value if value is None or isinstance(value, (str, int, float)) else str(value)
