#!/usr/bin/env bash
# django-unfold 0.91.0 (PyPI) on Django 5.2.19, html5lib 1.1 as the browser's parser; Python 3.10 or newer, no database.
#
# One would guess: a theme of the admin changes how a form looks, not what is in it. A text that is opened and saved as
# it was is the same text afterwards, as it is with Django's own admin.
#
# What happens: HTML drops a line break that follows <textarea> at once. Django's template begins with one of its own for
# that, so that the text keeps its first; unfold/widgets/textarea.html has none to spare. A text that begins with an empty
# line loses it each time that anybody saves the page, whatever else they edited, until no empty line is left; Django
# takes the field for changed and writes it. A test client does not notice: it posts what it was given, unparsed.
#
# Why users care: poems, code, Markdown, templates of mails and whatever an import brought begin with line breaks; each
# is rewritten, without a word, by whoever corrects another field. Until it is mended, give the widget Django's template:
#     class Textarea(UnfoldAdminTextareaWidget):
#         template_name = "django/forms/widgets/textarea.html"
#
# Exits with 0 while this is so, with 1 once it changed.
set -euo pipefail
here=$(mktemp -d "${TMPDIR:-/tmp}/textarea.XXXXXX")
trap 'rm -rf "$here"' EXIT

echo "Fetching django-unfold 0.91.0, Django 5.2.19 and html5lib 1.1 from PyPI ..."
python3 -m venv "$here/venv"
"$here/venv/bin/pip" install -q --disable-pip-version-check django-unfold==0.91.0 Django==5.2.19 html5lib==1.1
cat >"$here/try.py" <<'PYTHON'
import django
import html5lib
from django.conf import settings

settings.configure(
    INSTALLED_APPS=["unfold", "django.forms", "django.contrib.auth", "django.contrib.contenttypes"],
    TEMPLATES=[{"BACKEND": "django.template.backends.django.DjangoTemplates", "APP_DIRS": True}],
    FORM_RENDERER="django.forms.renderers.TemplatesSetting",
)
django.setup()

from django.contrib.admin.widgets import AdminTextareaWidget
from unfold.widgets import UnfoldAdminTextareaWidget


def sent_back(widget, text):
    """The text in the field, as a browser reads the page."""
    page = html5lib.parseFragment(widget.render("poem", text), namespaceHTMLElements=False)
    return page.find("textarea").text or ""


wrong = 0
for text in ("first", "\nfirst", "\n\nfirst"):
    django_says, unfold_says = (sent_back(w(), text) for w in (AdminTextareaWidget, UnfoldAdminTextareaWidget))
    print(f"stored {text!r}: Django's admin sends back {django_says!r}, unfold {unfold_says!r}")
    assert django_says == text
    wrong += unfold_says != text
raise SystemExit(0 if wrong == 2 else 1)
PYTHON
if "$here/venv/bin/python" "$here/try.py"; then
    echo "As described: of a text that begins with a line break, unfold's form sends back one less."
else
    echo "It has changed: see above." >&2
    exit 1
fi
