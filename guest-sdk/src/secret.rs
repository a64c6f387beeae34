//! Secrets.

use std::fmt;
use std::rc::Rc;

use crate::error::Told;
use crate::host::secrets;
use crate::{ErrorContext, Result};

/// A handle of a secret: it can go into a job's environment or files without the script ever holding the bytes.
///
/// What the build says is masked; what it runs is not. A job with the value of a secret in one of its fields is refused, whether it is
/// declared, submitted or completed late.
///
/// ```
/// # use monkeyci_sdk::prelude::*;
/// fn script(build: &Build) -> Result<impl IntoJobs> {
///     let token = build.secret("REGISTRY_TOKEN")?;
///     Ok(container("publish", "debian:12").shell(["make publish"]).secret_env("TOKEN", &token))
/// }
/// ```
#[derive(Clone)]
pub struct Secret {
    name: String,
    handle: Rc<secrets::Secret>,
}

impl Secret {
    pub(crate) fn named(name: &str) -> Result<Self> {
        Ok(Self { name: name.to_owned(), handle: Rc::new(secrets::named(name).told()?) })
    }

    pub(crate) fn handle(&self) -> &secrets::Secret {
        &self.handle
    }

    /// The secret's name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The secret itself. This is a permission of its own, denied unless whoever runs the build allows it for this name; and
    /// only an action may ask. Prefer [`secret_env`](crate::ContainerJob::secret_env).
    ///
    /// ```
    /// # use monkeyci_sdk::prelude::*;
    /// let sign = action("sign", |context| {
    ///     let key = context.build().secret("SIGNING_KEY")?.reveal()?;
    ///     println!("the key has {} bytes", key.len());
    ///     Ok(())
    /// });
    /// ```
    ///
    /// # Errors
    /// When that is not allowed, or outside an action.
    pub fn reveal(&self) -> Result<Vec<u8>> {
        self.handle.reveal().told()
    }

    /// Like [`reveal`](Self::reveal), for a secret that is text.
    ///
    /// # Errors
    /// When that is not allowed, or outside an action; or when the secret is not UTF-8.
    pub fn reveal_text(&self) -> Result<String> {
        // The error of `from_utf8` holds the bytes.
        let text = String::from_utf8(self.reveal()?).ok();
        text.with_context(|| format!("the secret {:?} is not UTF-8", self.name))
    }
}

/// Shows the name only.
impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Secret").field("name", &self.name).finish_non_exhaustive()
    }
}
