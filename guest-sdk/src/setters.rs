//! One list of setters for several types, so that each property is written once.
//!
//! A list is a macro that hands `fn name(parts, argument: Type) { .. }` items to [`by_value`] or [`in_place`], with the type
//! that gets them and its method that lends the parts.

/// Setters that take and return the value: `container("x", "y").user("z")`.
macro_rules! by_value {
    ($type:ty, $lend:ident; $($(#[$about:meta])* fn $name:ident $(<$generic:ident>)?($parts:ident $(, $arg:ident: $kind:ty)*) $body:block)*) => {
        impl $type {
            $(
                $(#[$about])*
                pub fn $name$(<$generic>)?(mut self $(, $arg: $kind)*) -> Self {
                    let $parts = self.$lend();
                    $body
                    self
                }
            )*
        }
    };
}

/// Setters that change the value where it is: `job.user("z");`.
macro_rules! in_place {
    ($type:ty, $lend:ident; $($(#[$about:meta])* fn $name:ident $(<$generic:ident>)?($parts:ident $(, $arg:ident: $kind:ty)*) $body:block)*) => {
        impl $type {
            $(
                $(#[$about])*
                pub fn $name$(<$generic>)?(&mut self $(, $arg: $kind)*) -> &mut Self {
                    let $parts = self.$lend();
                    $body
                    self
                }
            )*
        }
    };
}

pub(crate) use {by_value, in_place};
