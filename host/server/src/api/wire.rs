//! What goes over the wire. What is said of each of these in the OpenAPI document, a test compares with what they are.

use std::collections::{BTreeMap, BTreeSet};

use monkeyci_api::Hidden;
use monkeyci_build::Event;
use monkeyci_controller::{ArtifactRecord, BuildRecord};
use serde::{Deserialize, Serialize};

use crate::access::Scope;
use crate::origin::Origin;
use crate::pattern::Pattern;

#[derive(Debug, Serialize)]
pub(crate) struct Health {
    pub(crate) status: &'static str,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct NewRepository {
    pub(crate) name: Option<String>,
    pub(crate) url: String,
    pub(crate) script_path: Option<String>,
    pub(crate) webhook_secret: Option<String>,
    #[serde(default)]
    pub(crate) labels: Vec<String>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct LabelsBody {
    pub(crate) labels: Vec<String>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct NewInputBody {
    pub(crate) value: Option<Hidden<String>>,
    /// The bytes of a secret that is no text.
    pub(crate) base64: Option<Hidden<String>>,
    pub(crate) label: Option<String>,
    pub(crate) branch: Option<Pattern>,
    pub(crate) event: Option<Origin>,
    #[serde(default)]
    pub(crate) reveal: bool,
}

#[derive(Debug, Serialize)]
pub(crate) struct InputBody {
    pub(crate) name: String,
    /// Of a parameter.
    pub(crate) value: Option<String>,
    pub(crate) label: Option<String>,
    pub(crate) branch: Option<Pattern>,
    pub(crate) event: Option<Origin>,
    pub(crate) reveal: bool,
    pub(crate) set_by: String,
    pub(crate) set_ms: u64,
}

#[derive(Debug, Serialize)]
pub(crate) struct Inputs {
    pub(crate) inputs: Vec<InputBody>,
}

#[derive(Debug, Serialize)]
pub(crate) struct UseBody {
    pub(crate) build: String,
    /// `param` or `secret`.
    pub(crate) kind: String,
    pub(crate) name: String,
    /// Whether it is kept for the repository alone.
    pub(crate) of_repository: bool,
    pub(crate) label: Option<String>,
    pub(crate) branch: Option<Pattern>,
    pub(crate) event: Option<Origin>,
    pub(crate) set_ms: u64,
}

#[derive(Debug, Serialize)]
pub(crate) struct Uses {
    pub(crate) uses: Vec<UseBody>,
    pub(crate) next: Option<String>,
}

#[derive(Debug, Serialize)]
pub(crate) struct RepositoryBody {
    pub(crate) name: String,
    pub(crate) url: String,
    /// `stored`, or `in-code`.
    pub(crate) script: Option<&'static str>,
    pub(crate) script_path: Option<String>,
    pub(crate) labels: Vec<String>,
    pub(crate) added_ms: u64,
}

#[derive(Debug, Serialize)]
pub(crate) struct AddedRepository {
    #[serde(flatten)]
    pub(crate) repository: RepositoryBody,
    pub(crate) webhook_secret: String,
}

#[derive(Debug, Serialize)]
pub(crate) struct Repositories {
    pub(crate) repositories: Vec<RepositoryBody>,
}

#[derive(Debug, Serialize)]
pub(crate) struct DeliveryBody {
    pub(crate) delivery: String,
    pub(crate) event: String,
    pub(crate) outcome: String,
    pub(crate) build: Option<String>,
    pub(crate) received_ms: u64,
}

#[derive(Debug, Serialize)]
pub(crate) struct Deliveries {
    pub(crate) deliveries: Vec<DeliveryBody>,
    pub(crate) next: Option<String>,
}

#[derive(Debug, Serialize)]
pub(crate) struct DeliveredBody {
    pub(crate) outcome: String,
    pub(crate) build: Option<String>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct NewBuild {
    pub(crate) branch: Option<String>,
    pub(crate) tag: Option<String>,
    pub(crate) commit: Option<String>,
    pub(crate) params: BTreeMap<String, String>,
}

#[derive(Clone, Debug, Serialize)]
pub(crate) struct BuildBody {
    pub(crate) build: String,
    pub(crate) repository: String,
    pub(crate) status: String,
    pub(crate) reason: Option<String>,
    pub(crate) trigger: String,
    pub(crate) branch: Option<String>,
    pub(crate) tag: Option<String>,
    pub(crate) commit: Option<String>,
    pub(crate) accepted_ms: u64,
}

#[derive(Debug, Serialize)]
pub(crate) struct Builds {
    pub(crate) builds: Vec<BuildBody>,
    pub(crate) next: Option<String>,
}

#[derive(Debug, Serialize)]
pub(crate) struct ShownBuild {
    #[serde(flatten)]
    pub(crate) build: BuildBody,
    pub(crate) record: Option<BuildRecord>,
}

#[derive(Debug, Serialize)]
pub(crate) struct Events {
    pub(crate) events: Vec<Event>,
    pub(crate) next: u64,
    pub(crate) is_over: bool,
}

#[derive(Debug, Serialize)]
pub(crate) struct LogPieceBody {
    pub(crate) job: Option<String>,
    pub(crate) stream: &'static str,
    pub(crate) time_ms: u64,
    pub(crate) text: String,
    /// The bytes, where they are not what the text is.
    pub(crate) base64: Option<String>,
}

#[derive(Debug, Serialize)]
pub(crate) struct Artifacts {
    pub(crate) artifacts: Vec<ArtifactRecord>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct DecisionBody {
    pub(crate) comment: Option<String>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct NewTokenBody {
    pub(crate) name: String,
    pub(crate) scopes: BTreeSet<Scope>,
    pub(crate) repository: Option<String>,
    pub(crate) expires_ms: Option<u64>,
}

#[derive(Debug, Serialize)]
pub(crate) struct TokenBody {
    pub(crate) id: String,
    pub(crate) name: String,
    pub(crate) scopes: BTreeSet<Scope>,
    pub(crate) repository: Option<String>,
    pub(crate) made_ms: u64,
    pub(crate) expires_ms: Option<u64>,
}

#[derive(Debug, Serialize)]
pub(crate) struct AddedToken {
    #[serde(flatten)]
    pub(crate) description: TokenBody,
    pub(crate) token: String,
}

#[derive(Debug, Serialize)]
pub(crate) struct Tokens {
    pub(crate) tokens: Vec<TokenBody>,
}
