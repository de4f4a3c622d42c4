"""Where the source of a Python module names a field.

A name counts wherever it could be that of the field: ``.rarity``, ``rarity=``, ``rarity__in=``,
``"-rarity"``, ``"card__rarity"``, and SQL that holds the column's name. It does not count where the source
tells that it is another model's: see expression_types.py.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import cached_property

from django.core.exceptions import FieldDoesNotExist

from ops.column_changes.usage.expression_types import AnyModel, ExpressionTypes

# Their texts are shown to people.
_LABELS = {
    "description", "empty_value_display", "error_messages", "help", "help_text", "label", "short_description",
    "verbose_name", "verbose_name_plural",
}  # fmt: skip
# Of an ordering and of an admin's search_fields.
_PREFIXES = "+?^=@-"
# What of Django takes lookups as keywords; the keywords of its other functions and classes are their own.
_TAKES_LOOKUPS = {"Q", "When", "get_list_or_404", "get_object_or_404"}
# Functions and methods that take SQL.
_TAKES_SQL = {"RawSQL", "RunSQL", "SQL", "copy", "execute", "executemany", "extra", "fetch_all", "raw"}
# In small letters a statement has to begin with what no sentence begins with.
_LOOKS_LIKE_SQL = re.compile(
    r"""
    ^\s*(?: select\b.*\bfrom\b | with\s+\w+\s+as\b | insert\s+into\b | update\s+\S+\s+set\b
        | delete\s+from\b | merge\s+into\b | copy\s*\S*\s*\( | alter\s+table\b
        | create\s+(?: or\s+replace\s+ | unique\s+ | materialized\s+ )?
            (?: index | view | table | function | trigger )\b )
    | \b(?: SELECT | FROM | WHERE | JOIN | RETURNING | ORDER\s+BY | GROUP\s+BY | PARTITION\s+BY
        | INSERT\s+INTO | UPDATE | ALTER\s+TABLE )\b
    | \b(?: NEW | OLD )\.\w
    """,
    re.VERBOSE | re.DOTALL,
)


@dataclass(frozen=True)
class Target:
    """The field that is looked for: its model, what Python calls it, and its column."""

    model: AnyModel
    names: frozenset[str]
    column: str
    # The class that declares the change: its module and its name.
    declared_by: tuple[str, str]

    @cached_property
    def word(self) -> re.Pattern[str]:
        """The column's name as a whole word of SQL."""
        return re.compile(rf"(?<![\w$]){re.escape(self.column)}(?![\w$])", re.IGNORECASE)

    def is_of(self, model: AnyModel) -> bool:
        """Whether the model, or one that it inherits from or that inherits from it, has the field."""
        return issubclass(model, self.model) or issubclass(self.model, model)

    def is_named_by(self, lookup: str, model: AnyModel | None) -> bool:
        """Whether a lookup, as ``-card__rarity__in``, names the field, or could if its model is unknown."""
        parts = lookup.lstrip(_PREFIXES).split("__")
        if not self.names & {*parts}:
            return False
        for part in parts:
            if model is None:
                return True
            if part in self.names and self.is_of(model):
                return True
            try:
                field = model._meta.get_field(part)
            except FieldDoesNotExist:
                return True
            if not field.is_relation:
                return False
            related = field.related_model
            model = related if isinstance(related, type) else None
        return False


@dataclass(frozen=True)
class Reference:
    """The first and last line of what names the field, and how it does."""

    line: int
    last_line: int
    name: str


@dataclass(frozen=True)
class _Place:
    """Where the finder is. ``model``: that of the names that are given to the call or class it is in."""

    model: AnyModel | None = None
    in_class_body: bool = False
    in_sql: bool = False
    class_name: str | None = None


def find_in_python(text: str, module: str, target: Target) -> list[Reference]:
    """Return the references in a module's source. Raises SyntaxError."""
    tree = ast.parse(text)
    finder = _Finder(tree, text, module, target)
    with finder.types.scope(tree):
        finder.visit(tree)
    return finder.found


class _Finder(ast.NodeVisitor):
    def __init__(self, tree: ast.Module, text: str, module: str, target: Target) -> None:
        self.types = ExpressionTypes(tree)
        self.found: list[Reference] = []
        self._lines = text.splitlines()
        self._module = module
        self._target = target
        self._family = _family_names(target.model)
        self._parameters = _parameters_by_name(tree)
        self._of_django = _list_imports_of_django(tree)
        self._place = _Place()

    @contextmanager
    def _at(self, place: _Place) -> Iterator[None]:
        before, self._place = self._place, place
        yield
        self._place = before

    def _add(self, node: ast.expr | ast.keyword | ast.pattern, name: str, line: int | None = None) -> None:
        self.found.append(Reference(line or node.lineno, node.end_lineno or node.lineno, name))

    def visit_ClassDef(self, node: ast.ClassDef) -> None:
        if (self._module, node.name) == self._target.declared_by:
            return
        model = self._model_of_class(node)
        inside = _Place(model, in_class_body=True, class_name=node.name)
        with self._at(replace(inside, class_name=self._place.class_name)):
            self._visit_all(node.decorator_list, node.bases, node.keywords)
        with self._at(inside):
            self._visit_all(node.body)

    def _model_of_class(self, node: ast.ClassDef) -> AnyModel | None:
        """Return the model whose fields the class's attributes name."""
        own = self.types.get_model(node.name)
        if own and own.__module__ == self._module:
            return own
        for decorator in node.decorator_list:  # @admin.register(Card)
            if (
                isinstance(decorator, ast.Call)
                and decorator.args
                and (model := self.types.of(decorator.args[0]))
            ):
                return model
        for statement in node.body:
            match statement:
                case ast.Assign(targets=[ast.Name(id="model")], value=value):
                    return self.types.of(value)
        return self._place.model if node.name == "Meta" else None

    def visit_FunctionDef(self, node: ast.FunctionDef | ast.AsyncFunctionDef) -> None:
        self._visit_all(node.decorator_list)
        with self._at(_Place(class_name=self._place.class_name)):
            self.visit(node.args)
            with self.types.scope(node):
                self._visit_all(node.body)

    visit_AsyncFunctionDef = visit_FunctionDef  # noqa: N815

    def _visit_all(self, *groups: list[ast.expr] | list[ast.stmt] | list[ast.keyword]) -> None:
        for group in groups:
            for node in group:
                self.visit(node)

    def visit_Expr(self, node: ast.Expr) -> None:
        if not isinstance(node.value, ast.Constant):  # a docstring
            self.visit(node.value)

    def visit_Attribute(self, node: ast.Attribute) -> None:
        if node.attr in self._target.names and self._may_be_ours(node.value):
            self._add(node, node.attr, node.end_lineno)
        self.visit(node.value)

    def _may_be_ours(self, receiver: ast.expr) -> bool:
        match receiver:
            case ast.Name(id="self" | "cls"):
                return self._place.class_name is None or self._place.class_name in self._family
        model = self.types.of(receiver)
        return model is None or self._target.is_of(model)

    def visit_Call(self, node: ast.Call) -> None:
        self.visit(node.func)
        callee = getattr(node.func, "attr", getattr(node.func, "id", ""))
        model = self.types.of(node.func) or self._model_among(node)
        # An expression, as F or Concat, or in a class's body a function that makes one, is of the same model.
        if model is None and (callee[:1].isupper() or self._place.in_class_body) and callee != "OuterRef":
            model = self._place.model
        in_sql = self._place.in_sql or callee in _TAKES_SQL
        with self._at(replace(self._place, model=model, in_sql=in_sql)):
            self._visit_all(node.args)
            for keyword in node.keywords:
                name = keyword.arg
                if name and not self._is_parameter(node.func, name) and self._target.is_named_by(name, model):
                    self._add(keyword, name)
                if name not in _LABELS or not isinstance(keyword.value, ast.Constant | ast.JoinedStr):
                    self.visit(keyword.value)

    def _model_among(self, call: ast.Call) -> AnyModel | None:
        """Return the model that is given to the call, if one is: ``RowSchema(model=Card, key="card_id")``."""
        values = [*call.args, *(keyword.value for keyword in call.keywords)]
        given = {self.types.get_model(value.id) for value in values if isinstance(value, ast.Name)} - {None}
        return given.pop() if len(given) == 1 else None

    def _is_parameter(self, function: ast.expr, name: str) -> bool:
        """Whether the keyword is known to be a parameter of the function's own, and no field."""
        match function:
            case ast.Name(id=callee) | ast.Attribute(value=ast.Name(id="self" | "cls"), attr=callee):
                if name in self._parameters.get(callee, ()):
                    return True
            case ast.Attribute(attr=callee):
                pass
            case _:
                return False
        root = function.value if isinstance(function, ast.Attribute) else function
        return isinstance(root, ast.Name) and root.id in self._of_django and callee not in _TAKES_LOOKUPS

    def visit_Subscript(self, node: ast.Subscript) -> None:
        self.visit(node.value)
        with self._at(replace(self._place, model=self.types.of(node.value))):
            self.visit(node.slice)

    def visit_MatchClass(self, node: ast.MatchClass) -> None:
        for name in self._target.names & {*node.kwd_attrs}:
            if self._may_be_ours(node.cls):
                self._add(node, name)
        self.generic_visit(node)

    def visit_Constant(self, node: ast.Constant) -> None:
        if isinstance(node.value, str):
            self._check_text(node, node.value)

    def visit_JoinedStr(self, node: ast.JoinedStr) -> None:
        parts = [part.value if isinstance(part, ast.Constant) else "x" for part in node.values]
        self._check_text(node, "".join(map(str, parts)))
        for part in node.values:
            if not isinstance(part, ast.Constant):
                self.visit(part)

    def _check_text(self, node: ast.expr, text: str) -> None:
        if re.fullmatch(rf"[{_PREFIXES}]?\w+", text):
            if self._target.is_named_by(text, self._place.model):
                self._add(node, text)
        elif self._target.word.search(text) and (self._place.in_sql or _LOOKS_LIKE_SQL.search(text)):
            self._add(node, self._target.column, self._line_of_word(node))

    def _line_of_word(self, node: ast.expr) -> int:
        lines = range(node.lineno, (node.end_lineno or node.lineno) + 1)
        return next((line for line in lines if self._target.word.search(self._lines[line - 1])), node.lineno)


def _family_names(model: AnyModel) -> set[str]:
    """Return the names of the classes whose ``self`` may be a row of the model."""
    below = [model]
    for each in below:
        below += each.__subclasses__()
    return {each.__name__ for each in (*model.__mro__, *below)}


def _list_imports_of_django(tree: ast.Module) -> set[str]:
    imports = (node for node in ast.walk(tree) if isinstance(node, ast.ImportFrom))
    return {
        alias.asname or alias.name
        for node in imports
        for alias in node.names
        if (node.module or "").partition(".")[0] == "django"
    }


def _parameters_by_name(tree: ast.Module) -> dict[str, set[str]]:
    """Return the parameters of the module's own functions: ``paint(rarity=...)`` names one, and no field."""
    return {
        node.name: {argument.arg for argument in (*node.args.args, *node.args.kwonlyargs)}
        for node in ast.walk(tree)
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
    }
