//! What a scripted registry saw.

use std::fmt;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};

use super::message::Head;

/// Which of the two ports a request came to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Host {
    /// The registry itself.
    Front,
    /// The blob host that it redirects to.
    Blobs,
}

/// A request, and what was answered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Request {
    /// The port it came to.
    pub host: Host,
    /// The number of its connection, from 0.
    pub connection: u64,
    /// `GET`, `HEAD` and so on.
    pub method: String,
    /// Path and query.
    pub path: String,
    /// The value of the `Range` header.
    pub range: Option<String>,
    /// Whether an `Authorization` header came along.
    pub authorization: bool,
    /// The status answered; 0 for none.
    pub status: u16,
    /// Bytes of the answer's body that were written to the connection.
    pub sent: u64,
    /// Bytes of the request's body that were read from it.
    pub received: u64,
}

impl fmt::Display for Request {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { host, connection, method, path, status, sent, received, .. } = self;
        write!(
            f,
            "{host:?} #{connection} {method} {path} -> {status}, {sent} bytes sent, {received} received"
        )?;
        if self.authorization {
            f.write_str(", authorized")?;
        }
        self.range.as_ref().map_or(Ok(()), |range| write!(f, ", {range}"))
    }
}

/// Sums of what a registry saw.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Counters {
    /// Requests on both ports.
    pub requests: u64,
    /// Bytes of answers' bodies.
    pub sent: u64,
    /// Bytes of requests' bodies.
    pub received: u64,
    /// Connections to both ports.
    pub connections: u64,
    /// The most connections that were open at once.
    pub most_connections: u64,
}

/// The requests so far. A request is listed before its body is answered, and its bytes are counted before they are
/// written, so that a client that has all of an answer finds all of it here.
#[derive(Debug, Default)]
pub(super) struct Log {
    requests: Mutex<Vec<Request>>,
    connections: AtomicU64,
    open: AtomicU64,
    most: AtomicU64,
}

impl Log {
    /// Counts a connection that opened, and returns its number and how many are open with it.
    pub(super) fn opened(&self) -> (u64, u64) {
        let open = self.open.fetch_add(1, Ordering::Relaxed) + 1;
        self.most.fetch_max(open, Ordering::Relaxed);
        (self.connections.fetch_add(1, Ordering::Relaxed), open)
    }

    pub(super) fn closed(&self) {
        self.open.fetch_sub(1, Ordering::Relaxed);
    }

    /// Lists a request, and returns its place.
    pub(super) fn list(&self, host: Host, connection: u64, head: &Head) -> usize {
        let mut requests = self.lock();
        requests.push(Request {
            host,
            connection,
            method: head.method.clone(),
            path: head.target.clone(),
            range: head.header("range").map(str::to_owned),
            authorization: head.header("authorization").is_some(),
            status: 0,
            sent: 0,
            received: 0,
        });
        requests.len() - 1
    }

    pub(super) fn note(&self, request: usize, note: impl FnOnce(&mut Request)) {
        if let Some(request) = self.lock().get_mut(request) {
            note(request);
        }
    }

    pub(super) fn requests(&self) -> Vec<Request> {
        self.lock().clone()
    }

    pub(super) fn counters(&self) -> Counters {
        let requests = self.lock();
        Counters {
            requests: requests.len() as u64,
            sent: requests.iter().map(|request| request.sent).sum(),
            received: requests.iter().map(|request| request.received).sum(),
            connections: self.connections.load(Ordering::Relaxed),
            most_connections: self.most.load(Ordering::Relaxed),
        }
    }

    /// Forgets the requests so far; connections stay counted. Requests that are being answered are lost.
    pub(super) fn clear(&self) {
        self.lock().clear();
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Vec<Request>> {
        self.requests.lock().expect("no thread panics with the log")
    }
}
