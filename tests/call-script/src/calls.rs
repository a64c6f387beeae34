//! The calls, and what they leave in the guest's hands.

use monkeyci_sdk::__bindings::monkeyci::script::{
    artifacts, build_info, events, files, jobs, params, process, results, secrets, types, workspace,
};

use crate::setters;
use crate::words::Given;

/// What the guest holds. A call is about the last of its kind.
#[derive(Default)]
pub struct Machine {
    pub jobs: Vec<jobs::Job>,
    pub services: Vec<jobs::Service>,
    pub params: Vec<params::Param>,
    pub secrets: Vec<secrets::Secret>,
    outcomes: Vec<jobs::Outcome>,
    events: Vec<events::Event>,
    subscriptions: Vec<events::Subscription>,
    readers: Vec<files::Reader>,
    writers: Vec<artifacts::Writer>,
    saved: Vec<artifacts::Artifact>,
    hoard: Vec<Vec<u8>>,
}

/// An error of a call, in words.
pub fn text(error: &types::Error) -> String {
    use types::Error;
    match error {
        Error::Denied(text) => format!("denied: {text}"),
        Error::NotFound(text) => format!("not found: {text}"),
        Error::Invalid(text) => format!("invalid: {text}"),
        Error::Conflict(text) => format!("conflict: {text}"),
        Error::Quota(text) => format!("quota: {text}"),
        Error::Unavailable(text) => format!("unavailable: {text}"),
        Error::Other(text) => format!("other: {text}"),
    }
}

fn done<T>(result: Result<T, types::Error>) -> Result<T, String> {
    result.map_err(|error| text(&error))
}

/// The last one, or nothing is done.
macro_rules! last {
    ($list:expr) => {
        match $list.last() {
            Some(last) => last,
            None => return Ok(()),
        }
    };
}

