//! Rules that the sources of this repository keep, as tests.

mod clock;
