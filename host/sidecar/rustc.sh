#!/bin/bash
# Cargo calls this in place of rustc (.cargo/config.toml): `rustc.sh RUSTC ARGUMENT...`.
#
# (bash, since dash drops variables like CARGO_BIN_EXE_monkeyci-sidecar, which have a hyphen in their names.)
#
# The sidecar has to run in an image without a C library, so its program is linked statically. With a flag for all of a
# build (RUSTFLAGS), what it depends on would be compiled once more; here only the last step differs.
case " $* " in
*" --crate-name monkeyci_sidecar "*" --crate-type bin "*)
    exec "$@" -C target-feature=+crt-static -C strip=symbols
    ;;
esac
exec "$@"
