//! What builds of strangers' code may not have.

use async_trait::async_trait;
use monkeyci_host::{BuildContext, Capability, Policy, Verdict};

/// A pull request may be anybody's: its builds get no secrets.
pub struct NothingForStrangers;

#[async_trait]
impl Policy for NothingForStrangers {
    async fn judge(&self, build: &BuildContext, capability: &Capability) -> Verdict {
        match capability {
            Capability::Secret(_) | Capability::Reveal(_) if build.trigger == "pull-request" => {
                Verdict::Deny("a pull request may be anybody's".to_owned())
            }
            _ => Verdict::Allow,
        }
    }
}
