//! The promises, by what they are about.

pub mod again;
pub mod architectures;
pub mod cleaning;
pub mod ends;
pub mod failures;
pub mod images;
pub mod inside;
pub mod network;
pub mod services;
pub mod users;
