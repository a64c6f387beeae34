//! The rest of a body that nobody reads any more.
//!
//! A handler may answer before it has read a body to its end: the store is full, the token is not good for this. If the connection
//! were closed then, a client that still sends would find that it is broken, and not the answer that says why (RFC 9112, section 9.6).
//! So what is left of the body is read and thrown away, for a while.

use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use axum::body::Body;
use bytes::Bytes;
use futures::StreamExt;
use hyper::body::{Frame, SizeHint};
use tokio::runtime::Handle;
use tokio::time::timeout;

/// A request's body. What its handler leaves of it is read on for as long as `patience` lasts.
#[derive(Debug)]
pub(super) struct Unread {
    body: Body,
    patience: Duration,
}

impl Unread {
    pub(super) fn new(body: Body, patience: Duration) -> Self {
        Self { body, patience }
    }
}

impl hyper::body::Body for Unread {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        Pin::new(&mut self.body).poll_frame(context)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

impl Drop for Unread {
    fn drop(&mut self) {
        if hyper::body::Body::is_end_stream(&self.body) {
            return;
        }
        // Without a runtime the connection is gone too.
        let Ok(runtime) = Handle::try_current() else { return };
        let mut body = std::mem::take(&mut self.body).into_data_stream();
        let patience = self.patience;
        // It ends with the connection at the latest, and counts as one of them.
        runtime.spawn(timeout(patience, async move { while let Some(Ok(_)) = body.next().await {} }));
    }
}
