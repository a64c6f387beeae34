//! `results`: what an action says of its own result.

use monkeyci_api::Body;

use super::Does;
use crate::bindings::monkeyci::script::results::Host;
use crate::bindings::monkeyci::script::types::Error;
use crate::store::State;

/// The longest value of an output, message or address, in bytes.
pub(crate) const TEXT: usize = 64 << 10;
/// The most outputs, and the most links.
pub(crate) const COUNT: usize = 1000;

impl State {
    /// Checks what every function of this interface checks first.
    fn may_say(&mut self, texts: &[&str]) -> wasmtime::Result<Result<(), Error>> {
        self.count_call()?;
        if let Err(error) = self.only_an_action() {
            return self.fails(error);
        }
        if let Some(long) = texts.iter().find(|text| text.len() > TEXT) {
            return self.fails(Error::Quota(format!("at most {TEXT} bytes are allowed; this has {}", long.len())));
        }
        if let Err(error) = self.may_say_more(texts.iter().map(|text| text.len()).sum()) {
            return self.fails(error);
        }
        Ok(Ok(()))
    }
}

impl Host for State {
    async fn message(&mut self, text: String) -> wasmtime::Result<Result<(), Error>> {
        Ok(self.may_say(&[&text])?.map(|()| self.said.results.message = Some(text)))
    }

    async fn warn(&mut self, text: String) -> wasmtime::Result<Result<(), Error>> {
        Ok(self.may_say(&[&text])?.map(|()| self.said.results.warning = Some(text)))
    }

    async fn skip(&mut self, reason: String) -> wasmtime::Result<Result<(), Error>> {
        Ok(self.may_say(&[&reason])?.map(|()| self.said.skip = Some(reason)))
    }

    async fn output(&mut self, name: String, value: String) -> wasmtime::Result<Result<(), Error>> {
        if let Err(error) = self.may_say(&[&value])? {
            return Ok(Err(error));
        }
        if !monkeyci_build::is_output_name(&name) {
            return self
                .fails(Error::Invalid(format!("{name:?} is no name of an output: use 1 to 128 of a-z A-Z 0-9 . _ -")));
        }
        let outputs = &mut self.said.results.outputs;
        if outputs.len() >= COUNT && !outputs.contains_key(&name) {
            return self.fails(Error::Quota(format!("a job has at most {COUNT} outputs")));
        }
        outputs.insert(name, value);
        Ok(Ok(()))
    }

    async fn link(&mut self, title: String, url: String) -> wasmtime::Result<Result<(), Error>> {
        if let Err(error) = self.may_say(&[&title, &url])? {
            return Ok(Err(error));
        }
        if !monkeyci_build::is_link(&url) {
            return self.fails(Error::Invalid(format!("{url:?} is no address of the web")));
        }
        if self.said.results.links.len() >= COUNT {
            return self.fails(Error::Quota(format!("a job has at most {COUNT} links")));
        }
        self.said.results.links.push((title, url));
        Ok(Ok(()))
    }

    async fn test_report(&mut self, junit: String) -> wasmtime::Result<Result<(), Error>> {
        if let Err(error) = self.may_say(&[])? {
            return Ok(Err(error));
        }
        let Some(job) = self.job.clone() else { return Ok(self.only_an_action()) };
        let request = format!("results.test-report({})", self.tape.digest(junit.as_bytes()));
        let client = self.client.clone();
        let report = async move || client.report_tests(&job, None, Body::from(junit)).await;
        self.told_of(Does::Effect, request, report).await
    }

    async fn coverage(&mut self, percent: f64) -> wasmtime::Result<Result<(), Error>> {
        if let Err(error) = self.may_say(&[])? {
            return Ok(Err(error));
        }
        if !(0.0..=100.0).contains(&percent) {
            return self.fails(Error::Invalid(format!("{percent} is no percentage")));
        }
        self.said.results.coverage = Some(percent);
        Ok(Ok(()))
    }
}
