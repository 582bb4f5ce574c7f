//! What a client is told when it does not get what it asked for (OCI distribution-spec, "Error Codes").

use std::{io, iter};

use axum::body::Body;
use axum::http::header::{CONTENT_TYPE, HeaderName};
use axum::http::{HeaderValue, Response, StatusCode};
use axum::response::IntoResponse;
use serde::Serialize;
use serde_json::Value;

use crate::error::Error;
use crate::route;

/// Most single errors in one answer.
const ERRORS_MAX: usize = 100;

/// The codes of the spec.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub(crate) enum Code {
    BlobUnknown,
    BlobUploadInvalid,
    BlobUploadUnknown,
    DigestInvalid,
    ManifestBlobUnknown,
    ManifestInvalid,
    ManifestUnknown,
    NameInvalid,
    NameUnknown,
    SizeInvalid,
    Unauthorized,
    Unsupported,
    #[serde(rename = "TOOMANYREQUESTS")]
    TooManyRequests,
    /// Not of the spec: this machine failed. Other registries use it, too.
    Unknown,
}

/// An answer that says no, and why.
#[derive(Debug)]
pub(crate) struct Problem {
    status: StatusCode,
    errors: Vec<Reason>,
    headers: Vec<(HeaderName, HeaderValue)>,
    /// What the one who runs the server should know, and the client should not.
    pub(crate) cause: Option<String>,
}

/// One thing that is wrong.
#[derive(Debug, Serialize)]
pub(crate) struct Reason {
    pub(crate) code: Code,
    pub(crate) message: String,
    #[serde(skip_serializing_if = "Value::is_null")]
    pub(crate) detail: Value,
}

impl Problem {
    /// Says one thing.
    pub(crate) fn new(status: StatusCode, code: Code, message: impl Into<String>) -> Self {
        Self::of(status, vec![Reason { code, message: message.into(), detail: Value::Null }])
    }

    /// Says several things, or one with details.
    pub(crate) fn of(status: StatusCode, mut errors: Vec<Reason>) -> Self {
        errors.truncate(ERRORS_MAX);
        Self { status, errors, headers: Vec::new(), cause: None }
    }

    /// Adds a header.
    pub(crate) fn with(mut self, name: HeaderName, value: impl TryInto<HeaderValue>) -> Self {
        self.headers.extend(value.try_into().ok().map(|value| (name, value)));
        self
    }

    /// Says that the method makes no sense at a path, and which ones do.
    pub(crate) fn method(allowed: &'static str) -> Self {
        let message = format!("expected one of the methods {allowed}");
        Self::new(StatusCode::METHOD_NOT_ALLOWED, Code::Unsupported, message)
            .with(axum::http::header::ALLOW, allowed)
    }

    /// Says that there is no such repository.
    pub(crate) fn no_repository(name: &route::RepositoryName) -> Self {
        let message = format!("there is no repository `{name}`");
        Self::new(StatusCode::NOT_FOUND, Code::NameUnknown, message)
    }
}

impl From<route::Invalid> for Problem {
    fn from(invalid: route::Invalid) -> Self {
        use route::Invalid::{Digest, Number, Path, Reference, Repository, Reserved};
        let (status, code) = match invalid {
            Path => (StatusCode::NOT_FOUND, Code::Unsupported),
            Repository(_) | Reserved(_) => (StatusCode::BAD_REQUEST, Code::NameInvalid),
            // Nothing can have such a name; the conformance tests of the spec want to hear that it is not there.
            Reference(_) => (StatusCode::NOT_FOUND, Code::ManifestUnknown),
            Digest(_) => (StatusCode::BAD_REQUEST, Code::DigestInvalid),
            Number(_) => (StatusCode::BAD_REQUEST, Code::Unsupported),
        };
        Self::new(status, code, invalid.to_string())
    }
}

impl From<Error> for Problem {
    /// The client is not told which file of this machine it is about.
    fn from(error: Error) -> Self {
        let causes = iter::successors(Some(&error as &dyn std::error::Error), |error| error.source());
        let is_full = causes.clone().any(|cause| {
            let kind = cause.downcast_ref().map(io::Error::kind);
            matches!(kind, Some(io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded))
        });
        let (status, message) = match &error {
            _ if is_full => (StatusCode::INSUFFICIENT_STORAGE, "the registry's disk is full"),
            Error::Layout(registry::Error::FileTooLong { .. }) | Error::TooManyManifests { .. } => (
                StatusCode::INSUFFICIENT_STORAGE,
                "the repository has more tags and manifests than its list can hold",
            ),
            _ => (StatusCode::INTERNAL_SERVER_ERROR, "the registry cannot read or write its files"),
        };
        let cause = causes.map(ToString::to_string).collect::<Vec<_>>().join(": ");
        Self { cause: Some(cause), ..Self::new(status, Code::Unknown, message) }
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response<Body> {
        let body = serde_json::json!({ "errors": self.errors }).to_string();
        let mut response = Response::new(Body::from(body));
        *response.status_mut() = self.status;
        response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
        response.headers_mut().extend(self.headers);
        if let Some(cause) = self.cause {
            response.extensions_mut().insert(Cause(cause));
        }
        response
    }
}

/// Why this machine failed, for the log.
#[derive(Debug, Clone)]
pub(crate) struct Cause(pub(crate) String);

#[cfg(test)]
mod tests {
    use super::*;

    fn say(error: Error) -> String {
        let problem = Problem::from(error);
        let cause = problem.cause.clone().unwrap_or_default();
        format!("{} {} | {cause}", problem.status, problem.errors[0].message)
    }

    #[test]
    fn clients_are_not_told_of_files_and_the_log_is() {
        let io = |kind| Error::Io { action: "write", path: "/srv/a".into(), source: io::Error::from(kind) };
        let long = registry::Error::FileTooLong { path: "/srv/a/index.json".into(), limit: 4 };
        insta::assert_snapshot!(say(io(io::ErrorKind::StorageFull)), @"507 Insufficient Storage the registry's disk is full | cannot write `/srv/a`: no storage space");
        insta::assert_snapshot!(say(io(io::ErrorKind::PermissionDenied)), @"500 Internal Server Error the registry cannot read or write its files | cannot write `/srv/a`: permission denied");
        insta::assert_snapshot!(say(Error::Layout(long)), @"507 Insufficient Storage the repository has more tags and manifests than its list can hold | `/srv/a/index.json` is longer than 4 bytes");
    }
}
