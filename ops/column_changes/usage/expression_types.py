"""Which model the rows of a Python expression belong to, as far as its source tells.

It follows names of models, annotations, assignments, loops, relations and the methods of querysets, and
nothing else: what it tells is right, and of the rest it tells nothing.
"""

from __future__ import annotations

import ast
from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import chain

from django.apps import apps
from django.core.exceptions import FieldDoesNotExist
from django.db.models import Model, QuerySet

AnyModel = type[Model]
Scope = ast.Module | ast.FunctionDef | ast.AsyncFunctionDef
# A value whose model is that of the name, or an annotation.
Binding = tuple[str, ast.expr | None, bool]

# Attributes of a model that are about its rows or its fields, besides its managers.
_KEEPERS = ("_meta", "_base_manager", "_default_manager", "get_field")
_SHORTCUTS = ("get_object_or_404", "get_list_or_404")


class ExpressionTypes:
    """The models of the expressions of a module; ``scope()`` enters the module and its functions."""

    def __init__(self, tree: ast.Module) -> None:
        self._models = _models_by_name(tree)
        self._variables: dict[str, AnyModel | None] = {}

    def get_model(self, name: str) -> AnyModel | None:
        """Return the model that the module calls by the name."""
        return self._models.get(name)

    def of(self, node: ast.AST | None) -> AnyModel | None:
        """Return the model of the expression's row or rows, or None."""
        match node:
            case ast.Name(id=name):
                return self._variables[name] if name in self._variables else self._models.get(name)
            case ast.Attribute(value=value, attr=attr):
                return _follow(self.of(value), attr)
            case ast.Call(func=ast.Name(id=name), args=[first, *_]) if name in _SHORTCUTS:
                return self.of(first)
            case ast.Call(func=func):
                return self.of(func)
            case ast.Subscript(value=value) | ast.Await(value=value) | ast.NamedExpr(value=value):
                return self.of(value)
        return None

    @contextmanager
    def scope(self, node: Scope) -> Iterator[None]:
        """Know the variables of the function, or of the module, within the block."""
        outer = self._variables
        bindings: dict[str, list[Binding]] = defaultdict(list)
        for binding in _list_bindings(node):
            bindings[binding[0]].append(binding)
        self._variables = {**outer, **dict.fromkeys(bindings)}
        # Assume what any binding of a name tells, then give up each name whose bindings do not agree on it.
        for name in [*bindings] * 3:
            self._variables[name] = self._variables[name] or next(
                filter(None, map(self._type_of_binding, bindings[name])), None
            )
        while wrong := [
            name
            for name, given in bindings.items()
            if self._variables[name] and {*map(self._type_of_binding, given)} != {self._variables[name]}
        ]:
            self._variables |= dict.fromkeys(wrong)
        yield
        self._variables = outer

    def _type_of_binding(self, binding: Binding) -> AnyModel | None:
        _, expression, is_annotation = binding
        return self._of_annotation(expression) if is_annotation else self.of(expression)

    def _of_annotation(self, annotation: ast.AST | None) -> AnyModel | None:
        """Return the model that is named in an annotation, as in ``QuerySet[Card]``, if it names one only."""
        if isinstance(annotation, ast.Constant) and isinstance(annotation.value, str):
            try:
                annotation = ast.parse(annotation.value, mode="eval")
            except SyntaxError:
                return None
        names = {node.id for node in ast.walk(annotation) if isinstance(node, ast.Name)} if annotation else ()
        models = {model for name in names if (model := self._models.get(name))}
        return models.pop() if len(models) == 1 else None


def _models_by_name(tree: ast.Module) -> dict[str, AnyModel]:
    """Return the models by the name of their class, or the one that an import gives it.

    Of two models with one name none can be told.
    """
    models: dict[str, list[AnyModel]] = defaultdict(list)
    for model in apps.get_models():
        models[model.__name__].append(model)
    found = {name: same[0] for name, same in models.items() if len(same) == 1}
    aliases = chain.from_iterable(node.names for node in ast.walk(tree) if isinstance(node, ast.ImportFrom))
    return found | {
        alias.asname: found[alias.name] for alias in aliases if alias.asname and alias.name in found
    }


def _follow(model: AnyModel | None, name: str) -> AnyModel | None:
    """Return the model of an attribute of a model, its rows, their managers or querysets."""
    if model is None:
        return None
    try:
        related = model._meta.get_field(name).related_model
        return related if isinstance(related, type) else None
    except FieldDoesNotExist:
        pass
    for relation in model._meta.related_objects:
        if relation.get_accessor_name() == name:
            return relation.related_model
    if name in _KEEPERS or hasattr(QuerySet, name):
        return model
    return model if name in {manager.name for manager in model._meta.managers} else None


def _list_bindings(scope: Scope) -> Iterator[Binding]:
    """Yield what binds a name in the scope, with None where it cannot be told to what."""
    known: set[ast.AST] = set()
    nodes = list(_walk_scope(scope))
    if not isinstance(scope, ast.Module):
        yield from _list_arguments(scope.args)
    for node in nodes:
        match node:
            case ast.Assign(targets=[ast.Name() as target], value=value):
                yield target.id, value, False
            case ast.NamedExpr(target=target, value=value):
                yield target.id, value, False
            case ast.AnnAssign(target=ast.Name() as target, annotation=annotation):
                yield target.id, annotation, True
            case (
                ast.For(target=ast.Name() as target, iter=rows)
                | ast.AsyncFor(target=ast.Name() as target, iter=rows)
                | ast.comprehension(target=ast.Name() as target, iter=rows)
            ):
                yield target.id, rows, False
            case ast.Lambda(args=arguments):
                yield from _list_arguments(arguments)
                continue
            case (
                ast.ExceptHandler(name=str(name))
                | ast.MatchAs(name=str(name))
                | ast.MatchStar(name=str(name))
            ):
                yield name, None, False
                continue
            case _:
                continue
        known.add(target)
    for node in nodes:
        if isinstance(node, ast.Name) and not isinstance(node.ctx, ast.Load) and node not in known:
            yield node.id, None, False


def _list_arguments(arguments: ast.arguments) -> Iterator[Binding]:
    given = (
        *arguments.posonlyargs,
        *arguments.args,
        *arguments.kwonlyargs,
        arguments.vararg,
        arguments.kwarg,
    )
    for argument in filter(None, given):
        yield argument.arg, argument.annotation, True


def _walk_scope(scope: ast.AST) -> Iterator[ast.AST]:
    """Yield the nodes of the scope without those of the functions and classes in it."""
    for node in ast.iter_child_nodes(scope):
        if not isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            yield node
            yield from _walk_scope(node)
