//! One line for each request, in the form that Apache's `combined` made common, with a little more at its end.

use std::fmt;
use std::net::IpAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Instant;

use axum::body::{Body, HttpBody};
use axum::extract::Request;
use axum::http::header::{AUTHORIZATION, RANGE, USER_AGENT};
use axum::http::{HeaderName, Method, StatusCode, Uri, Version};
use axum::response::Response;
use bytes::Bytes;
use http_body::{Frame, SizeHint};
use time::OffsetDateTime;
use time::macros::format_description;

use crate::problem::Cause;
use crate::users;

/// Takes what is known of a request once its answer was sent, or given up. Written out, it is a line.
pub type Log = Arc<dyn Fn(&Exchange) + Send + Sync>;

/// A request and its answer.
#[derive(Debug)]
pub struct Exchange {
    peer: IpAddr,
    user: Option<String>,
    time: OffsetDateTime,
    started: Instant,
    method: Method,
    uri: Uri,
    version: Version,
    agent: String,
    /// How many ranges the request asks for.
    ranges: usize,
    status: StatusCode,
    /// Bytes of the answer's body that were sent.
    sent: u64,
    cause: Option<Cause>,
}

impl Exchange {
    /// Returns when the request came.
    pub fn started(&self) -> Instant {
        self.started
    }

    /// Returns its path.
    pub fn path(&self) -> &str {
        self.uri.path()
    }

    /// Returns its method.
    pub fn method(&self) -> &str {
        self.method.as_str()
    }

    /// Returns how many ranges it asks for.
    pub fn ranges(&self) -> usize {
        self.ranges
    }

    /// Returns the status of the answer.
    pub fn status(&self) -> u16 {
        self.status.as_u16()
    }

    /// Returns how many bytes of the answer's body were sent.
    pub fn sent(&self) -> u64 {
        self.sent
    }
}

/// An exchange that is told when it is over.
struct Entry {
    log: Log,
    exchange: Exchange,
}

/// A request that will be logged.
pub(crate) struct Logged(Entry);

impl Logged {
    /// Remembers what a request is.
    pub(crate) fn start(log: &Log, peer: IpAddr, request: &Request) -> Self {
        let header = |name: HeaderName| request.headers().get(name).map(|value| value.as_bytes());
        let text = |name| header(name).map(|value| clean(&String::from_utf8_lossy(value)));
        let exchange = Exchange {
            peer,
            user: header(AUTHORIZATION).and_then(users::user).map(|user| clean(&user)),
            time: OffsetDateTime::now_utc(),
            started: Instant::now(),
            method: request.method().clone(),
            uri: request.uri().clone(),
            version: request.version(),
            agent: text(USER_AGENT).unwrap_or_else(|| "-".to_owned()),
            ranges: header(RANGE).map_or(0, |value| value.split(|byte| *byte == b',').count()),
            status: StatusCode::OK,
            sent: 0,
            cause: None,
        };
        Self(Entry { log: Arc::clone(log), exchange })
    }

    /// Writes the line when the answer was sent, or given up.
    pub(crate) fn finish(mut self, response: Response) -> Response {
        self.0.exchange.status = response.status();
        self.0.exchange.cause = response.extensions().get::<Cause>().cloned();
        response.map(|inner| Body::new(LoggedBody { inner, entry: self.0 }))
    }
}

/// A body that counts what is sent of it.
struct LoggedBody {
    inner: Body,
    entry: Entry,
}

impl HttpBody for LoggedBody {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        let frame = ready!(Pin::new(&mut self.inner).poll_frame(cx));
        if let Some(Ok(frame)) = &frame {
            let len = frame.data_ref().map_or(0, Bytes::len);
            let exchange = &mut self.entry.exchange;
            exchange.sent = exchange.sent.saturating_add(len as u64);
        }
        Poll::Ready(frame)
    }

    fn is_end_stream(&self) -> bool {
        self.inner.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.inner.size_hint()
    }
}

impl Drop for Entry {
    fn drop(&mut self) {
        (self.log)(&self.exchange);
    }
}

/// Writes it in the form that Apache's `combined` made common, with a little more at its end.
impl fmt::Display for Exchange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let format = format_description!("[day]/[month repr:short]/[year]:[hour]:[minute]:[second] +0000");
        let time = self.time.format(format).unwrap_or_default();
        write!(f, "{} - {} [{time}]", self.peer, self.user.as_deref().unwrap_or("-"))?;
        let uri = clean(&self.uri.to_string());
        write!(f, " \"{} {uri} {:?}\" {} {}", self.method, self.version, self.status.as_u16(), self.sent)?;
        write!(f, " \"-\" \"{}\"", self.agent)?;
        write!(f, " ranges={} ms={}", self.ranges, self.started.elapsed().as_millis())?;
        match &self.cause {
            Some(Cause(cause)) => write!(f, " error=\"{}\"", clean(cause)),
            None => Ok(()),
        }
    }
}

/// Makes a text one that cannot be taken for another field or line.
fn clean(text: &str) -> String {
    text.chars().take(1000).map(|c| if c.is_control() || c == '"' { '\'' } else { c }).collect()
}
