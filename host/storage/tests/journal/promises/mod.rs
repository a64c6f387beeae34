//! The promises.

pub mod appending;
pub mod damage;
pub mod large_values;
pub mod looking_up;
pub mod owning;
