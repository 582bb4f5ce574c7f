//! What every request needs, and what comes before and after each: who may come in, and the log.

use std::net::IpAddr;
use std::sync::Arc;

use axum::extract::{Extension, Request, State};
use axum::http::header::{AUTHORIZATION, WWW_AUTHENTICATE};
use axum::http::{HeaderValue, StatusCode};
use axum::middleware::{Next, from_fn_with_state};
use axum::response::{IntoResponse, Response};
use axum::{Router, body::Body};
use tokio::sync::Semaphore;
use tokio::task::spawn_blocking;

use crate::access_log::{Log, Logged};
use crate::bodies::BODIES_MAX;
use crate::handlers;
use crate::policy::IndexPolicy;
use crate::problem::{Code, Problem};
use crate::repositories::Repositories;
use crate::uploads::Uploads;
use crate::users::Users;

/// Most passwords that are checked at once: each takes a processor for a while.
const PASSWORDS_MAX: usize = 2;

/// What clients may do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Access {
    /// Pull, push and delete.
    #[default]
    ReadWrite,
    /// Pull.
    ReadOnly,
}

/// Which requests for ranges are served as such.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Serves {
    /// Those for any number of ranges.
    #[default]
    Many,
    /// Those for one range; several get the whole blob, as S3 sends it.
    One,
    /// Those for one range; several get 501, as GHCR sends it.
    OneOrNothing,
    /// None: it is always the whole blob.
    Whole,
}

/// A registry, apart from its socket.
pub(crate) struct App {
    pub(crate) repositories: Repositories,
    pub(crate) uploads: Uploads,
    pub(crate) policy: IndexPolicy,
    pub(crate) access: Access,
    pub(crate) users: Option<Arc<Users>>,
    pub(crate) passwords: Semaphore,
    /// Places for blobs that are being sent.
    pub(crate) bodies: Arc<Semaphore>,
    pub(crate) log: Option<Log>,
    pub(crate) serves: Serves,
}

/// Whose connection it is.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Peer(pub(crate) IpAddr);

impl App {
    pub(crate) fn new(repositories: Repositories) -> Self {
        Self {
            repositories,
            uploads: Uploads::default(),
            policy: IndexPolicy::default(),
            access: Access::default(),
            users: None,
            passwords: Semaphore::new(PASSWORDS_MAX),
            bodies: Arc::new(Semaphore::new(BODIES_MAX)),
            log: None,
            serves: Serves::default(),
        }
    }

    /// Puts the request's way together. Names contain slashes, so paths are taken apart by [`crate::route`].
    pub(crate) fn router(self: Arc<Self>) -> Router {
        Router::new()
            .fallback(handlers::answer)
            .layer(from_fn_with_state(Arc::clone(&self), admit))
            .layer(from_fn_with_state(Arc::clone(&self), log))
            .with_state(self)
    }
}

/// Lets in whoever has a password, if there are any.
async fn admit(State(app): State<Arc<App>>, request: Request, next: Next) -> Response {
    let header = request.headers().get(AUTHORIZATION).cloned();
    match app.is_admitted(header).await {
        true => next.run(request).await,
        false => Problem::new(StatusCode::UNAUTHORIZED, Code::Unauthorized, "a name and password are needed")
            .with(WWW_AUTHENTICATE, "Basic realm=\"morsel\", charset=\"UTF-8\"")
            .into_response(),
    }
}

impl App {
    async fn is_admitted(&self, header: Option<HeaderValue>) -> bool {
        let Some(users) = &self.users else { return true };
        let Some(header) = header else { return false };
        if users.knows(header.as_bytes()) {
            return true;
        }
        let Ok(_permit) = self.passwords.acquire().await else { return false };
        let users = Arc::clone(users);
        spawn_blocking(move || users.admit(header.as_bytes())).await.unwrap_or(false)
    }
}

async fn log(
    State(app): State<Arc<App>>,
    Extension(Peer(peer)): Extension<Peer>,
    request: Request<Body>,
    next: Next,
) -> Response {
    let Some(log) = &app.log else { return next.run(request).await };
    let logged = Logged::start(log, peer, &request);
    logged.finish(next.run(request).await)
}
