//! Errors as answers: problems, as RFC 9457 has them.

use std::fmt;
use std::time::Duration;

use axum::response::{IntoResponse, Response};
use http::{HeaderValue, StatusCode, header};
use monkeyci_api::Problem;
use monkeyci_controller::{BuildLogError, BuildsError, CancelError, EventsError, OutsideError, ResumeError};

use crate::access::Denied;
use crate::error::StoreError;

pub(crate) const PROBLEM: &str = "application/problem+json";

/// An answer that is an error.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Refusal {
    status: StatusCode,
    title: &'static str,
    detail: String,
    /// When it is worth to come again.
    again: Option<Duration>,
}

impl Refusal {
    fn new(status: StatusCode, title: &'static str, detail: impl fmt::Display) -> Self {
        Self { status, title, detail: detail.to_string(), again: None }
    }

    pub(crate) fn invalid(detail: impl fmt::Display) -> Self {
        Self::new(StatusCode::BAD_REQUEST, "invalid request", detail)
    }

    pub(crate) fn unauthorised(detail: impl fmt::Display) -> Self {
        Self::new(StatusCode::UNAUTHORIZED, "unauthorised", detail)
    }

    pub(crate) fn denied(detail: impl fmt::Display) -> Self {
        Self::new(StatusCode::FORBIDDEN, "denied", detail)
    }

    pub(crate) fn not_found(detail: impl fmt::Display) -> Self {
        Self::new(StatusCode::NOT_FOUND, "not found", detail)
    }

    pub(crate) fn no_such_method() -> Self {
        Self::new(StatusCode::METHOD_NOT_ALLOWED, "method not allowed", "this path has no such method")
    }

    pub(crate) fn conflict(detail: impl fmt::Display) -> Self {
        Self::new(StatusCode::CONFLICT, "conflict", detail)
    }

    pub(crate) fn too_large(detail: impl fmt::Display) -> Self {
        Self::new(StatusCode::PAYLOAD_TOO_LARGE, "too large", detail)
    }

    pub(crate) fn wrong_type(detail: impl fmt::Display) -> Self {
        Self::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, "wrong type", detail)
    }

    pub(crate) fn other_request(detail: impl fmt::Display) -> Self {
        Self::new(StatusCode::UNPROCESSABLE_ENTITY, "another request", detail)
    }

    pub(crate) fn too_slow(detail: impl fmt::Display) -> Self {
        Self::new(StatusCode::REQUEST_TIMEOUT, "too slow", detail)
    }

    /// The same request may go well in a moment.
    pub(crate) fn busy(detail: impl fmt::Display) -> Self {
        Self { again: Some(Duration::from_secs(5)), ..Self::new(StatusCode::SERVICE_UNAVAILABLE, "busy", detail) }
    }

    /// So many builds wait already that no more are taken.
    pub(crate) fn full(of_repository: bool) -> Self {
        Self::busy(match of_repository {
            true => "too many builds of the repository wait to be started",
            false => "too many builds wait to be started",
        })
    }

    /// Something of this host failed. What, its own log says.
    pub(crate) fn failed(what: &str, error: impl fmt::Display) -> Self {
        tracing::error!(%error, "{what}");
        Self::new(
            StatusCode::INTERNAL_SERVER_ERROR,
            "the server failed",
            format_args!("{what}; the server's log says why"),
        )
    }

    fn problem(&self) -> Problem {
        Problem { status: self.status.as_u16(), title: self.title.to_owned(), detail: self.detail.clone() }
    }

    /// The problem, for the last event of a stream.
    pub(crate) fn to_json(&self) -> String {
        serde_json::to_string(&self.problem()).unwrap_or_default()
    }
}

impl From<Denied> for Refusal {
    fn from(denied: Denied) -> Self {
        match denied {
            Denied::Elsewhere => Self::not_found(denied),
            Denied::Scope(_) | Denied::OneRepository => Self::denied(denied),
        }
    }
}

impl From<StoreError> for Refusal {
    fn from(error: StoreError) -> Self {
        Self::failed("the database can't be used", error)
    }
}

impl From<BuildsError> for Refusal {
    fn from(error: BuildsError) -> Self {
        match error {
            BuildsError::NoBuild { build, .. } => {
                Self::not_found(format_args!("there is nothing of the build {build}"))
            }
            BuildsError::NoArtifact { .. } => Self::not_found(error),
            BuildsError::ArtifactLost { .. } => Self::new(StatusCode::GONE, "gone", error),
            error => Self::failed("the build can't be read", error),
        }
    }
}

impl From<EventsError> for Refusal {
    fn from(error: EventsError) -> Self {
        match error {
            // Whoever listens connects again, and hears the rest from whoever goes on with it.
            EventsError::Lost { build } => Self::busy(format_args!(
                "the build {build} has lost its host; when one goes on with it, so do its events"
            )),
            error => Self::failed("the build's events can't be read", error),
        }
    }
}

impl From<BuildLogError> for Refusal {
    fn from(error: BuildLogError) -> Self {
        Self::failed("the build's logs can't be read", error)
    }
}

impl From<OutsideError> for Refusal {
    fn from(error: OutsideError) -> Self {
        match error {
            OutsideError::Refused(reason) => Self::conflict(reason),
            // What else there is to say names places of this machine.
            error => {
                tracing::info!(%error, "a build was not reached");
                Self::conflict("nobody drives the build at the moment: it is over, or it has lost its host")
            }
        }
    }
}

impl From<CancelError> for Refusal {
    fn from(error: CancelError) -> Self {
        match error {
            CancelError::Resume(ResumeError::Over { build }) => {
                Self::conflict(format_args!("the build {build} is over"))
            }
            CancelError::Outside(error) => error.into(),
            error => Self::failed("the build can't be ended", error),
        }
    }
}

impl IntoResponse for Refusal {
    fn into_response(self) -> Response {
        let (status, again) = (self.status, self.again);
        let mut response = (status, self.to_json()).into_response();
        let headers = response.headers_mut();
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(PROBLEM));
        if status == StatusCode::UNAUTHORIZED {
            headers.insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
        }
        if let Some(again) = again {
            headers.insert(header::RETRY_AFTER, HeaderValue::from(again.as_secs()));
        }
        response
    }
}
