# SPDX-License-Identifier: Apache-2.0
# Read by the scripts beside it: installs what is missing, and chooses the Python.
# shellcheck shell=sh

# The top of the repository, whatever folder the script was started from.
# shellcheck disable=SC2034
ROOT=$(CDPATH='' cd -- "$(dirname -- "$0")/$UP" && pwd)
JOBS=${JOBS:-$(getconf _NPROCESSORS_ONLN 2>/dev/null || echo 2)}

# A make that started the script passes on flags that are not meant for the makes started here.
unset MAKEFLAGS MFLAGS MAKELEVEL

say() {
    printf '%s\n' "$*"
}

fail() {
    printf 'error: %s\n' "$*" >&2
    exit 1
}

has_command() {
    command -v "$1" >/dev/null 2>&1
}

# Whether $1 is a Python 3.9 or later with headers, that can import the modules $2...
python_has() {
    python_has_which=$1
    shift
    "$python_has_which" - "$@" >/dev/null 2>&1 <<'PYTHON'
import importlib, os, sys, sysconfig
assert sys.version_info >= (3, 9)
assert os.path.exists(os.path.join(sysconfig.get_path("include"), "Python.h"))
for name in sys.argv[1:]:
    importlib.import_module(name)
PYTHON
}

# Prints the Python to use: PYTHON when the caller set it, else the first of the shell's python3 and
# the system's that has headers and the modules $@; nothing when there is none.
find_python() {
    for find_python_which in ${PYTHON:-python3 /usr/bin/python3}; do
        if has_command "$find_python_which" && python_has "$find_python_which" "$@"; then
            "$find_python_which" -c 'import sys; print(sys.executable)'
            return
        fi
    done
}

# The Debian packages that are missing, of lines "package check": the check is a command to look
# for (command:NAME), a header that the C compiler must find (header:NAME), or a file (file:PATH).
missing_packages() {
    while read -r missing_package missing_check; do
        case $missing_check in
            command:*) has_command "${missing_check#command:}" && continue ;;
            header:*)
                has_command cc && printf '#include <%s>\n' "${missing_check#header:}" |
                    cc -E -include stdarg.h -include stddef.h -include stdint.h \
                        -include setjmp.h -x c - >/dev/null 2>&1 && continue ;;
            file:*) [ -e "${missing_check#file:}" ] && continue ;;
        esac
        printf '%s ' "$missing_package"
    done
}

# Installs the Debian packages "$@": as root, or by sudo if that asks for no password. Where neither
# may be, prints the command and ends.
install_packages() {
    [ $# -gt 0 ] || return 0
    if ! has_command apt-get; then
        fail "missing, by their Debian names: $*
This is no Debian or Ubuntu; install these with your system's package manager, then try again."
    fi
    install_as=''
    if [ "$(id -u)" -ne 0 ]; then
        if ! has_command sudo || ! sudo -n true 2>/dev/null; then
            fail "these packages are missing. Install them, then try again:

    sudo apt-get update && sudo apt-get install -y $*
"
        fi
        install_as='sudo -n'
    fi
    say "== installing with apt-get: $*"
    # A source that cannot be reached need not be one of those that matter here, so a failing update
    # is no reason yet to give up.
    # shellcheck disable=SC2016
    $install_as env DEBIAN_FRONTEND=noninteractive sh -c '
        apt-get update -qq
        apt-get install -qq -y --no-install-recommends "$@"' apt "$@" >/dev/null ||
        fail "apt-get could not install: $*"
}

# prepare PACKAGES MODULES...: installs what is missing of the list on standard input (see
# missing_packages), and sets `python` to one that has the modules, for which it may install the
# Debian packages PACKAGES as well. One list, so that who may not install is asked once.
prepare() {
    prepare_python_packages=$1
    shift
    python=$(find_python "$@")
    prepare_missing=$(missing_packages)
    if [ -z "$python" ] && [ -z "${PYTHON:-}" ]; then
        prepare_missing="$prepare_missing $prepare_python_packages"
    fi
    # shellcheck disable=SC2086
    install_packages $prepare_missing
    if [ -z "$python" ]; then
        python=$(find_python "$@")
    fi
    [ -n "$python" ] ||
        fail "${PYTHON:-python3} must be Python 3.9 or later, with its headers and the modules $*"
}
