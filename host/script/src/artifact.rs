//! A compiled script on its way from the compiler to the engine: a file of machine code.
//!
//! It is a file and not bytes so that the host maps it: of a large script, only the pages that are used come into its
//! memory. And a compiler that is a process of its own can write it.

use std::fs::File;
use std::io::{self, Read, Seek};
use std::os::fd::AsRawFd;

use wasmtime::Engine;
use wasmtime::component::Component;

/// A file that holds what a compiler made, and perhaps something behind it.
#[derive(Debug)]
pub(crate) struct Artifact(File);

impl From<File> for Artifact {
    fn from(file: File) -> Self {
        Self(file)
    }
}

impl Artifact {
    /// The file, to be read from its start.
    pub(crate) fn rewound(&mut self) -> io::Result<&mut File> {
        self.0.rewind()?;
        Ok(&mut self.0)
    }

    /// Maps the code; copies it where that can't be done.
    ///
    /// # Errors
    /// When it is nothing for this engine: made by another version, or for other settings.
    ///
    /// # Safety
    /// What the file holds is run: it has to be what a compiler of this host wrote, and nobody may write to it any more.
    pub(crate) unsafe fn load(&mut self, engine: &Engine) -> wasmtime::Result<Component> {
        // By the descriptor: what stands at a path now need not be what was checked.
        let path = format!("/proc/self/fd/{}", self.0.as_raw_fd());
        // SAFETY: the caller's promise.
        let mapped = unsafe { Component::deserialize_file(engine, path) };
        mapped.or_else(|error| {
            // A home on a file system that is mounted `noexec` can be read, and not run.
            tracing::debug!(%error, "a compiled script can't be mapped, so it is copied");
            let mut bytes = Vec::new();
            self.rewound()?.read_to_end(&mut bytes)?;
            // SAFETY: the caller's promise.
            unsafe { Component::deserialize(engine, &bytes) }
        })
    }
}
