"""Read SQL far enough to tell what a statement locks: quotes, comments and brackets are respected."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

_TOKEN = re.compile(
    r"""(?P<skipped>(?:\s+|--[^\n]*|/\*.*?\*/)+)
    |[eE]'(?:[^'\\]|''|\\.)*' | '(?:[^']|'')*' | \$(?P<tag>\w*)\$.*?\$(?P=tag)\$
    |"(?:[^"]|"")*" | [^\W\d][\w$]* | .""",
    re.VERBOSE | re.DOTALL,
)
_WORD = re.compile(r"[^\W\d][\w$]*\Z")


@dataclass(frozen=True)
class Token:
    """A word, a quoted name, a literal or a single character, and the brackets around it."""

    text: str
    start: int
    end: int
    depth: int

    @property
    def keyword(self) -> str:
        """The word in capitals; empty for anything else."""
        return self.text.upper() if _WORD.match(self.text) else ""

    @property
    def is_name(self) -> bool:
        return self.text.startswith('"') or bool(self.keyword)


def tokenize(sql: str) -> list[Token]:
    """Return the tokens without comments; a bracket has the depth of what surrounds it.

    The body of a function between BEGIN ATOMIC and its END counts as if it were in brackets.
    """
    tokens: list[Token] = []
    depth = blocks = 0
    for match in _TOKEN.finditer(sql):
        if match["skipped"] is not None:
            continue
        depth -= match[0] in (")", "]")
        token = Token(match[0], *match.span(), depth)
        depth += match[0] in ("(", "[")
        is_begin = token.keyword == "ATOMIC" and bool(tokens) and tokens[-1].keyword == "BEGIN"
        if is_begin or (blocks and token.keyword == "CASE"):
            blocks, depth = blocks + 1, depth + 1
        elif blocks and token.keyword == "END":
            blocks, depth = blocks - 1, depth - 1
        tokens.append(token)
    return tokens


def split_top_level(sql: str, separator: str) -> list[str]:
    """Split at a separator outside of brackets, quotes and comments; leave out what is empty."""
    parts, start = [], 0
    for token in tokenize(sql):
        if token.text == separator and token.depth == 0:
            parts.append(sql[start : token.start])
            start = token.end
    return [part.strip() for part in (*parts, sql[start:]) if tokenize(part)]


def abbreviate(sql: str) -> list[str]:
    """Return each statement as one line, without comments and the bodies of functions."""
    return [_TOKEN.sub(_shorten, statement).strip() for statement in split_top_level(sql, ";")]


def _shorten(match: re.Match[str]) -> str:
    if match["skipped"] is not None:
        return " "
    return "$$ … $$" if match["tag"] is not None else match[0]


class Reader:
    """Read a statement from left to right."""

    def __init__(self, sql: str) -> None:
        self.sql = sql.strip().rstrip(";").rstrip()
        self.tokens = tokenize(self.sql)
        self.position = 0

    def accept(self, *keywords: str) -> bool:
        """Skip these words if they are next."""
        found = [token.keyword for token in self.tokens[self.position : self.position + len(keywords)]]
        if found != list(keywords):
            return False
        self.position += len(keywords)
        return True

    def accept_any(self, *phrases: str) -> str:
        """Skip the first of the phrases that is next, and return it; empty if none is."""
        return next((phrase for phrase in phrases if self.accept(*phrase.split())), "")

    def name(self) -> str:
        """Skip a name that may have a schema, and return it as it is written; empty if none is next."""
        start = self.position
        while self.position < len(self.tokens) and self.tokens[self.position].is_name:
            self.position += 1
            if not self._skip("."):
                break
        return self._text(start)

    def group(self) -> str:
        """Skip a pair of brackets and what is in them, and return it; empty if none is next."""
        if self.peek() != "(":
            return ""
        start, depth = self.position, self.tokens[self.position].depth
        self.position += 1
        while self.position < len(self.tokens) and self.tokens[self.position].depth > depth:
            self.position += 1
        self.position += 1
        return self._text(start)

    def peek(self) -> str:
        """Return the next token as it is written, a word in capitals."""
        if self.position >= len(self.tokens):
            return ""
        token = self.tokens[self.position]
        return token.keyword or token.text

    def rest(self) -> str:
        """Return what is left, unread."""
        return self.sql[self.tokens[self.position].start :] if self.position < len(self.tokens) else ""

    def read_up_to_here(self) -> str:
        """Return what has been read."""
        return self.sql[: self.tokens[self.position - 1].end] if self.position else ""

    def keywords(self) -> Iterator[str]:
        """Yield the words outside of brackets that are left, unread."""
        for token in self.tokens[self.position :]:
            if token.depth == 0 and token.keyword:
                yield token.keyword

    def _skip(self, text: str) -> bool:
        is_next = self.peek() == text
        self.position += is_next
        return is_next

    def _text(self, start: int) -> str:
        if start == self.position:
            return ""
        return self.sql[self.tokens[start].start : self.tokens[self.position - 1].end]
