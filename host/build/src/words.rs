//! Which texts of an event are words for people.

/// A text of an event that is words for people, or for programs inside its strings.
#[derive(Debug)]
pub enum Words<'a> {
    /// A text as it is.
    Text(&'a mut String),
    /// JSON: its strings are words, and the rest has to stay as it is.
    Json(&'a mut String),
}
