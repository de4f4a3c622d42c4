"""Old and new values as HTML that reads at a glance: which words, tags and keys were added or removed."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from difflib import SequenceMatcher
from itertools import groupby, takewhile
from typing import Any, Final

from django.utils.html import format_html, format_html_join
from django.utils.safestring import SafeString

from ops.admin.values.json_display import format_inline, pretty_json
from ops.formatting import escape_control_chars

# Formats a text value of a field, such as a rarity as its badge.
Badge = Callable[[str], SafeString]
# Part of a text: "same", "old" (removed) or "new" (added), and its characters.
Segment = tuple[str, str]

# A JSON column's SQL NULL, and a key that an object does not have.
ABSENT: Final = object()

_MARKUP = {"same": "{}", "old": "<del>{}</del>", "new": "<ins>{}</ins>"}
_TOKEN = re.compile(r"\w+|\s+|[^\w\s]")
_SENTENCE = re.compile(r"[^.!?\n]*[.!?\n]+\s*|[^.!?\n]+")
# Comparing takes time in proportion to the product of the lengths.
_MAX_TOKEN_PAIRS, _MAX_COMPARED_LENGTH = 60_000, 50_000
# Below this share of equal words, two texts are shown side by side.
_MIN_SHARE_OF_EQUAL_WORDS = 0.3
# Longer texts are cut. "Show all" shows as much as a browser can take in a list.
_MAX_LINE_LENGTH = 80
_MAX_LENGTH, _MAX_CONTEXT, _MAX_SEGMENTS, _MAX_FULL_LENGTH = 400, 40, 20, 20_000


def format_change(old: Any, new: Any, badge: Badge | None = None) -> SafeString:
    """Format how a value changed. ``badge`` formats the values that are texts."""
    if isinstance(old, dict) and isinstance(new, dict):
        return _format_keys(_iter_changed_keys(old, new))
    if _is_text_list(old) and _is_text_list(new) and (old or new):
        return _format_list_change(old, new)
    if badge is None and isinstance(old, str) and isinstance(new, str):
        segments = diff_words(old, new)
        if any(mark == "same" for mark, _ in segments):
            return _format_segments(segments)
    if ABSENT in (old, new):  # Beside it, None is the null of JSON.
        old, new = ("null" if value is None else value for value in (old, new))
        return _format_marked(old, "old", badge) + _format_marked(new, "new", badge)
    return _format_arrow(_format_marked(old, "old", badge), _format_marked(new, "new", badge))


def format_value(value: Any, badge: Badge | None = None) -> SafeString:
    """Format a value that was neither added nor removed: of a new row, or of a deleted one."""
    return _format_marked(value, "same", badge)


def is_empty(value: Any) -> bool:
    return value is ABSENT or value is None or value in ("", [], {})


def diff_words(old: str, new: str) -> list[Segment]:
    """Return the parts of both texts in order; the old text and the new one if they share few words."""
    before, after = _TOKEN.findall(old), _TOKEN.findall(new)
    head = len(list(takewhile(lambda pair: pair[0] == pair[1], zip(before, after, strict=False))))
    rest = zip(reversed(before[head:]), reversed(after[head:]), strict=False)
    tail = len(list(takewhile(lambda pair: pair[0] == pair[1], rest)))
    middle_before, middle_after = before[head : len(before) - tail], after[head : len(after) - tail]
    segments = [
        ("same", "".join(before[:head])),
        *_diff_tokens(middle_before, middle_after),
        ("same", "".join(before[len(before) - tail :])),
    ]
    equal_words = [word for mark, text in segments if mark == "same" for word in re.findall(r"\w+", text)]
    words = max(len(re.findall(r"\w+", old)), len(re.findall(r"\w+", new)))
    if len(equal_words) < _MIN_SHARE_OF_EQUAL_WORDS * words or not equal_words:
        segments = [("old", old), ("new", new)]
    return _merge_neighbours([(mark, text) for mark, text in segments if text])


def _merge_neighbours(segments: list[Segment]) -> list[Segment]:
    groups = groupby(segments, key=lambda segment: segment[0])
    return [(mark, "".join(text for _, text in group)) for mark, group in groups]


def _diff_tokens(before: list[str], after: list[str]) -> Iterator[Segment]:
    if len(before) * len(after) > _MAX_TOKEN_PAIRS:
        yield from _diff_sentences("".join(before), "".join(after))
        return
    removed = added = ""
    for kind, start, end, new_start, new_end in SequenceMatcher(None, before, after, False).get_opcodes():
        old_text, new_text = "".join(before[start:end]), "".join(after[new_start:new_end])
        if kind == "equal" and not (old_text.isspace() and (removed or added)):
            yield from (("old", removed), ("new", added), ("same", old_text))
            removed = added = ""
        else:  # The space between two changed words belongs to both.
            removed, added = removed + old_text, added + new_text
    yield from (("old", removed), ("new", added))


def _diff_sentences(old: str, new: str) -> Iterator[Segment]:
    """Compare long texts by sentence and line, and by word only where few of them were replaced."""
    before, after = _SENTENCE.findall(old), _SENTENCE.findall(new)
    if len(before) * len(after) > _MAX_TOKEN_PAIRS or len(old) + len(new) > _MAX_COMPARED_LENGTH:
        yield from (("old", old), ("new", new))
        return
    matcher = SequenceMatcher(None, before, after, False)
    for kind, start, end, new_start, new_end in matcher.get_opcodes():
        old_text, new_text = "".join(before[start:end]), "".join(after[new_start:new_end])
        old_tokens, new_tokens = _TOKEN.findall(old_text), _TOKEN.findall(new_text)
        if kind == "equal":
            yield "same", old_text
        elif len(old_tokens) * len(new_tokens) > _MAX_TOKEN_PAIRS:
            yield from (("old", old_text), ("new", new_text))
        else:
            yield from _diff_tokens(old_tokens, new_tokens)


def _iter_changed_keys(old: dict[str, Any], new: dict[str, Any], path: str = "") -> Iterator[Any]:
    """Yield (path, old, new) of each key whose value differs in its text: 1.1 and 1.10 differ."""
    for key in dict.fromkeys([*old, *new]):
        before, after, name = old.get(key, ABSENT), new.get(key, ABSENT), f"{path}{key}"
        if isinstance(before, dict) and isinstance(after, dict):
            yield from _iter_changed_keys(before, after, f"{name} / ")
        elif ABSENT in (before, after) or pretty_json(before) != pretty_json(after):
            yield name, before, after


def _format_keys(changes: Iterable[tuple[str, Any, Any]]) -> SafeString:
    rows = ((escape_control_chars(name), format_change(old, new)) for name, old, new in changes)
    return format_html('<dl class="ops-keys">{}</dl>', format_html_join("", "<dt>{}</dt><dd>{}</dd>", rows))


def _format_arrow(old: SafeString, new: SafeString) -> SafeString:
    return format_html('{} <span class="ops-arrow">→</span> {}', old, new)


def _is_text_list(value: Any) -> bool:
    return isinstance(value, list) and all(isinstance(item, str) for item in value)


def _format_list_change(old: list[str], new: list[str]) -> SafeString:
    added, removed = Counter(new) - Counter(old), Counter(old) - Counter(new)
    kept = Counter(old) & Counter(new)
    if not (added or removed):  # only their order changed
        return _format_arrow(_format_chips([("same", old)]), _format_chips([("same", new)]))
    return _format_chips([("old", removed), ("new", added), ("same", kept)])


def _format_chips(groups: Iterable[tuple[str, Iterable[str]]]) -> SafeString:
    signs = {"same": "", "old": "\N{MINUS SIGN} ", "new": "+ "}
    chips = (
        (format_html(f'<span class="ops-chip">{_MARKUP[mark]}</span>', signs[mark] + _escape(item)),)
        for mark, items in groups
        for item in (items.elements() if isinstance(items, Counter) else items)
    )
    return format_html('<span class="ops-chips">{}</span>', format_html_join("", "{}", chips))


def _format_marked(value: Any, mark: str, badge: Badge | None) -> SafeString:
    if value is ABSENT:
        return SafeString()
    if is_empty(value):
        return format_html('<span class="ops-empty">{}</span>', "nothing" if value is None else "empty")
    if badge is not None and isinstance(value, str):
        return format_html(_MARKUP[mark], badge(value))
    if _is_text_list(value):
        return _format_chips([(mark, value)])
    text = format_inline(value)
    if not isinstance(value, str) and len(text) > _MAX_LINE_LENGTH:
        text = pretty_json(value)
    return _format_segments([(mark, text)])


def _format_segments(segments: list[Segment]) -> SafeString:
    if sum(len(text) for _, text in segments) <= _MAX_LENGTH:
        return format_html('<span class="ops-text">{}</span>', _join(segments))
    return format_html(
        '<div class="ops-cut"><div class="ops-text ops-short">{}</div>'
        '<details><summary>Show all</summary><div class="ops-text">{}</div></details></div>',
        _join(_shorten(segments)),
        _join(_limit(segments)),
    )


def _join(segments: Iterable[Segment]) -> SafeString:
    parts = ((format_html(_MARKUP[mark], _escape(text)),) for mark, text in segments)
    return format_html_join("", "{}", parts)


def _escape(text: str) -> str:
    """Make visible what a browser would not show: control characters, and line breaks alone."""
    return escape_control_chars(text.replace("\n", "↵\n") if text.isspace() else text)


def _shorten(segments: list[Segment]) -> Iterator[Segment]:
    """Keep what changed, with some characters around it."""
    last = min(len(segments), _MAX_SEGMENTS) - 1
    for position, (mark, text) in enumerate(segments[: last + 1]):
        if mark != "same" or len(segments) == 1:
            yield mark, _cut(text, _MAX_LENGTH // 2)
        elif len(text) <= 2 * _MAX_CONTEXT:
            yield mark, text
        else:
            head = text[:_MAX_CONTEXT] if position else ""
            tail = text[-_MAX_CONTEXT:] if position < len(segments) - 1 else ""
            yield mark, f"{head}…{tail}"
    if len(segments) > _MAX_SEGMENTS:
        yield "same", "…"


def _limit(segments: list[Segment]) -> Iterator[Segment]:
    left = _MAX_FULL_LENGTH
    for mark, text in segments:
        yield mark, text[:left]
        left -= len(text)
        if left < 0:
            total = sum(len(text) for _, text in segments)
            yield "same", f" … The first {_MAX_FULL_LENGTH:,} of {total:,} characters."
            return


def _cut(text: str, length: int) -> str:
    return text if len(text) <= length else f"{text[:length]}…"
