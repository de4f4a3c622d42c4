"""How a changed value is shown: only what changed is marked, and every digit and character is kept."""

import re
from decimal import Decimal

import pytest

from ops.admin.values.json_display import parse_json_exactly
from ops.admin.values.value_diff import ABSENT, diff_words, format_change, format_value

DESCRIPTION = " ".join(f"Sentence {n} tells of the bird." for n in range(60))


def text_of(html: str) -> str:
    """Replace the markup: removed text is in [-...-], added text in {+...+}."""
    html = html.replace("<del>", "[-").replace("</del>", "-]").replace("<ins>", "{+").replace("</ins>", "+}")
    return " ".join(re.sub(r"<[^>]+>", " ", html).split())


@pytest.mark.parametrize(
    ("old", "new", "shown"),
    [
        ("Cóndor real", "Cóndor andino real", "Cóndor {+andino +}real"),
        ("It rests on high cliffs.", "It rests on low cliffs.", "It rests on [-high-]{+low+} cliffs."),
        ("one two three four", "one 2 3 four", "one [-two three-]{+2 3+} four"),
        ("common", "rare", "[-common-] → {+rare+}"),
        ("a b", "", "[-a b-] → empty"),
        (None, "common", "nothing → {+common+}"),
        (1, Decimal("2"), "[-1-] → {+2+}"),
        (False, True, "[-false-] → {+true+}"),
        ("a word", "a\nword", "a[- -]{+↵ +}word"),
        ("a word\r\n", "a word\n", "a word[-\\u000d↵ -]{+↵ +}"),
    ],
)
def test_only_the_words_that_changed_are_marked(old: object, new: object, shown: str) -> None:
    assert text_of(format_change(old, new)) == shown


def test_tags_are_shown_as_added_removed_and_kept() -> None:
    html = format_change(["andes", "vulture"], ["andes", "symbol"])
    assert text_of(html) == "[-\N{MINUS SIGN} vulture-] {++ symbol+} andes"
    assert text_of(format_change(["a", "b"], ["b", "a"])) == "a b → b a"


def test_json_is_compared_key_by_key_by_the_text_of_its_numbers() -> None:
    old = '{"n": 1.10, "same": 0.12345678901234567890123, "deep": {"a": 1, "b": [1, 2]}, "gone": null}'
    new = '{"n": 1.1, "same": 0.12345678901234567890123, "deep": {"a": 1, "b": [1, 3]}, "added": "x"}'
    html = format_change(parse_json_exactly(old), parse_json_exactly(new))
    keys = dict(zip(re.findall("<dt>(.*?)</dt>", html), re.findall("<dd>(.*?)</dd>", html), strict=True))
    assert {key: text_of(value) for key, value in keys.items()} == {
        "n": "[-1.10-] → {+1.1+}",
        "deep / b": "[-[1, 2]-] → {+[1, 3]+}",
        "gone": "[-null-]",
        "added": "{+x+}",
    }


def test_markup_in_values_is_escaped_everywhere() -> None:
    html = format_change({"<b>": "<i>", "l": ["<u>"]}, {"<b>": "<i>x", "l": ["<s>"]})
    html += format_change("<p> one two", "<p> one three") + format_value(["<q>"])
    assert not re.search("<(b|i|u|s|p|q)>", html)


def test_a_long_text_is_cut_around_its_changes_and_shown_whole_on_request() -> None:
    changed = DESCRIPTION.replace("30 tells", "30 reveals").replace("55 tells", "55 sings")
    short, _, full = format_change(DESCRIPTION, changed).partition("<details>")
    assert len(text_of(short)) < 400
    assert text_of(short).count("[-tells-]") == text_of(full).count("[-tells-]") == 2
    assert "Sentence 10 tells" not in short
    assert "Sentence 10 tells" in full


def test_a_huge_text_is_not_sent_whole() -> None:
    html = format_value("x" * 100_000)
    assert len(html) < 25_000
    assert "The first 20,000 of 100,000 characters." in html


def test_the_parts_of_a_diff_add_up_to_both_texts() -> None:
    for old, new in [(DESCRIPTION, DESCRIPTION[::-1]), (DESCRIPTION * 30, "x" + DESCRIPTION * 29), ("", "a")]:
        segments = diff_words(old, new)
        assert "".join(text for mark, text in segments if mark != "new") == old
        assert "".join(text for mark, text in segments if mark != "old") == new


def test_a_missing_json_value_differs_from_null() -> None:
    assert text_of(format_change(ABSENT, None)) == "{+null+}"
    assert text_of(format_change(ABSENT, {"a": 1})) == "{+{&quot;a&quot;: 1}+}"
