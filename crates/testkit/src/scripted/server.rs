//! The two ports, their connections, and how an answer is written or broken off.

use std::collections::HashMap;
use std::io::{self, BufReader, Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::{self, sleep};
use std::time::Duration;

use rustix::net::sockopt::set_socket_linger;

use super::fault::Misdeed;
use super::log::Host;
use super::message::{Answer, Head};
use super::service::Service;

/// A service with its ports.
#[derive(Debug)]
pub(super) struct Server {
    pub(super) service: Service,
    stopped: AtomicBool,
    /// Open connections, so that stopping can end them.
    open: Mutex<HashMap<u64, TcpStream>>,
}

/// How a connection goes on after an answer.
enum Next {
    Keep,
    Close,
    Reset,
    Stall,
}

impl Server {
    pub(super) fn new(service: Service) -> Self {
        Self { service, stopped: AtomicBool::new(false), open: Mutex::default() }
    }

    /// Takes connections until the server is stopped, each in a thread of its own.
    pub(super) fn listen(self: &Arc<Self>, listener: &TcpListener, host: Host) {
        for stream in listener.incoming() {
            if self.is_stopped() {
                return;
            }
            let (Ok(stream), server) = (stream, Arc::clone(self)) else { continue };
            thread::spawn(move || server.connection(&stream, host));
        }
    }

    /// Ends all connections; the ports are left when the next connection comes.
    pub(super) fn stop(&self) {
        self.stopped.store(true, Ordering::Relaxed);
        for stream in self.connections().values() {
            // Fails only where the client has closed it.
            let _ = stream.shutdown(Shutdown::Both);
        }
    }

    fn connection(&self, stream: &TcpStream, host: Host) {
        let (number, open) = self.service.log.opened();
        if let Ok(stream) = stream.try_clone() {
            self.connections().insert(number, stream);
        }
        // Clients break connections off whenever they like: that is no failure here.
        let last = self.converse(stream, host, number, open).unwrap_or(Next::Close);
        if matches!(last, Next::Stall) {
            self.stall(stream);
        }
        self.connections().remove(&number);
        if matches!(last, Next::Reset) {
            // With nothing to linger for, closing sends a reset.
            let _ = set_socket_linger(stream, Some(Duration::ZERO));
        }
        self.service.log.closed();
    }

    /// Answers one request after the other.
    fn converse(&self, stream: &TcpStream, host: Host, number: u64, open: u64) -> io::Result<Next> {
        let service = &self.service;
        service.down.round_trip();
        stream.set_nodelay(true)?;
        let mut input = BufReader::new(stream);
        while let Some(head) = Head::read(&mut input)? {
            let request = service.log.list(host, number, &head);
            let misdeed = service.misdeed(&head, host);
            let exchange = Exchange { stream, service, head: &head, request };
            let (body, complete) = exchange.read_body(&mut input, misdeed)?;
            if !complete {
                service.keep_upload(&head, &body);
                return Ok(Next::Reset);
            }
            service.down.round_trip();
            let too_many = service.script.connection_limit.is_some_and(|most| open > most as u64);
            let answer = match misdeed {
                _ if too_many => {
                    Answer::error(503, "TOOMANYREQUESTS", "too many connections").with("Connection", "close")
                }
                Some(Misdeed::HangUp) => return Ok(Next::Reset),
                Some(Misdeed::Silence) => return Ok(Next::Stall),
                Some(Misdeed::Status { status, retry_after }) => status_only(*status, *retry_after),
                Some(Misdeed::Flip { offset }) => service.answer(host, &head, &body, Some(*offset)),
                _ => service.answer(host, &head, &body, None),
            };
            match exchange.write(&answer, misdeed)? {
                Next::Keep if head.header("connection") != Some("close") && !too_many => {}
                Next::Keep => return Ok(Next::Close),
                last => return Ok(last),
            }
        }
        Ok(Next::Close)
    }

    /// Sends nothing until the client closes the connection or the server is stopped.
    fn stall(&self, stream: &TcpStream) {
        let _ = stream.set_nonblocking(true);
        while !self.is_stopped() && !matches!(stream.peek(&mut [0]), Ok(0)) {
            sleep(Duration::from_millis(20));
        }
    }

    fn is_stopped(&self) -> bool {
        self.stopped.load(Ordering::Relaxed)
    }

    fn connections(&self) -> std::sync::MutexGuard<'_, HashMap<u64, TcpStream>> {
        self.open.lock().expect("no thread panics with the connections")
    }
}

