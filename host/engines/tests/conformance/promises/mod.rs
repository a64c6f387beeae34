//! The promises, by what they are about.

pub mod again;
pub mod cleaning;
pub mod ends;
pub mod failures;
pub mod images;
pub mod inside;
pub mod services;
