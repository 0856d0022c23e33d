"""Every cause slug that the source can produce, read from its syntax trees."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

from doorward.model import HoldState

# What formatted causes can become; a new one must be listed here.
_FORMATTED = {
    "hold-{hold.state}": [f"hold-{state}" for state in HoldState],
    "{part}-character": ["path-character", "query-character"],
    "http-{status_code}": ["http-NNN"],
}


_SLUG = re.compile(r"[a-z0-9]+(-[a-z0-9]+|-NNN)*")
_ENTRY_MAKERS = ("NewEntry", "add")


def causes_in(source: Path) -> dict[str, set[str]]:
    """Slugs by the modules in which they stand."""
    trees = {file: ast.parse(file.read_text()) for file in sorted(source.rglob("*.py"))}
    positions = dict(position for tree in trees.values() for position in _positions(tree))
    found: dict[str, set[str]] = {}
    for file, tree in trees.items():
        for node in ast.walk(tree):
            for value in _values(node, positions):
                for slug in _slugs(value):
                    found.setdefault(slug, set()).add(str(file.relative_to(source)))
    return found


def _positions(tree: ast.Module) -> Iterator[tuple[str, int]]:
    """Where callables of the tree take their cause, if by position."""
    for node in ast.walk(tree):
        match node:
            case ast.ClassDef(name=name):
                inner = [each for each in node.body if isinstance(each, ast.FunctionDef) and each.name == "__init__"]
                yield from ((name, at) for each in inner for at in _position(each))
            case ast.FunctionDef(name=name) | ast.AsyncFunctionDef(name=name) if name != "__init__":
                yield from ((name, at) for at in _position(node))


def _position(function: ast.FunctionDef | ast.AsyncFunctionDef) -> list[int]:
    names = [each.arg for each in function.args.args if each.arg != "self"]
    return [names.index("cause")] if "cause" in names else []


def _values(node: ast.AST, positions: dict[str, int]) -> Iterator[ast.expr]:
    match node:
        case ast.Call(func=ast.Name(id=name) | ast.Attribute(attr=name)):
            yield from (each.value for each in node.keywords if each.arg == "cause")
            if name in positions and len(node.args) > positions[name]:
                yield node.args[positions[name]]
            for fields in node.args:  # of an entry
                if name in _ENTRY_MAKERS and isinstance(fields, ast.Dict):
                    named = zip(fields.keys, fields.values, strict=True)
                    yield from (each for key, each in named if isinstance(key, ast.Constant) and key.value == "cause")
        case ast.Assign(targets=[ast.Name(id="cause")], value=value):
            yield value
        case ast.FunctionDef(args=ast.arguments(kwonlyargs=names, kw_defaults=defaults)):
            yield from (value for name, value in zip(names, defaults, strict=True) if name.arg == "cause" and value)


def _slugs(value: ast.expr) -> Iterator[str]:
    match value:
        case ast.Constant(value=str(slug)) if _SLUG.fullmatch(slug):
            yield slug
        case ast.IfExp(body=body, orelse=orelse):
            yield from (*_slugs(body), *_slugs(orelse))
        case ast.JoinedStr():
            yield from _FORMATTED[ast.unparse(value)[2:-1]]
