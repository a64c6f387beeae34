//! Masking: no secret is shown by anything that a build says.
//!
//! Words for people are masked. Data is not, since it would become something else: what a job runs, or an output that another
//! job reads. Where data has the value of a secret in it, it is refused or left out, and whoever made it is told which secret
//! it is.

use monkeyci_build::{
    EventBody, Fault, FaultKind, GraphFaults, JobSpec, Place, Results, Told, ToldAnswer, ToldCall, Words,
};
use monkeyci_mask::{MaskError, MaskStream, Masks};

use crate::inputs::Inputs;

/// The secrets of a build, for taking them out of what it says.
#[derive(Clone, Debug)]
pub(crate) struct Masking {
    masks: Masks,
}

impl Masking {
    /// # Errors
    /// When there are too many secrets, or they are too large.
    pub(crate) fn new(inputs: &Inputs) -> Result<Self, MaskError> {
        let secrets = inputs.secrets.iter().map(|(name, value)| (name.as_str(), value.0.as_slice()));
        Ok(Self { masks: Masks::new(secrets)? })
    }

    /// The names of the secrets that are too short to be masked.
    pub(crate) fn unmaskable(&self) -> &[String] {
        self.masks.unmaskable()
    }

    /// For a stream of output.
    pub(crate) fn stream(&self) -> MaskStream {
        self.masks.stream()
    }

    /// A text without secrets.
    pub(crate) fn text(&self, text: &str) -> String {
        self.masks.mask(text).into_owned()
    }

    /// Bytes without secrets.
    pub(crate) fn bytes(&self, bytes: &[u8]) -> Vec<u8> {
        self.masks.mask_bytes(bytes).into_owned()
    }

    /// The name of a secret whose value is in a text.
    pub(crate) fn find(&self, text: &str) -> Option<&str> {
        self.masks.find(text)
    }

    /// Where the jobs have the value of a secret in them. What a job is stands in the journal, and can't be masked there.
    pub(crate) fn values_in(&self, jobs: &[JobSpec]) -> GraphFaults {
        let mut faults = Vec::new();
        for job in jobs.iter().filter(|_| !self.masks.is_empty()) {
            job.texts(&mut |field, text| {
                let Some(secret) = self.masks.find(text) else { return };
                let (place, field) = (Place::Job(self.text(&job.id)), self.text(field));
                let fault = Fault { place, field, kind: FaultKind::SecretValue { secret: secret.to_owned() } };
                if !faults.contains(&fault) {
                    faults.push(fault);
                }
            });
        }
        GraphFaults(faults)
    }

    /// An event whose words are without secrets.
    pub(crate) fn event(&self, mut body: EventBody) -> EventBody {
        if !self.masks.is_empty() {
            body.words(&mut |words| self.words(words));
        }
        body
    }

    /// Faults whose words are without secrets.
    pub(crate) fn faults(&self, mut faults: GraphFaults) -> GraphFaults {
        faults.words(&mut |words| self.words(words));
        faults
    }

    fn words(&self, words: Words<'_>) {
        match words {
            Words::Text(text) => *text = self.text(text),
            Words::Json(text) => {
                // Whoever published it was refused where this can't be done; it is a net below that.
                *text = self.json(text).unwrap_or_else(|_| "\"***\"".to_owned());
            }
        }
    }

    /// JSON whose strings are without secrets; all else in it is as it was.
    ///
    /// # Errors
    /// The name of a secret that stands in it outside of strings, where nothing can be put in its place.
    pub(crate) fn json(&self, json: &str) -> Result<String, &str> {
        if self.masks.is_empty() {
            return Ok(json.to_owned());
        }
        let (mut masked, mut rest) = (String::with_capacity(json.len()), json);
        while let Some(begin) = rest.find('"') {
            let (before, string) = rest.split_at(begin);
            let end = end_of_string(string);
            let (string, after) = string.split_at(end);
            masked.push_str(before);
            masked.push_str(&self.json_string(string));
            rest = after;
        }
        masked.push_str(rest);
        match self.masks.find(&masked) {
            None => Ok(masked),
            Some(secret) => Err(secret),
        }
    }

    /// A JSON string, with its quotes. As it was written where there is nothing to mask.
    fn json_string(&self, written: &str) -> String {
        let text: Option<String> = serde_json::from_str(written).ok();
        match text.map(|text| self.text(&text)) {
            Some(masked) if serde_json::from_str::<String>(written).is_ok_and(|text| text != masked) => {
                serde_json::Value::String(masked).to_string()
            }
            _ => written.to_owned(),
        }
    }

    /// Takes the calls out of what `define` was told, if a secret's value stands in one of them: no journal has secrets.
    pub(crate) fn withhold_told(&self, told: &mut Told) {
        if self.masks.is_empty() {
            return;
        }
        let find = |call: &ToldCall| {
            let answer = match &call.answer {
                ToldAnswer::Text(text) | ToldAnswer::Base64(text) | ToldAnswer::Refused { message: text, .. } => text,
                ToldAnswer::Again { digest, .. } => digest,
            };
            self.masks.find(answer).or_else(|| self.masks.find(&call.request))
        };
        if let Some(secret) = told.calls.iter().find_map(find) {
            told.withheld = Some(secret.to_owned());
            told.calls.clear();
        }
    }

    /// Whether the value of a secret stands in bytes: as they are, or in the strings of the JSON that they may be.
    pub(crate) fn is_in(&self, bytes: &[u8]) -> bool {
        if self.masks.is_empty() {
            return false;
        }
        let in_strings = |text: &str| self.json(text).is_ok_and(|masked| masked != text);
        *self.masks.mask_bytes(bytes) != *bytes || std::str::from_utf8(bytes).is_ok_and(in_strings)
    }

    /// Takes outputs out that have the value of a secret in them: a later job would get something else than was exposed, or
    /// the journal the secret. The job is warned.
    pub(crate) fn withhold(&self, results: &mut Results) {
        if self.masks.is_empty() {
            return;
        }
        let mut warnings = Vec::new();
        results.outputs.retain(|name, value| {
            let Some(secret) = self.masks.find(value).or_else(|| self.masks.find(name)) else { return true };
            warnings.push(format!("the output {:?} is not recorded: the secret {secret:?} is in it", self.text(name)));
            false
        });
        warnings.iter().for_each(|warning| results.warn(warning));
    }
}

/// Where a JSON string ends that the text begins with.
fn end_of_string(text: &str) -> usize {
    let mut escaped = false;
    let end = text.bytes().enumerate().skip(1).find(|(_, byte)| {
        let ends = *byte == b'"' && !escaped;
        escaped = *byte == b'\\' && !escaped;
        ends
    });
    end.map_or(text.len(), |(at, _)| at + 1)
}

#[cfg(test)]
mod tests;
