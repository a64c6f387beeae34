//! Errors of the APIs, as RFC 9457 problems.

use std::fmt;

use axum::response::{IntoResponse, Response};
use http::{HeaderValue, StatusCode, header};
use monkeyci_api::{Denied, Problem, STORE_FULL, UNKNOWN_TOKEN, is_disk_full};
use monkeyci_build::CommandError;
use serde::de::DeserializeOwned;

use crate::disk::DiskError;
use crate::running::{Refused, WordsError};

const PROBLEM: &str = "application/problem+json";

/// How a host says that it does not drive a build.
pub(crate) const NOT_HERE: StatusCode = StatusCode::MISDIRECTED_REQUEST;

/// An answer that is an error.
#[derive(Clone, Debug)]
pub(crate) struct Refusal {
    status: StatusCode,
    title: &'static str,
    detail: String,
}

impl Refusal {
    fn new(status: StatusCode, title: &'static str, detail: impl fmt::Display) -> Self {
        Self { status, title, detail: detail.to_string() }
    }

    pub(crate) fn unauthorised(detail: impl fmt::Display) -> Self {
        Self::new(StatusCode::UNAUTHORIZED, "unauthorised", detail)
    }

    /// A token that this host has not made. It may be one of a build that it is about to go on with.
    pub(crate) fn unknown_token(detail: impl fmt::Display) -> Self {
        Self::new(StatusCode::UNAUTHORIZED, UNKNOWN_TOKEN, detail)
    }

    pub(crate) fn denied(detail: impl fmt::Display) -> Self {
        Self::new(StatusCode::FORBIDDEN, "denied", detail)
    }

    /// The same, in other words if it is a denial: what would be needed, for those who know nothing of tokens.
    pub(crate) fn or_if_denied(self, words: impl FnOnce() -> String) -> Self {
        if self.status == StatusCode::FORBIDDEN { Self::denied(words()) } else { self }
    }

    pub(crate) fn not_found(detail: impl fmt::Display) -> Self {
        Self::new(StatusCode::NOT_FOUND, "not found", detail)
    }

    /// Whether it says that something is not there.
    pub(crate) fn is_not_found(&self) -> bool {
        self.status == StatusCode::NOT_FOUND
    }

    pub(crate) fn invalid(detail: impl fmt::Display) -> Self {
        Self::new(StatusCode::BAD_REQUEST, "invalid request", detail)
    }

    pub(crate) fn conflict(detail: impl fmt::Display) -> Self {
        Self::new(StatusCode::CONFLICT, "conflict", detail)
    }

    /// The same request may go well in a moment.
    pub(crate) fn busy(detail: impl fmt::Display) -> Self {
        Self::new(StatusCode::SERVICE_UNAVAILABLE, "busy", detail)
    }

    pub(crate) fn too_large(detail: impl fmt::Display) -> Self {
        Self::new(StatusCode::PAYLOAD_TOO_LARGE, "too large", detail)
    }

    pub(crate) fn too_many(detail: impl fmt::Display) -> Self {
        Self::new(StatusCode::TOO_MANY_REQUESTS, "limit reached", detail)
    }

    /// Somebody else drives the build, or nobody.
    pub(crate) fn not_here(detail: impl fmt::Display) -> Self {
        Self::new(NOT_HERE, "not here", detail)
    }

    pub(crate) fn build_over(detail: impl fmt::Display) -> Self {
        Self::new(StatusCode::GONE, "build over", detail)
    }

    /// A store failed. The detail is kept for our own log: a bearer learns nothing of the host's inside, only whether it is full.
    pub(crate) fn store(what: &str, error: impl std::error::Error + 'static) -> Self {
        if let Some(limit) = DiskError::of(&error) {
            return limit.clone().into();
        }
        tracing::error!(%error, "{what}: the store failed");
        let title = if is_disk_full(&error) { STORE_FULL } else { "store failed" };
        let state = if title == STORE_FULL { "is full" } else { "failed" };
        Self::new(StatusCode::INSUFFICIENT_STORAGE, title, format_args!("{what}: the host's store {state}"))
    }
}

impl From<DiskError> for Refusal {
    fn from(error: DiskError) -> Self {
        match error {
            DiskError::UsedUp { .. } => Self::too_many(error),
            DiskError::Reserve => Self::new(StatusCode::INSUFFICIENT_STORAGE, STORE_FULL, error),
        }
    }
}

impl From<Denied> for Refusal {
    fn from(denied: Denied) -> Self {
        if denied.is_invalid_token() { Self::unauthorised(denied) } else { Self::denied(denied) }
    }
}

impl From<Refused> for Refusal {
    fn from(refused: Refused) -> Self {
        match refused {
            Refused::Over(over) => Self::build_over(over),
            Refused::Command(error) => error.into(),
        }
    }
}

impl From<CommandError> for Refusal {
    fn from(error: CommandError) -> Self {
        match error {
            CommandError::NoJob { .. } | CommandError::Removed { .. } => Self::not_found(error),
            CommandError::NotBlocked { .. }
            | CommandError::NotHeld { .. }
            | CommandError::AttemptOver { .. }
            | CommandError::DefineOver
            | CommandError::ArtifactSaved { .. }
            | CommandError::Reported { .. } => Self::conflict(error),
            CommandError::Faults(_)
            | CommandError::WaitsForNothing
            | CommandError::WaitsForItself { .. }
            | CommandError::Cycle(_) => Self::invalid(error),
            CommandError::WordsUsedUp
            | CommandError::ToldUsedUp
            | CommandError::ResultsUsedUp
            | CommandError::TestReportsUsedUp => Self::too_many(error),
        }
    }
}

impl From<WordsError> for Refusal {
    fn from(error: WordsError) -> Self {
        match error {
            WordsError::Invalid(_) => Self::invalid(error),
            WordsError::TooLong { .. } => Self::too_large(error),
        }
    }
}

/// What a body says.
pub(crate) fn parse<T: DeserializeOwned>(body: &[u8]) -> Result<T, Refusal> {
    serde_json::from_slice(body)
        .map_err(|error| Refusal::invalid(format!("the body is not what it should be: {error}")))
}

impl IntoResponse for Refusal {
    fn into_response(self) -> Response {
        let problem = Problem { status: self.status.as_u16(), title: self.title.to_owned(), detail: self.detail };
        let body = serde_json::to_vec(&problem).unwrap_or_default();
        let mut response = (self.status, body).into_response();
        response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static(PROBLEM));
        response
    }
}

/// A body that is too large is refused before any handler sees it. This puts that into words like all others.
pub(crate) async fn in_words(response: Response) -> Response {
    let worded = response.headers().get(header::CONTENT_TYPE).is_some_and(|kind| kind == PROBLEM);
    if worded || response.status() != StatusCode::PAYLOAD_TOO_LARGE {
        return response;
    }
    Refusal::too_large("this is more than one call may hand over; say it in several, or as an artifact").into_response()
}

pub(crate) async fn no_such_path() -> Refusal {
    Refusal::not_found("the build API has no such path")
}

pub(crate) async fn no_such_method() -> Refusal {
    Refusal::new(StatusCode::METHOD_NOT_ALLOWED, "method not allowed", "this path has no such method")
}
