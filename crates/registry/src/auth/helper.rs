//! Credential helpers: programs that keep credentials (docker-credential-helpers, "get").

use std::io::{self, Read, Write};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc;
use std::thread;
use std::time::{Duration, Instant};

use serde::Deserialize;

use super::credentials::Credentials;
use super::invalid::Invalid;
use crate::error::shorten;

/// Longest time a helper may take; some ask their user for a passphrase.
const TIME_MAX: Duration = Duration::from_secs(60);
/// Longest answer in bytes.
const ANSWER_LEN_MAX: u64 = 64 << 10;
/// The user that a helper names when its secret is an identity token.
const TOKEN_USER: &str = "<token>";
/// What a helper says when it knows nothing about a server.
const NOT_FOUND: &str = "credentials not found";

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Answer {
    username: String,
    secret: String,
}

/// Asks the helper `docker-credential-NAME` about a server; `None` when it knows nothing.
pub(super) fn ask(name: &str, server: &str) -> Result<Option<Credentials>, Invalid> {
    let program = format!("docker-credential-{}", shorten(name));
    let failed = |why: String| Invalid::Helper { program: program.clone(), server: shorten(server), why };
    if !name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte)) {
        return Err(failed("that is not the name of a program".to_owned()));
    }
    let (succeeded, output) = run(&program, server).map_err(|error| failed(error.to_string()))?;
    if !succeeded {
        let text = String::from_utf8_lossy(&output);
        return if text.contains(NOT_FOUND) { Ok(None) } else { Err(failed(shorten(text.trim()))) };
    }
    let answer = serde_json::from_slice(&output).map_err(|_| failed("its answer is malformed".to_owned()))?;
    let Answer { username: user, secret: password } = answer;
    Ok(match (user.as_str(), password.is_empty()) {
        (_, true) => None,
        (TOKEN_USER, false) => Some(Credentials::Identity(password)),
        _ => Some(Credentials::Password { user, password }),
    })
}

/// Runs a helper within bounds, and returns whether it succeeded and what it wrote.
fn run(program: &str, server: &str) -> io::Result<(bool, Vec<u8>)> {
    let end = Instant::now() + TIME_MAX;
    let mut command = Command::new(program);
    let command = command.arg("get").stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null());
    let mut child = Helper(command.spawn()?);
    if let Some(mut stdin) = child.0.stdin.take() {
        // A helper that does not read is judged by its answer.
        let _ = stdin.write_all(server.as_bytes());
    }
    let output = child.0.stdout.take().ok_or(io::ErrorKind::BrokenPipe)?;
    let (done, answer) = mpsc::channel();
    thread::spawn(move || {
        let mut bytes = Vec::new();
        let read = output.take(ANSWER_LEN_MAX + 1).read_to_end(&mut bytes).map(|_| bytes);
        // Nobody waits for it after the time is over.
        let _ = done.send(read);
    });
    let late = || {
        io::Error::new(io::ErrorKind::TimedOut, format!("no answer within {} seconds", TIME_MAX.as_secs()))
    };
    let bytes = answer.recv_timeout(TIME_MAX).map_err(|_| late())??;
    if bytes.len() as u64 > ANSWER_LEN_MAX {
        return Err(io::Error::new(io::ErrorKind::InvalidData, "its answer is too long"));
    }
    loop {
        match child.0.try_wait()? {
            Some(status) => return Ok((status.success(), bytes)),
            None if Instant::now() > end => return Err(late()),
            None => thread::sleep(Duration::from_millis(2)),
        }
    }
}

/// A helper that runs; it does not outlive its purpose.
struct Helper(Child);

impl Drop for Helper {
    fn drop(&mut self) {
        // Both fail when it has ended.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn helpers_that_cannot_be_run_are_named() {
        insta::assert_snapshot!(ask("morsel-none", "h.io").unwrap_err(), @"the credential helper `docker-credential-morsel-none` gives no credentials for `h.io`: No such file or directory (os error 2)");
        insta::assert_snapshot!(ask("../sh", "h.io").unwrap_err(), @"the credential helper `docker-credential-../sh` gives no credentials for `h.io`: that is not the name of a program");
    }
}
