//! The script runtime under test, with components written by hand: no toolchain for guests is needed.

mod acting;
mod compile_cache;
mod compiling;
mod hang_guard;
mod hostile;
mod replaying;
mod support;
mod transcript;
