#!/bin/sh
# Find the Pythons of this machine that can run allcores.
#
#   tools/pythons.sh            all of them, oldest first, one a line: "3.12 /path/to/python"
#   tools/pythons.sh default    the path of `python3` if that is one of them, else of the oldest
#   tools/pythons.sh 3.12       the path of this version
#   tools/pythons.sh COMMAND    the path of this command, whatever its version
#
# The classifiers in pyproject.toml say which versions are supported. A name on PATH proves nothing: it may be a
# version manager's shim that fails when run, or a Python without its venv module. So each candidate is run and asked.
# This is a shell script because the machine's own `python3` may be absent, or too old for anything newer.
set -eu
cd "$(dirname "$0")/.."

supported=$(sed -n 's/.*"Programming Language :: Python :: \(3\.[0-9][0-9]*\)".*/\1/p' pyproject.toml)

# Pre-releases and free-threaded builds don't count: too few packages have wheels for them. The path printed is the
# base interpreter's, as the candidate may lie in a virtual environment that is about to be replaced.
question='
import ensurepip, sys, sysconfig, venv
_, minor, patch, level, _ = sys.version_info
is_cpython = sys.implementation.name == "cpython" and not sysconfig.get_config_var("Py_GIL_DISABLED")
if not is_cpython or level != "final" or f"3.{minor}" not in sys.argv[1:]:
    sys.exit(1)
print(f"3.{minor}", minor, patch, sys._base_executable)  # name, two numbers to sort by, path
'

ask() {
    # shellcheck disable=SC2086  # one argument per version
    "$1" -I -c "$question" $supported </dev/null 2>/dev/null
}

candidates() {
    for version in $supported; do
        # Every folder of PATH, not only the first that has the name: behind a shim may be the real thing.
        printf '%s\n' "$PATH" | tr : '\n' | sed "s|\$|/python$version|"
        if command -v pyenv >/dev/null; then
            ls "$(pyenv root)/versions/$version".*/bin/python 2>/dev/null || true
        fi
        if command -v uv >/dev/null; then
            uv python find --no-project --system "$version" 2>/dev/null || true
        fi
    done
}

found() {  # each version once, in its newest patch release
    candidates | while read -r python; do ask "$python" || true; done |
        sort -k 2,2n -k 3,3nr | awk '!seen[$1]++'
}

case ${1:-all} in
    all) answer=$(found | cut -d ' ' -f 1,4-) ;;
    default) answer=$({ ask python3 || found; } | head -n 1 | cut -d ' ' -f 4-) ;;
    [0-9]*) answer=$(found | awk -v version="$1" '$1 == version' | cut -d ' ' -f 4-) ;;
    *) answer=$(command -v "$1") || true ;;
esac
if [ -z "$answer" ]; then
    echo "no fitting Python found: allcores runs on CPython" $supported "with the venv module" >&2
    exit 1
fi
printf '%s\n' "$answer"
