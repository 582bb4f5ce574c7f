//! A client that sends exactly what it is told and takes whatever comes.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::time::Duration;

/// An answer as it came; the body may be shorter than it was said to be.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) head: String,
    pub(crate) body: Vec<u8>,
    /// What reading the body ended with.
    pub(crate) error: Option<std::io::ErrorKind>,
}

impl Answer {
    /// Returns a header's value.
    pub(crate) fn header(&self, name: &str) -> &str {
        let line = self
            .head
            .lines()
            .find(|line| line.split_once(':').is_some_and(|(own, _)| own.eq_ignore_ascii_case(name)));
        line.and_then(|line| line.split_once(": ")).map_or("", |(_, value)| value)
    }
}

/// A connection that is kept.
pub(crate) struct Client(BufReader<TcpStream>);

impl Client {
    pub(crate) fn connect(host: &str) -> Self {
        let stream = TcpStream::connect(host).expect("the server listens");
        // Only stalls meet it.
        stream.set_read_timeout(Some(Duration::from_millis(300))).expect("a timeout can be set");
        Self(BufReader::new(stream))
    }

    /// Sends a request with these header lines and waits for all of the answer.
    pub(crate) fn send(&mut self, method: &str, path: &str, headers: &[&str], body: &[u8]) -> Answer {
        let lines: String = headers.iter().map(|line| format!("{line}\r\n")).collect();
        let head = format!(
            "{method} {path} HTTP/1.1\r\nHost: test\r\nContent-Length: {}\r\n{lines}\r\n",
            body.len()
        );
        let sent = self.0.get_mut().write_all(head.as_bytes());
        // A server that cuts an upload off may do so before all of it is written.
        let _ = sent.and_then(|()| self.0.get_mut().write_all(body));
        self.answer(method)
    }

    fn answer(&mut self, method: &str) -> Answer {
        let mut answer = Answer { status: 0, head: String::new(), body: Vec::new(), error: None };
        loop {
            let start = answer.head.len();
            match self.0.read_line(&mut answer.head) {
                Ok(0) => return answer,
                Err(error) => return Answer { error: Some(error.kind()), ..answer },
                Ok(_) if answer.head[start..].trim().is_empty() => break,
                Ok(_) => {}
            }
        }
        let status = answer.head.split(' ').nth(1).and_then(|status| status.parse().ok());
        answer.status = status.expect("an answer has a status");
        let len: usize = answer.header("content-length").parse().unwrap_or(0);
        let mut buffer = [0; 4096];
        while method != "HEAD" && answer.body.len() < len {
            let most = buffer.len().min(len - answer.body.len());
            match self.0.read(&mut buffer[..most]) {
                Ok(0) => {
                    answer.error = Some(std::io::ErrorKind::UnexpectedEof);
                    break;
                }
                Ok(len) => answer.body.extend_from_slice(&buffer[..len]),
                Err(error) => {
                    answer.error = Some(error.kind());
                    break;
                }
            }
        }
        answer
    }
}

/// GET on a connection of its own.
pub(crate) fn get(host: &str, path: &str, headers: &[&str]) -> Answer {
    Client::connect(host).send("GET", path, headers, b"")
}
