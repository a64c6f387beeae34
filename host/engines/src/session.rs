//! A program that runs in a job's container beside the job: what goes in, and what comes out.

use std::pin::Pin;

use async_trait::async_trait;
use bytes::Bytes;
use futures::stream::BoxStream;
use tokio::io::AsyncWrite;

use crate::EngineError;

/// The size of a terminal, in characters.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TerminalSize {
    /// Its columns.
    pub columns: u16,
    /// Its rows.
    pub rows: u16,
}

/// What a program writes. One with a terminal writes all of it to its output.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SessionOutput {
    /// To its standard output.
    Stdout(Bytes),
    /// To its standard error.
    Stderr(Bytes),
}

/// A program that runs. Dropping this does not end it; it hears that nobody sits at its terminal any more.
pub struct Session {
    /// Its standard input. Shutting it down ends it; a terminal is ended by what is typed.
    pub input: Pin<Box<dyn AsyncWrite + Send>>,
    /// What it writes, to its end.
    pub output: BoxStream<'static, Result<SessionOutput, EngineError>>,
    /// What else there is to ask.
    pub control: Box<dyn SessionControl>,
}

/// What can be asked of a program that runs, or ran.
#[async_trait]
pub trait SessionControl: Send + Sync {
    /// Tells it that its terminal has another size.
    ///
    /// # Errors
    /// When the engine can't be told.
    async fn resize(&self, size: TerminalSize) -> Result<(), EngineError>;

    /// The code that it exited with, once its output has ended: 128 + n after signal n.
    ///
    /// # Errors
    /// When the engine does not say it.
    async fn exit_code(&self) -> Result<i64, EngineError>;
}
