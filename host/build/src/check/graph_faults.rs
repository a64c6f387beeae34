//! All faults of a graph in one report.

use std::fmt;

use serde::{Deserialize, Serialize};

use super::Fault;
use crate::Words;

/// All that is wrong with a graph, the parameters first, in the order in which they and the jobs were
/// declared.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct GraphFaults(pub Vec<Fault>);

impl GraphFaults {
    /// Whether nothing is wrong.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Shows every text that is words for people; see [`EventBody::words`](crate::EventBody::words).
    pub fn words(&mut self, see: &mut dyn FnMut(Words<'_>)) {
        self.0.iter_mut().for_each(|fault| fault.words(see));
    }
}

impl fmt::Display for GraphFaults {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0.len() {
            1 => write!(f, "the graph has 1 fault:")?,
            count => write!(f, "the graph has {count} faults:")?,
        }
        self.0.iter().try_for_each(|fault| write!(f, "\n{fault}"))
    }
}

impl std::error::Error for GraphFaults {}
