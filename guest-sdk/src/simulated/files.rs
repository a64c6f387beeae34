//! `files`.

use std::cell::Cell;
use std::rc::Rc;

use super::types::Error;

#[derive(Debug)]
pub struct Reader {
    bytes: Rc<[u8]>,
    at: Cell<usize>,
}

impl Reader {
    pub(super) fn new(bytes: Rc<[u8]>) -> Self {
        Self { bytes, at: Cell::new(0) }
    }

    pub fn size(&self) -> u64 {
        self.bytes.len() as u64
    }

    pub fn read(&self, max: u32) -> Result<Vec<u8>, Error> {
        let rest = &self.bytes[self.at.get()..];
        let part = &rest[..rest.len().min(max as usize).min(1 << 20)];
        self.at.set(self.at.get() + part.len());
        Ok(part.to_vec())
    }
}
