#!/bin/sh
# Installs what Debian has to build scripts, for machines that rustup's server can't be reached from. Needs root, and may
# be run again: what is there already stays. `cargo xtask` runs it where `rustup target add wasm32-wasip2` fails.
#
# What it installs, and why:
#
#   rustc-web, cargo-web   a second Rust toolchain, in /usr/bin. Debian packages these newer versions to build browsers.
#                          Only it may build its own library: the source has to be that of the compiler.
#   rust-web-src           the source of that library. Debian has none compiled for wasm32-wasip2, so each build of
#                          scripts compiles it (`cargo build -Zbuild-std=std,panic_abort` with RUSTC_BOOTSTRAP=1, since
#                          that option is for nightly compilers).
#   wasi-libc              the C library that Rust's library stands on. Debian has it in a folder of its own; rustc looks
#                          for it among the files of its target ("self-contained"), so three files of it are copied there.
#
# What it does not install: linkers. Scripts need rust-lld, wasm-component-ld and wasm-ld (gcc-ld/wasm-ld), which Debian
# does not have, or not of the right version. They come from the toolchain that builds the host, from
# `$(rustc --print sysroot)/lib/rustlib/<host>/bin`; `cargo xtask` looks whether they are there, and puts them into PATH.
set -eu

packages="rustc-web cargo-web rust-web-src wasi-libc"
oldest=95 # of 1.x, as `rust-version` in Cargo.toml
libc_from=/usr/lib/wasm32-wasi
libc_to=/usr/lib/rustlib/wasm32-wasip2/lib/self-contained

is_there() {
    [ -e /usr/bin/rustc ] && [ -e /usr/bin/cargo ] && [ -e "$libc_from/crt1-command.o" ] &&
        [ -e /usr/lib/rustlib/src/rust/library/std/Cargo.toml ] && is_new_enough
}

# The second toolchain's version, whatever rustup says. "rustc 1.96.0 (...)" is new enough, "rustc 1.63.0" is not.
is_new_enough() {
    version=$(env -u RUSTUP_TOOLCHAIN /usr/bin/rustc --version)
    minor=${version#rustc 1.}
    [ "${minor%%.*}" -ge "$oldest" ]
}

install() {
    # No removals: a package that would push out something of the user's is the user's decision.
    # shellcheck disable=SC2086
    DEBIAN_FRONTEND=noninteractive apt-get install --yes --no-install-recommends --no-remove \
        -o DPkg::Lock::Timeout=300 $packages
}

if ! is_there; then
    # Lists may be missing, or name versions that the mirror no longer has, or that are too old.
    install && is_there || {
        apt-get update || echo "apt-get update has failed; one source of several does not matter"
        install
    }
    is_new_enough || {
        echo "/usr/bin/rustc is $(/usr/bin/rustc --version), but scripts need 1.$oldest or later" >&2
        exit 1
    }
fi

mkdir -p "$libc_to"
# libc.a comes last, and each by way of another name: with it all is there, and whole.
for file in crt1-command.o crt1-reactor.o libc.a; do
    cp "$libc_from/$file" "$libc_to/$file.part"
    mv "$libc_to/$file.part" "$libc_to/$file"
done
