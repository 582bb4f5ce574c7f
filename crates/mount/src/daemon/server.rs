//! Answers verbs, and who asks for metrics.

use std::io::{BufRead, BufReader, ErrorKind, Read, Write};
use std::net::TcpListener;
use std::os::fd::AsFd;
use std::os::unix::net::UnixListener;
use std::thread::Scope;
use std::time::Duration;

use rustix::event::{PollFd, PollFlags, Timespec, poll};

use super::metrics;
use super::protocol::{Answer, LINE_LEN_MAX, Question};
use super::service::Service;

/// Between two looks whether everything ends.
const TICK: Duration = Duration::from_millis(200);
const TICK_SPEC: Timespec = Timespec { tv_sec: 0, tv_nsec: 200_000_000 };

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
    while !service.is_stopping() {
        let mut ready = vec![PollFd::from_borrowed_fd(control.as_fd(), PollFlags::IN)];
        ready.extend(metrics.map(|metrics| PollFd::from_borrowed_fd(metrics.as_fd(), PollFlags::IN)));
        // An error is the same as a tick.
        let _ = poll(&mut ready, Some(&TICK_SPEC));
        if service.is_stopping() {
            // Whoever connects now speaks with the next daemon, which has the same socket.
            return;
        }
        if let Ok((stream, _)) = control.accept() {
            let timeout = stream.set_nonblocking(false).and_then(|()| stream.set_read_timeout(Some(TICK)));
            if timeout.is_ok() {
                scope.spawn(move || converse(service, &stream, &stream));
            }
        }
        if let Some(Ok((stream, _))) = metrics.map(TcpListener::accept) {
            let timeout = stream.set_nonblocking(false).and_then(|()| stream.set_read_timeout(Some(TICK)));
            if timeout.is_ok() {
                scope.spawn(move || {
                    if let Some(line) = read_line(service, &mut BufReader::new(&stream)) {
                        answer_http(service, &line, &stream);
                    }
                });
            }
        }
    }
}

/// Answers questions until the other side hangs up.
fn converse(service: &Service<'_, '_>, read: impl Read, mut write: impl Write) {
    let mut read = BufReader::new(read);
    while let Some(line) = read_line(service, &mut read) {
        if line.starts_with(b"GET ") {
            return answer_http(service, &line, write);
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
fn answer_http(service: &Service<'_, '_>, line: &[u8], mut write: impl Write) {
    let path = line.split(|byte| *byte == b' ').nth(1).unwrap_or_default();
    let (status, body) = match path {
        b"/metrics" => match service.status() {
            Ok(status) => ("200 OK", metrics::render(&status)),
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
