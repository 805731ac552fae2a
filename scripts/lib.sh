# shellcheck shell=bash
# What run and test share: installing what is missing, and nothing twice. Sourced, not run.

cd "$(dirname "${BASH_SOURCE[0]}")/.." || exit 1

target=${CARGO_TARGET_DIR:-target}
# Where the tests look for them, whatever cargo builds into.
clients=target/test-clients
packages=()

say() { printf '%s\n' "== $*" >&2; }

fail() {
    say "$*"
    exit 1
}

have() { command -v "$1" >/dev/null; }

# need CHECK PACKAGE...: notes the Debian packages when the check fails.
need() {
    local check=$1
    shift
    "$check" || packages+=("$@")
}

have_cc() { have cc; }
have_make() { have make; }
have_npm() { have node && have npm; }
have_chromium() { have chromium; }
have_openssl() { have openssl; }
have_ip() { have ip || [[ -x /usr/sbin/ip ]]; }
have_shellcheck() { have shellcheck; }
have_systemd_analyze() { have systemd-analyze; }
have_yaml() { /usr/bin/python3 -c "import yaml" 2>/dev/null; }
have_pgbouncer() { [[ -x /usr/sbin/pgbouncer ]]; }
have_nginx() { [[ -x /usr/sbin/nginx ]]; }
have_dpkg_shlibdeps() { have dpkg-shlibdeps; }
have_venv() { have python3 && python3 -c 'import ensurepip, venv' 2>/dev/null; }
# To be linked with, which examples/orm is and nothing else.
have_libpq() { compgen -G '/usr/lib/*/libpq.so' >/dev/null || pkg-config --exists libpq 2>/dev/null; }
have_postgresql() {
    have postgres || compgen -G '/usr/lib/postgresql/*/bin/postgres' >/dev/null ||
        { have pg_config && [[ -x $(pg_config --bindir)/postgres ]]; }
}

# Installs the noted packages; asks apt for nothing when there are none.
install_packages() {
    ((${#packages[@]})) || return 0
    local command="apt-get update && apt-get install ${packages[*]}"
    have apt-get || fail "missing, and there is no apt-get to install it: ${packages[*]}"
    local sudo=()
    if ((EUID)); then
        have sudo || fail "missing: ${packages[*]}. Run this as root, then start again: $command"
        sudo=(sudo)
    fi
    say "installing with apt: ${packages[*]}"
    "${sudo[@]}" env DEBIAN_FRONTEND=noninteractive scripts/apt "${packages[@]}"
    hash -r
}

fingerprint() { { pwd && cat "$@"; } | sha256sum; }

# is_current STAMP FILE...: was the stamp made from these files, in this place?
is_current() { [[ -f $1 && $(<"$1") == "$(fingerprint "${@:2}")" ]]; }

# npm_install DIRECTORY OPTION...: what the lock file pins, without install scripts.
npm_install() {
    mkdir -p "$1"
    cp tests/clients/package.json tests/clients/package-lock.json "$1"
    (cd "$1" && npm ci --ignore-scripts --omit=optional --no-audit --no-fund "${@:2}")
}

# The page's library, which is not committed.
install_autobahn_js() {
    local library=web/shared/autobahn.min.js directory=$target/autobahn-browser
    local stamp=$directory/stamp lock=tests/clients/package-lock.json
    if [[ -f $library ]] && is_current "$stamp" "$lock"; then return; fi
    say "installing AutobahnJS from npm into $library"
    npm_install "$directory" --omit=dev
    mkdir -p "${library%/*}"
    cp "$directory/node_modules/autobahn-browser/autobahn.min.js" "$library"
    fingerprint "$lock" >"$stamp"
}

# AutobahnJS for node, Wampy.js, TypeScript and AutobahnPython, as the tests drive them.
install_test_clients() {
    local pins=(tests/clients/package-lock.json tests/clients/requirements.txt)
    local stamp=$clients/stamp
    if is_current "$stamp" "${pins[@]}"; then return; fi
    say "installing AutobahnJS, Wampy.js and TypeScript from npm and AutobahnPython from PyPI into $clients"
    npm_install "$clients" --include=dev
    python3 -m venv --clear "$clients/venv"
    "$clients/venv/bin/pip" install --quiet --disable-pip-version-check --prefer-binary \
        --requirement tests/clients/requirements.txt
    fingerprint "${pins[@]}" >"$stamp"
}
