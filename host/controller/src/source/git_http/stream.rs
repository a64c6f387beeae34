//! A question to a git server and its answer, as libgit2 writes the one and reads the other.

use std::io::{self, Read, Write};
use std::sync::Arc;

use bytes::{Buf, Bytes};
use reqwest::Response;

use super::server::{cause, host};
use super::{Fetch, HttpError, Question};
use crate::source::git_url::HttpAddress;

/// A question and its answer: libgit2 writes the one and reads the other.
pub(super) struct Stream {
    pub(super) fetch: Arc<Fetch>,
    /// The repository, if it is not the fetch's own.
    pub(super) other: Option<HttpAddress>,
    pub(super) question: Question,
    pub(super) at: At,
}

pub(super) enum At {
    /// This much of the question is written.
    Asking(Vec<u8>),
    Answering {
        response: Response,
        chunk: Bytes,
        read: u64,
    },
    Failed,
}

impl Stream {
    fn address(&self) -> &HttpAddress {
        self.other.as_ref().unwrap_or(&self.fetch.address)
    }

    /// Gets some of the answer; none of it is its end.
    fn fill(&mut self) -> Result<&mut Bytes, HttpError> {
        if let At::Asking(body) = &mut self.at {
            let body = std::mem::take(body).into();
            let response = self.fetch.ask(self.address(), self.question, &body)?;
            self.at = At::Answering { response, chunk: Bytes::new(), read: 0 };
        }
        let At::Answering { response, chunk, read } = &mut self.at else { return Err(HttpError::Cancelled) };
        while chunk.is_empty() {
            let url = response.url().clone();
            let broken = |error: &reqwest::Error| HttpError::BrokenOff { host: host(&url), reason: cause(error) };
            let Some(next) = self.fetch.wait(&url, response.chunk(), broken)? else { break };
            *read += next.len() as u64;
            let limit = self.fetch.limits.refs;
            if self.question == Question::Refs && *read > limit {
                return Err(HttpError::TooManyRefs { host: host(&url), limit });
            }
            *chunk = next;
        }
        Ok(chunk)
    }
}

impl Read for Stream {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        match self.fill() {
            Ok(chunk) => {
                let length = chunk.len().min(buffer.len());
                chunk.copy_to_slice(&mut buffer[..length]);
                Ok(length)
            }
            Err(error) => {
                self.at = At::Failed;
                Err(self.fetch.fail(error))
            }
        }
    }
}

impl Write for Stream {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let limit = self.fetch.limits.question;
        match &mut self.at {
            At::Asking(body) if body.len() + bytes.len() <= limit => {
                body.extend_from_slice(bytes);
                Ok(bytes.len())
            }
            _ => {
                let host = host(&self.address().url);
                self.at = At::Failed;
                Err(self.fetch.fail(HttpError::TooLongQuestion { host, limit }))
            }
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
