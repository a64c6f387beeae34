//! Services: containers beside a container job.

use std::time::Duration;

use crate::{Lines, Secret};

/// A container that lives beside a container job for as long as the job runs. What it writes is in the job's log, as a stream of its
/// own. One that ends while the job runs is said there at once, and in the job's result when the job fails.
///
/// ```
/// # use monkeyci_sdk::prelude::*;
/// fn database(version: &str) -> Service {
///     service("db", format!("postgres:{version}")).ready_port(5432)
/// }
/// ```
#[derive(Clone, Debug)]
pub struct Service {
    pub(crate) name: String,
    pub(crate) image: String,
    pub(crate) argv: Option<Vec<String>>,
    pub(crate) env: Vec<(String, String)>,
    pub(crate) secret_env: Vec<(String, Secret)>,
    pub(crate) ready_port: Option<u16>,
    pub(crate) ready_command: Option<Vec<String>>,
    pub(crate) ready_timeout: Option<Duration>,
}

/// A service that the job reaches on the host name `name`, made from `image`. The job waits for what [`Service::ready_port`] and
/// [`Service::ready_command`] say; a health check of the image is not run.
///
/// ```
/// # use monkeyci_sdk::prelude::*;
/// let database = service("db", "postgres:17").env("POSTGRES_PASSWORD", "test").ready_port(5432);
/// let test = container("test", "rust:1").shell(["cargo test"]).service(database);
/// ```
pub fn service(name: impl Into<String>, image: impl Into<String>) -> Service {
    Service {
        name: name.into(),
        image: image.into(),
        argv: None,
        env: Vec::new(),
        secret_env: Vec::new(),
        ready_port: None,
        ready_command: None,
        ready_timeout: None,
    }
}

impl Service {
    /// The program to run and its arguments. Without it: what the image says.
    pub fn argv<Kind>(mut self, argv: impl Lines<Kind>) -> Self {
        self.argv = Some(argv.into_lines());
        self
    }

    /// Sets an environment variable.
    pub fn env(mut self, name: impl Into<String>, value: impl Into<String>) -> Self {
        self.env.push((name.into(), value.into()));
        self
    }

    /// Sets an environment variable to a secret, which the script does not get to see.
    pub fn secret_env(mut self, name: impl Into<String>, secret: &Secret) -> Self {
        self.secret_env.push((name.into(), secret.clone()));
        self
    }

    /// The job starts when this TCP port accepts a connection.
    pub fn ready_port(mut self, port: u16) -> Self {
        self.ready_port = Some(port);
        self
    }

    /// The job starts when this command, run inside the service's container, exits with 0.
    pub fn ready_command<Kind>(mut self, argv: impl Lines<Kind>) -> Self {
        self.ready_command = Some(argv.into_lines());
        self
    }

    /// How long the service may take to become ready. Without it: 60 seconds.
    pub fn ready_timeout(mut self, limit: Duration) -> Self {
        self.ready_timeout = Some(limit);
        self
    }
}
