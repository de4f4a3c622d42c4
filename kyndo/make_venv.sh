# Create .venv with the first Python that is new enough, and install requirements-dev.txt.
set -eu
works() { "$1" -c 'import sys, venv, ensurepip; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; }
python=
for candidate in python3 python3.14 python3.13 python3.12 python3.11 /usr/bin/python3; do
    if works "$candidate"; then python=$candidate; break; fi
done
if test -z "$python"; then
    echo "KYNDO needs Python 3.11 or newer with its venv module; python3 here is: $(python3 --version 2>&1 || true)" >&2
    echo "On Debian and Ubuntu: apt-get install python3 python3-venv" >&2
    exit 1
fi
echo "== Python packages into .venv, with $("$python" --version): a minute, the first time"
# Created again unless the last installation completed and its Python still exists: pip considers a package
# complete even if it was killed while installing it.
if ! test -e .venv/installed || ! .venv/bin/python -m pip --version >/dev/null 2>&1; then
    "$python" -m venv --clear .venv
fi
rm -f .venv/installed
.venv/bin/python -m pip install -qq --disable-pip-version-check -r requirements-dev.txt