impl Machine {
    /// Makes a call.
    ///
    /// # Errors
    /// What the call returned.
    pub fn step(&mut self, call: &str, given: &Given) -> Result<(), String> {
        let text = |at| given.text(at);
        match call {
            "action" => self.jobs.push(jobs::Job::action(text(0))),
            "container" => self.jobs.push(jobs::Job::container(text(0))),
            "forget-job" => drop(self.jobs.pop()),
            "submit" => done(jobs::submit(&self.jobs.iter().collect::<Vec<_>>()))?,
            "submit-same" => done(jobs::submit(&vec![last!(self.jobs); given.number(0)]))?,
            "wait-any" => {
                let limit = given.text(0).parse().ok();
                if let Some(id) = done(jobs::wait_any(given.rest(1), limit))? {
                    println!("over: {id}");
                }
            }
            "look-up" => self.outcomes.push(done(jobs::look_up(text(0)))?),
            "argument" => println!("{:?}", jobs::argument()),
            "outcome" => {
                let outcome = last!(self.outcomes);
                let numbers = (outcome.exit_code(), outcome.duration(), outcome.coverage());
                println!("{:?} {:?} {numbers:?} {:?}", outcome.status(), outcome.message(), outcome.output(text(0)));
                println!("{} {}", outcome.outputs().len(), outcome.links().len());
                if let Some(tests) = outcome.tests() {
                    println!("{} {} {} {:?}", tests.total(), tests.failed(), tests.skipped(), tests.failures());
                }
            }
            "forget-outcome" => drop(self.outcomes.pop()),
            "service" => self.services.push(jobs::Service::new(text(0), text(1))),
            "param" => self.params.push(params::Param::new(text(0))),
            "param-value" => println!("{:?}", done(last!(self.params).value())?),
            "get-param" => println!("{:?}", done(params::get(text(0)))?),
            "param-names" => println!("{:?}", done(params::names())?),
            "secret" => self.secrets.push(done(secrets::named(text(0)))?),
            "get-secret" => self.secrets.push(done(secrets::get(text(0)))?),
            "secret-names" => println!("{:?}", done(secrets::names())?),
            "reveal" => println!("{}", done(last!(self.secrets).reveal())?.len()),
            "publish" => done(events::publish(text(0), text(1)))?,
            "report" => done(events::report(text(0)))?,
            "log" => events::log(events::Level::Warn, text(0)),
            "subscribe" => self.subscriptions.push(events::Subscription::new()),
            "from-start" => last!(self.subscriptions).from_start(),
            "of-kind" => last!(self.subscriptions).kind(text(0)),
            "named" => last!(self.subscriptions).named(text(0)),
            "of-job" => last!(self.subscriptions).of_job(text(0)),
            "next" => self.events.extend(done(last!(self.subscriptions).next(given.number(0)))?),
            "event" => {
                let event = last!(self.events);
                println!("{} {:?} {:?} {}", event.kind(), event.name(), event.job(), event.payload());
            }
            "forget-event" => drop(self.events.pop()),
            "message" => done(results::message(text(0)))?,
            "warn" => done(results::warn(text(0)))?,
            "skip-rest" => done(results::skip(text(0)))?,
            "output" => done(results::output(text(0), text(1)))?,
            "link" => done(results::link(text(0), text(1)))?,
            "hand-in-tests" => done(results::test_report(text(0)))?,
            "coverage" => done(results::coverage(given.text(0).parse().unwrap_or(f64::NAN)))?,
            "read-file" => println!("{}", done(workspace::read_file(text(0)))?.len()),
            "open" => self.readers.push(done(workspace::open(text(0)))?),
            "read" => println!("{}", done(last!(self.readers).read(given.number(0)))?.len()),
            "forget-reader" => drop(self.readers.pop()),
            "read-dir" => println!("{}", done(workspace::read_dir(text(0)))?.len()),
            "glob" => println!("{}", done(workspace::glob(given.rest(0)))?.len()),
            "stat" => println!("{}", done(workspace::stat(text(0)))?.is_some()),
            "hash-files" => println!("{}", done(workspace::hash_files(given.rest(0)))?),
            "write-file" => done(workspace::write_file(text(0), text(1).as_bytes()))?,
            "append-file" => done(workspace::append_file(text(0), text(1).as_bytes()))?,
            "artifacts" => self.saved.extend(done(artifacts::list())?),
            "artifact" => println!("{} {}", last!(self.saved).id(), last!(self.saved).size()),
            "artifact-files" => println!("{}", done(artifacts::file_names(text(0)))?.len()),
            "open-artifact" => self.readers.push(done(artifacts::open(text(0), text(1)))?),
            "create" => self.writers.push(done(artifacts::create(text(0), text(1)))?),
            "write" => done(last!(self.writers).write(text(0).as_bytes()))?,
            "finish" => self.saved.push(done(last!(self.writers).finish())?),
            "forget-writer" => drop(self.writers.pop()),
            "save" => self.saved.push(done(artifacts::save(text(0), text(1)))?),
            "build-info" => {
                let files = (build_info::added_files().len(), build_info::renamed_files().len());
                println!("{} {:?} {files:?}", build_info::id(), build_info::commit());
            }
            // What a guest does by itself.
            "exit-status" => process::exit_status(given.number(0)),
            "print" => println!("{}", text(0)),
            "fail" => return Err(text(0).to_owned()),
            "panic" => panic!("{}", text(0)),
            "loop" => loop {
                std::hint::black_box(());
            },
            "recurse" => println!("{}", recurse(u64::MAX)),
            "sleep" => std::thread::sleep(std::time::Duration::from_millis(given.number(0))),
            "allocate" => self.hoard.push(vec![1; given.number::<usize>(0) << 20]),
            // As `allocate`, by a guest that takes a refusal well.
            "hoard" => {
                let mut more = Vec::new();
                let bytes = given.number::<usize>(0) << 20;
                more.try_reserve_exact(bytes).map_err(|_| format!("no more than {} hoards", self.hoard.len()))?;
                more.resize(bytes, 1);
                self.hoard.push(more);
            }
            "forget-memory" => drop(self.hoard.pop()),
            _ => setters::set(self, call, given),
        }
        Ok(())
    }
}

fn recurse(depth: u64) -> u64 {
    let array = std::hint::black_box([depth; 64]);
    if depth == 0 { 0 } else { recurse(depth - 1) + array[(depth % 64) as usize] }
}
