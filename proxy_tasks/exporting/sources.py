"""Sources: classes and functions, with all that they need out of our packages, gathered as the text of one module."""

import ast
import inspect
import sys
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from importlib.util import resolve_name
from typing import Any, TypeAlias

_Definition: TypeAlias = ast.FunctionDef | ast.ClassDef | ast.Assign | ast.AnnAssign


@dataclass(frozen=True, slots=True)
class _Module:
    """The top level of a module: what it defines, and what it imports."""

    lines: list[str]
    definitions: Mapping[str, _Definition]
    imports: Mapping[str, tuple[str, str | None]]


def gathered_source(
    roots: Collection[Callable[..., Any]], packages: Collection[str], replaced: Mapping[str, str]
) -> str:
    """Return the text of a module that defines the roots and everything of ours that they use, word for word.

    Imports of other packages stand at its top.

    Args:
        roots: classes and functions.
        packages: the top-level packages whose text is taken; what is imported from others is imported there too.
        replaced: text to take for some functions in place of their own, by name.

    Raises:
        ValueError: two modules define different things of one name, or one is imported by another name.
    """
    gathering = _Gathering(packages, replaced)
    for root in roots:
        gathering.add(root.__module__, root.__name__)
    return gathering.text()


class _Gathering:
    """The definitions that have been gathered so far, and the imports that they need."""

    def __init__(self, packages: Collection[str], replaced: Mapping[str, str]) -> None:
        self._packages, self._replaced = packages, replaced
        self._modules: dict[str, _Module] = {}
        self._owners: dict[str, str] = {}
        self._texts: dict[tuple[str, int], str] = {}
        self._imports: set[str] = set()

    def text(self) -> str:
        """Return the module: each definition after those that it needs, as in the modules that they are from."""
        order: list[str] = []
        for name in dict.fromkeys(name for name, _ in self._texts):
            self._append_after_imports(name, order)

        places = sorted(self._texts, key=lambda place: (order.index(place[0]), place[1]))
        definitions = "\n\n\n".join(self._texts[place] for place in places)
        return "\n".join(sorted(self._imports)) + f"\n\n\n{definitions}\n"

    def add(self, module_name: str, name: str) -> None:
        """Add what a module knows by a name, and all that it needs; nothing where the module does not know it."""
        module = self._module(module_name)

        if name in module.imports:
            self._add_imported(*module.imports[name], name)
        elif name in module.definitions:
            self._add_defined(module_name, module, name)

    def _add_imported(self, source: str, original: str | None, name: str) -> None:
        if original is None and name == source.partition(".")[0]:
            # As `import torch.nn.functional`, which gives the name of its first part.
            self._claim(name, f"import {name}")
            self._imports.add(f"import {source}")
        elif source.partition(".")[0] not in self._packages:
            line = f"import {source}" if original is None else f"from {source} import {original}"
            self._claim(name, line if name in (source, original) else f"{line} as {name}")
            self._imports.add(self._owners[name])
        elif name == original:
            self.add(source, name)
        else:
            raise ValueError(f"{source} is imported as {name}: one file can hold what it defines by its own name alone")

    def _add_defined(self, module_name: str, module: _Module, name: str) -> None:
        definition = module.definitions[name]
        if (module_name, definition.lineno) in self._texts or not self._claim(name, module_name):
            return

        text = self._replaced.get(name) or _text(module, definition)
        used = {node.id for node in ast.walk(ast.parse(text)) if isinstance(node, ast.Name)}
        # Sorted, so that the same network is the same file.
        for other in sorted(used - {name}):
            self.add(module_name, other)
        self._texts[module_name, definition.lineno] = text

    def _append_after_imports(self, name: str, order: list[str]) -> None:
        """Append a module to an order, and before it the modules of ours that it imports."""
        if name in order:
            return
        for source, _ in self._module(name).imports.values():
            if source.partition(".")[0] in self._packages:
                self._append_after_imports(source, order)
        order.append(name)

    def _module(self, name: str) -> _Module:
        if name not in self._modules:
            self._modules[name] = _read(name)
        return self._modules[name]

    def _claim(self, name: str, owner: str) -> bool:
        """Give a name to the module or the import that it is from; return whether it is new.

        Raises:
            ValueError: another one has it.
        """
        is_new = name not in self._owners
        known = self._owners.setdefault(name, owner)
        if known != owner:
            raise ValueError(f"{name} is both of {known} and of {owner}: one file cannot hold both")
        return is_new


def _read(name: str) -> _Module:
    """Return the top level of a module that has been imported."""
    text = inspect.getsource(sys.modules[name])
    definitions: dict[str, _Definition] = {}
    imports: dict[str, tuple[str, str | None]] = {}
    for node in ast.parse(text).body:
        match node:
            case ast.FunctionDef() | ast.ClassDef():
                definitions[node.name] = node
            case ast.Assign() | ast.AnnAssign():
                definitions |= dict.fromkeys(_names(node), node)
            case ast.Import():
                imports |= {alias.asname or alias.name.partition(".")[0]: (alias.name, None) for alias in node.names}
            case ast.ImportFrom(module=str(source), level=level):
                source = resolve_name("." * level + source, sys.modules[name].__package__)
                imports |= {alias.asname or alias.name: (source, alias.name) for alias in node.names}
    return _Module(text.splitlines(), definitions, imports)


def _names(definition: _Definition) -> list[str]:
    """Return the names that a definition gives."""
    match definition:
        case ast.FunctionDef() | ast.ClassDef():
            return [definition.name]
        case ast.AnnAssign():
            targets: list[ast.expr] = [definition.target]
        case ast.Assign():
            targets = definition.targets
    return [node.id for target in targets for node in ast.walk(target) if isinstance(node, ast.Name)]


def _text(module: _Module, definition: _Definition) -> str:
    """Return the lines of a definition, with its decorators and with the comment right above it."""
    decorators = definition.decorator_list if isinstance(definition, ast.FunctionDef | ast.ClassDef) else []
    first = min([definition.lineno, *(decorator.lineno for decorator in decorators)]) - 1
    while first > 0 and module.lines[first - 1].startswith("#"):
        first -= 1
    return "\n".join(module.lines[first : definition.end_lineno])
