"""Read the definition of a column: what PostgreSQL adds at once, and what makes it look at every row."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

from ops.migrate.sql_reader import Token, tokenize

_STARTS = ("CONSTRAINT", "UNIQUE", "CHECK", "REFERENCES", "PRIMARY", "DEFAULT", "COLLATE", "GENERATED")


@dataclass
class ColumnParts:
    """``definition``: the type and what is quick. ``unique`` is what follows the word, None without it."""

    definition: str = ""
    unique: str | None = None
    checks: list[tuple[str, str]] = field(default_factory=list)
    references: str = ""
    references_name: str = ""
    is_primary_key: bool = False
    is_generated: bool = False
    has_default: bool = False


def split_column(definition: str) -> ColumnParts:
    """Split what follows the name of a column in ADD COLUMN."""
    parts, quick, name = ColumnParts(), [], ""
    for segment in _segments(definition):
        words = [token.keyword for token in tokenize(segment)]
        first = words[0]
        if first == "CONSTRAINT":
            name = segment[len("CONSTRAINT") :].strip()
            continue
        if first == "UNIQUE":
            rest = segment[len("UNIQUE") :].rstrip()
            parts.unique = rest
        elif first == "CHECK":
            parts.checks.append((segment.strip(), name))
        elif first == "REFERENCES":
            parts.references, parts.references_name = segment.strip(), name
        else:
            parts.is_primary_key |= first == "PRIMARY"
            parts.is_generated |= first == "GENERATED"
            parts.has_default |= first == "DEFAULT" and words[1:2] != ["NULL"]
            quick.append(f"CONSTRAINT {name} {segment.strip()}" if name else segment.strip())
        name = ""
    parts.definition = " ".join(quick)
    return parts


def _segments(definition: str) -> Iterator[str]:
    tokens = tokenize(definition)
    starts = [index for index in range(1, len(tokens)) if _starts(tokens, index)]
    for start, end in zip([0, *starts], [*starts, len(tokens)], strict=True):
        yield definition[tokens[start].start : tokens[end - 1].end]


def _starts(tokens: list[Token], index: int) -> bool:
    """Whether another part begins here: ``ON DELETE SET NULL`` and ``NOT DEFERRABLE`` go on."""
    token, before = tokens[index], tokens[index - 1].keyword
    after = tokens[index + 1].keyword if index + 1 < len(tokens) else ""
    if token.depth:
        return False
    if token.keyword == "NOT":
        return after == "NULL"
    if token.keyword == "NULL":
        return before not in ("SET", "NOT", "DEFAULT", "IS")
    if token.keyword == "DEFAULT":
        return before not in ("SET", "BY")
    return token.keyword in _STARTS
