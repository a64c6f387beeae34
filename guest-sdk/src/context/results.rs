//! What an action says of its own result, beside success and failure.

use crate::error::Told;
use crate::host::results;
use crate::{Context, Result};

/// What an action says of its own result. It counts when the action ends, also by an error.
///
/// ```
/// # use monkeyci_sdk::prelude::*;
/// let size = action("size", |context| {
///     let size = context.workspace().read_file("app.wasm")?.len();
///     context.output("size", size)?;
///     context.link("how to make it smaller", "https://example.com/size")?;
///     if size > 1_000_000 {
///         context.warn(&format!("the app has {size} bytes"))?;
///     }
///     Ok(())
/// });
/// ```
impl Context {
    /// A sentence for people on what came out. The last one counts.
    ///
    /// # Errors
    /// Outside an action.
    pub fn message(&self, text: impl AsRef<str>) -> Result<()> {
        results::message(text.as_ref()).told()
    }

    /// The action ends well, but with something to look at: the job's status is [`Warning`](crate::Status::Warning).
    ///
    /// # Errors
    /// Outside an action.
    pub fn warn(&self, text: impl AsRef<str>) -> Result<()> {
        results::warn(text.as_ref()).told()
    }

    /// There was nothing to do: the job's status is [`Skipped`](crate::Status::Skipped), as an intended skip.
    ///
    /// # Errors
    /// Outside an action.
    pub fn skip(&self, reason: impl AsRef<str>) -> Result<()> {
        results::skip(reason.as_ref()).told()
    }

    /// Exposes a value (at most 64 KiB) to later jobs and to people. A name is 1 to 128 characters of `a-z A-Z 0-9 . _ -`. One with the
    /// value of a secret in it is not recorded, and the job ends as a warning that names both.
    ///
    /// # Errors
    /// When the name or the value is of the wrong form, or outside an action.
    pub fn output(&self, name: &str, value: impl ToString) -> Result<()> {
        results::output(name, &value.to_string()).told()
    }

    /// Adds a link: a title, and an address that starts with `https://` or `http://`.
    ///
    /// # Errors
    /// When the address is of the wrong form, or outside an action.
    pub fn link(&self, title: impl AsRef<str>, url: impl AsRef<str>) -> Result<()> {
        results::link(title.as_ref(), url.as_ref()).told()
    }

    /// Adds a test report: a JUnit XML document of at most 16 MiB.
    ///
    /// # Errors
    /// When it is none, or outside an action.
    pub fn test_report(&self, junit: impl AsRef<str>) -> Result<()> {
        results::test_report(junit.as_ref()).told()
    }

    /// The share of the code that tests cover, in percent.
    ///
    /// # Errors
    /// When it is no percentage, or outside an action.
    pub fn coverage(&self, percent: f64) -> Result<()> {
        results::coverage(percent).told()
    }
}
