//! Services of `jobs`.

use std::cell::RefCell;
use std::time::Duration;

use super::secrets::Secret;
use crate::testing::{DeclaredService, Value};

#[derive(Debug)]
pub struct Service {
    declared: RefCell<DeclaredService>,
}

impl Service {
    pub fn new(name: &str, image: &str) -> Self {
        let declared = DeclaredService { name: name.to_owned(), image: image.to_owned(), ..DeclaredService::default() };
        Self { declared: RefCell::new(declared) }
    }

    pub(super) fn into_declared(self) -> DeclaredService {
        self.declared.into_inner()
    }

    pub fn argv(&self, argv: &[String]) {
        self.declared.borrow_mut().argv = Some(argv.to_vec());
    }

    pub fn env(&self, name: &str, value: &str) {
        self.declared.borrow_mut().env.insert(name.to_owned(), Value::Text(value.to_owned()));
    }

    pub fn secret_env(&self, name: &str, secret: &Secret) {
        self.declared.borrow_mut().env.insert(name.to_owned(), Value::Secret(secret.name()));
    }

    pub fn ready_port(&self, port: u16) {
        self.declared.borrow_mut().ready_port = Some(port);
    }

    pub fn ready_command(&self, argv: &[String]) {
        self.declared.borrow_mut().ready_command = Some(argv.to_vec());
    }

    pub fn ready_timeout(&self, ms: u64) {
        self.declared.borrow_mut().ready_timeout = Some(Duration::from_millis(ms));
    }
}
