//! The interpreter of build scripts in YAML, JSON and TOML.
