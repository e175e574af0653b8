# shellcheck shell=bash
# What the scripts share: saying what happens, and getting what is missing. Sourced, never run.

# Where rustup puts cargo; a login shell may not have told this one yet.
export PATH="$PATH:$HOME/.cargo/bin"

bold='' plain=''
if [ -t 1 ]; then bold=$'\e[1m' plain=$'\e[0m'; fi

step() {
    printf '%s==> %s%s\n' "$bold" "$*" "$plain"
}

die() {
    printf '%s: %s\n' "${0##*/}" "$*" >&2
    exit 1
}

have() {
    command -v "$1" >/dev/null 2>&1
}

as_root() {
    if [ "$(id -u)" = 0 ]; then
        "$@"
    elif have sudo; then
        # Nobody is there to type a password in CI.
        sudo ${CI:+-n} "$@"
    else
        return 1
    fi
}

# Installs Debian packages; looks for newer lists of them only when the ones at hand do not do.
install_packages() {
    step "Installing $*"
    have apt-get || die "needs the packages $* (Debian's names); install them with this system's package manager"
    local install=(env DEBIAN_FRONTEND=noninteractive apt-get install -y -q --no-install-recommends "$@")
    as_root "${install[@]}" </dev/null && return
    as_root apt-get update -q </dev/null && as_root "${install[@]}" </dev/null && return
    die "could not install $*; as root: apt-get update && apt-get install $*"
}

# What `cargo build` needs beside Rust: glommio compiles C, and its build script calls git.
need_build_tools() {
    local missing=()
    have cc || missing+=(gcc)
    have make || missing+=(make)
    [ -e /usr/include/stdio.h ] || missing+=(libc6-dev)
    have git || missing+=(git)
    [ -e /etc/ssl/certs/ca-certificates.crt ] || missing+=(ca-certificates)
    [ ${#missing[@]} = 0 ] || install_packages "${missing[@]}"
}

need_rust() {
    local wanted found
    wanted=$(sed -n 's/^rust-version = "\(.*\)"/\1/p' Cargo.toml)
    found=$(cargo --version 2>/dev/null | cut -d' ' -f2)
    [ -n "$found" ] || die "needs Rust $wanted or newer, which Debian 12 does not have: install it from https://rustup.rs"
    [ "$(printf '%s\n%s\n' "$wanted" "$found" | sort -V | head -n 1)" = "$wanted" ] ||
        die "needs Rust $wanted or newer, this is $found: \`rustup update\`, or https://rustup.rs"
}

# A part of the Rust toolchain, by the name of its cargo command.
need_component() {
    cargo "$1" --version >/dev/null 2>&1 && return
    have rustup || die "needs \`cargo $1\`, which this Rust toolchain does not have: https://rustup.rs has it"
    step "Installing $2"
    rustup component add "$2" || die "could not install $2: rustup component add $2"
}

# A MariaDB that tests start by themselves. Not the package mariadb-server, which would start one for good.
need_mariadb() {
    if ! PATH="$PATH:/usr/sbin" have mariadbd || ! have mariadb-install-db || ! have my_print_defaults; then
        install_packages mariadb-server-core mariadb-client-core
    fi
}

# nginx and haproxy, which tests start by themselves. Debian's packages would start them for good.
need_proxies() {
    local stream=/usr/lib/nginx/modules/ngx_stream_module.so
    [ -e $stream ] && PATH="$PATH:/usr/sbin" have nginx && PATH="$PATH:/usr/sbin" have haproxy && return
    without_starting install_packages nginx-light libnginx-mod-stream haproxy
    ! have systemctl || as_root systemctl disable --quiet nginx haproxy
}

# A Prometheus that tests start by themselves. Debian's package would start one for good.
need_prometheus() {
    have prometheus && have promtool && return
    without_starting install_packages prometheus
    ! have systemctl || as_root systemctl disable --quiet prometheus
}

# Runs what installs packages, and forbids that the services in them are started.
without_starting() {
    local policy=/usr/sbin/policy-rc.d
    if [ -e $policy ]; then
        "$@"
        return
    fi
    as_root sh -c "printf '#!/bin/sh\nexit 101\n' >$policy && chmod 755 $policy"
    # In a shell of its own, for the policy must go even if that dies.
    ("$@") || {
        as_root rm $policy
        exit 1
    }
    as_root rm $policy
}

target_directory() {
    printf '%s\n' "${CARGO_TARGET_DIR:-target}"
}

# With the examples, because cargo then takes the features that tests want too, and builds what all depend on but once.
need_programs() {
    cargo build --workspace --bins --examples --locked
}
