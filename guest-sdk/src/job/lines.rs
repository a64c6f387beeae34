//! Lists of lines and words.

/// The lines of a shell, or the words of a command: anything that iterates over texts of one type (an array, a vector, an iterator,
/// an `Option`), or a tuple of texts of several types.
///
/// ```
/// # use monkeyci_sdk::prelude::*;
/// # let target = "all";
/// let one = container("one", "debian:12").shell(["make"]);
/// let mixed = container("mixed", "debian:12").shell(("cd app", format!("make {target}"), String::from("make test")));
/// let several = container("several", "debian:12").shell((1..3).map(|part| format!("make part-{part}")));
/// ```
///
/// A single text is no list:
///
/// ```compile_fail
/// # use monkeyci_sdk::prelude::*;
/// let one = container("one", "debian:12").shell("make");
/// ```
#[diagnostic::on_unimplemented(
    message = "`{Self}` is no list of texts",
    label = "a list is wanted here, also of a single text: `[\"make\"]`",
    note = "texts of one type may be in an array, a vector or an iterator: `[\"make\", \"make test\"]`",
    note = "texts of several types may be in a tuple: `(\"make\", format!(\"make {{target}}\"))`"
)]
pub trait Lines<Kind> {
    #[doc(hidden)]
    fn into_lines(self) -> Vec<String>;
}

/// Marks what iterates. No type is both this and a [`Tuple`], but the compiler can't know.
#[derive(Debug)]
pub enum List {}

/// Marks tuples.
#[derive(Debug)]
pub enum Tuple {}

impl<I: IntoIterator<Item: Into<String>>> Lines<List> for I {
    fn into_lines(self) -> Vec<String> {
        self.into_iter().map(Into::into).collect()
    }
}

macro_rules! tuples {
    ($($first:ident $($name:ident)*;)*) => {
        $(
            impl<$first: Into<String>, $($name: Into<String>),*> Lines<Tuple> for ($first, $($name,)*) {
                fn into_lines(self) -> Vec<String> {
                    #[allow(non_snake_case)]
                    let ($first, $($name,)*) = self;
                    vec![$first.into(), $($name.into()),*]
                }
            }
        )*
    };
}

tuples! {
    A;
    A B;
    A B C;
    A B C D;
    A B C D E;
    A B C D E F;
    A B C D E F G;
    A B C D E F G H;
    A B C D E F G H I;
    A B C D E F G H I J;
    A B C D E F G H I J K;
    A B C D E F G H I J K L;
}