fn status_only(status: u16, retry_after: Option<u32>) -> Answer {
    let answer = Answer::error(status, "SCRIPTED", "this is what the script says");
    match retry_after {
        Some(seconds) => answer.with("Retry-After", seconds.to_string()),
        None => answer,
    }
}

/// One request on its connection.
struct Exchange<'a> {
    stream: &'a TcpStream,
    service: &'a Service,
    head: &'a Head,
    /// Its place in the log.
    request: usize,
}

impl Exchange<'_> {
    /// Reads the body, and tells whether that is all of it.
    fn read_body(
        &self,
        input: &mut BufReader<&TcpStream>,
        misdeed: Option<&Misdeed>,
    ) -> io::Result<(Vec<u8>, bool)> {
        if self.head.header("expect").is_some() {
            self.write_all(b"HTTP/1.1 100 Continue\r\n\r\n")?;
        }
        let most = match misdeed {
            Some(Misdeed::CutUpload { after }) => *after,
            _ => u64::MAX,
        };
        let mut body = Vec::new();
        let chunked = self.head.header("transfer-encoding").is_some_and(|value| value == "chunked");
        loop {
            let len = if chunked { chunk_len(input)? } else { self.content_length() };
            let taken = len.min(most.saturating_sub(body.len() as u64));
            self.read_piece(input, taken, &mut body)?;
            if taken < len {
                return Ok((body, false));
            }
            if !chunked || len == 0 {
                return Ok((body, true));
            }
        }
    }

    fn content_length(&self) -> u64 {
        self.head.header("content-length").and_then(|len| len.parse().ok()).unwrap_or(0)
    }

    fn read_piece(&self, input: &mut impl Read, mut left: u64, body: &mut Vec<u8>) -> io::Result<()> {
        while left > 0 {
            let len = left.min(self.service.up.slice() as u64);
            let start = body.len();
            body.resize(start + len as usize, 0);
            input.read_exact(&mut body[start..])?;
            self.service.up.pass(len as usize);
            self.service.log.note(self.request, |request| request.received += len);
            left -= len;
        }
        Ok(())
    }

    /// Writes an answer, or as much of it as the misdeed leaves.
    fn write(&self, answer: &Answer, misdeed: Option<&Misdeed>) -> io::Result<Next> {
        self.service.log.note(self.request, |request| request.status = answer.status);
        self.write_all(answer.head().as_bytes())?;
        let (most, then) = match misdeed {
            Some(Misdeed::Truncate { after }) => (*after, Next::Close),
            Some(Misdeed::Stall { after }) => (*after, Next::Stall),
            Some(Misdeed::Reset { after }) => (*after, Next::Reset),
            _ => (u64::MAX, Next::Keep),
        };
        let bodiless = self.head.method == "HEAD";
        let complete = bodiless || self.write_body(answer, most)?;
        let lie = answer.claimed_len.is_some_and(|len| len != answer.body_len()) && !bodiless;
        Ok(if !complete {
            then
        } else if lie {
            Next::Close
        } else {
            Next::Keep
        })
    }

    /// Writes at most `most` bytes of the body, and tells whether that was all of it.
    fn write_body(&self, answer: &Answer, mut most: u64) -> io::Result<bool> {
        let mut slice = vec![0; self.service.down.slice()];
        for piece in &answer.body {
            let mut offset = 0;
            while offset < piece.len() {
                let len = piece.read_at(offset, &mut slice)?;
                let len = usize::try_from(most).map_or(len, |most| len.min(most));
                if len == 0 {
                    return Ok(false);
                }
                self.service.down.pass(len);
                self.service.log.note(self.request, |request| request.sent += len as u64);
                self.write_all(&slice[..len])?;
                offset += len as u64;
                most -= len as u64;
            }
        }
        Ok(true)
    }

    fn write_all(&self, bytes: &[u8]) -> io::Result<()> {
        let mut stream = self.stream;
        stream.write_all(bytes)
    }
}

/// Reads the line that starts a chunk of a chunked body; the line end of the chunk before stands in front of it.
fn chunk_len(input: &mut impl io::BufRead) -> io::Result<u64> {
    loop {
        let mut line = String::new();
        if input.read_line(&mut line)? == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        if let Ok(len) = u64::from_str_radix(line.trim(), 16) {
            if len == 0 {
                input.read_line(&mut line)?;
            }
            return Ok(len);
        }
    }
}
