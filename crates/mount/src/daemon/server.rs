//! Answers verbs, and who asks for metrics.

use std::io::{self, BufRead, BufReader, ErrorKind, Read, Write};
use std::net::TcpListener;
use std::os::fd::AsFd;
use std::os::unix::net::UnixListener;
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::{self, Scope};
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};

use super::guests::{Guest, Places, Until};
use super::metrics;
use super::protocol::{Answer, LINE_LEN_MAX, Question};
use super::service::Service;
use crate::error::Error;

/// Between two looks whether everything ends.
const TICK: Duration = Duration::from_millis(200);
const TICK_SPEC: Timespec = Timespec { tv_sec: 0, tv_nsec: 200_000_000 };
/// Verbs at once, and who asks for metrics at once. Each has a thread and a descriptor; whoever is too much is hung up on.
const CONTROLS_MAX: usize = 256;
const SCRAPES_MAX: usize = 32;
/// How long somebody who asks for metrics may take altogether: anybody may who reaches the port.
const SCRAPE_MAX: Duration = Duration::from_secs(5);
/// How long an answer may wait to be taken.
const WRITE_MAX: Duration = Duration::from_secs(5);
/// How long metrics are good for: they take a look at all that is served.
const METRICS_AGE_MAX: Duration = Duration::from_secs(1);

/// The metrics when they were last asked for.
type Metrics = Mutex<Option<(Instant, String)>>;

/// Answers who connects, each in a thread, until the service stops.
pub(super) fn listen<'scope, 's>(
    scope: &'scope Scope<'scope, '_>,
    service: &'scope Service<'scope, 's>,
    control: &UnixListener,
    metrics: Option<&TcpListener>,
) where
    's: 'scope,
{
    let _ = control.set_nonblocking(true);
    if let Some(metrics) = metrics {
        let _ = metrics.set_nonblocking(true);
    }
    let (controls, scrapes) = (Places::new(CONTROLS_MAX), Places::new(SCRAPES_MAX));
    let recent = Arc::new(Metrics::default());
    while !service.is_stopping() {
        let mut ready = vec![PollFd::from_borrowed_fd(control.as_fd(), PollFlags::IN)];
        ready.extend(metrics.map(|metrics| PollFd::from_borrowed_fd(metrics.as_fd(), PollFlags::IN)));
        // An error is the same as a tick.
        let _ = poll(&mut ready, Some(&TICK_SPEC));
        if service.is_stopping() {
            // Whoever connects now speaks with the next daemon, which has the same socket.
            return;
        }
        if let Some((stream, _)) = accepted(control.accept()) {
            let timeouts = stream
                .set_nonblocking(false)
                .and_then(|()| stream.set_read_timeout(Some(TICK)))
                .and_then(|()| stream.set_write_timeout(Some(WRITE_MAX)));
            if let (Ok(()), Some(guest)) = (timeouts, controls.take()) {
                let recent = Arc::clone(&recent);
                host(scope, guest, move || converse(service, &recent, &stream, &stream));
            }
        }
        if let Some((stream, _)) = metrics.and_then(|metrics| accepted(metrics.accept())) {
            let timeouts = stream
                .set_nonblocking(false)
                .and_then(|()| stream.set_read_timeout(Some(TICK)))
                .and_then(|()| stream.set_write_timeout(Some(WRITE_MAX)));
            if let (Ok(()), Some(guest)) = (timeouts, scrapes.take()) {
                let recent = Arc::clone(&recent);
                host(scope, guest, move || {
                    let end = Instant::now().checked_add(SCRAPE_MAX);
                    if let Some(line) = read_line(service, &mut BufReader::new(Until::new(&stream, end))) {
                        answer_http(service, &recent, &line, Until::new(&stream, end));
                    }
                });
            }
        }
    }
}

/// Looks whether somebody connected. Where there are no more descriptors, it takes a moment.
fn accepted<T>(accepted: io::Result<T>) -> Option<T> {
    match accepted {
        Err(error) if error.kind() != ErrorKind::WouldBlock => {
            thread::sleep(TICK);
            None
        }
        accepted => accepted.ok(),
    }
}

/// Answers somebody in a thread. Where there are no more threads, they are hung up on.
fn host<'scope>(scope: &'scope Scope<'scope, '_>, guest: Guest, answer: impl FnOnce() + Send + 'scope) {
    let _ = thread::Builder::new().spawn_scoped(scope, move || {
        answer();
        drop(guest);
    });
}

/// Answers questions until the other side hangs up.
fn converse(service: &Service<'_, '_>, recent: &Metrics, read: impl Read, mut write: impl Write) {
    let mut read = BufReader::new(read);
    while let Some(line) = read_line(service, &mut read) {
        if line.starts_with(b"GET ") {
            return answer_http(service, recent, &line, write);
        }
        let answer = match Question::parse(&line) {
            Ok(question) => service.answer(question),
            Err(error) => Answer::Failed { why: format!("the question is not understood: {error}") },
        };
        let Ok(mut answer) = serde_json::to_vec(&answer) else { return };
        answer.push(b'\n');
        if write.write_all(&answer).is_err() {
            return;
        }
    }
}

/// Reads a line; `None` when there is none, or everything ends.
fn read_line(service: &Service<'_, '_>, read: &mut impl BufRead) -> Option<Vec<u8>> {
    let mut line = Vec::new();
    while !service.is_stopping() && (line.len() as u64) < LINE_LEN_MAX {
        let left = LINE_LEN_MAX - line.len() as u64;
        match read.by_ref().take(left).read_until(b'\n', &mut line) {
            Ok(0) => return None,
            Ok(_) if line.ends_with(b"\n") => return Some(line),
            Ok(_) => {}
            Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => {}
            Err(_) => return None,
        }
    }
    None
}

/// Answers a request of HTTP, whose headers are of no interest.
fn answer_http(service: &Service<'_, '_>, recent: &Metrics, line: &[u8], mut write: impl Write) {
    let path = line.split(|byte| *byte == b' ').nth(1).unwrap_or_default();
    let (status, body) = match path {
        b"/metrics" => match rendered(service, recent) {
            Ok(metrics) => ("200 OK", metrics),
            Err(failure) => ("500 Internal Server Error", format!("{failure}\n")),
        },
        b"/healthz" => ("200 OK", "ok\n".to_owned()),
        _ => ("404 Not Found", "there are /metrics and /healthz\n".to_owned()),
    };
    let head = format!(
        "HTTP/1.1 {status}\r\nContent-Type: text/plain; version=0.0.4\r\nContent-Length: {}\r\nConnection: close\r\n\r\n",
        body.len()
    );
    // Whoever asked may be gone.
    let _ = write.write_all(head.as_bytes()).and_then(|()| write.write_all(body.as_bytes()));
}

/// Returns the metrics. Those who ask at once get the same.
fn rendered(service: &Service<'_, '_>, recent: &Metrics) -> Result<String, Error> {
    let mut recent = recent.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some((at, text)) = &*recent
        && at.elapsed() < METRICS_AGE_MAX
    {
        return Ok(text.clone());
    }
    let text = metrics::render(&service.status()?);
    *recent = Some((Instant::now(), text.clone()));
    Ok(text)
}
