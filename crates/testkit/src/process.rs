//! Running other programs and daemons.

use std::fmt;
use std::fs;
use std::io::{self, Write};
use std::process::{Child, ChildStdin, Command, Output, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::sleep;
use std::time::{Duration, Instant};

/// What a program that succeeded wrote.
#[derive(Debug)]
pub struct Written {
    /// Standard output.
    pub stdout: Vec<u8>,
    /// Standard error.
    pub stderr: String,
}

impl Written {
    /// Returns standard output as text.
    ///
    /// # Panics
    ///
    /// When it is not UTF-8.
    pub fn text(&self) -> &str {
        str::from_utf8(&self.stdout).expect("the output is UTF-8")
    }
}

/// Runs a program to its end.
///
/// # Panics
///
/// When it does not start or fails; the message holds the command line and what it wrote to standard error.
pub fn run(command: &mut Command) -> Written {
    let output = command.stdin(Stdio::null()).output();
    check(command, output.unwrap_or_else(|error| fail(command, &error)))
}

/// Runs a program that reads `input` from standard input.
///
/// # Panics
///
/// As [`run`].
pub fn run_with(command: &mut Command, input: &[u8]) -> Written {
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().unwrap_or_else(|error| fail(command, &error));
    let mut stdin = child.stdin.take().expect("standard input is a pipe");
    let output = std::thread::scope(|scope| {
        // A program that stops reading early is judged by its exit status, not by the broken pipe.
        scope.spawn(move || drop(stdin.write_all(input)));
        child.wait_with_output()
    });
    check(command, output.unwrap_or_else(|error| fail(command, &error)))
}

/// Runs a program whose standard input `feed` writes, and returns the most memory that it held, in bytes.
///
/// The kernel keeps the mark and it is read every few milliseconds, so only growth in the very last of them is missed.
///
/// # Panics
///
/// As [`run`], and when `feed` fails.
pub fn peak_memory(
    command: &mut Command,
    feed: impl FnOnce(&mut ChildStdin) -> io::Result<()> + Send,
) -> u64 {
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().unwrap_or_else(|error| fail(command, &error));
    let mut stdin = child.stdin.take().expect("standard input is a pipe");
    let (id, running) = (child.id(), AtomicBool::new(true));
    std::thread::scope(|scope| {
        let fed = scope.spawn(move || feed(&mut stdin));
        let peak = scope.spawn(|| {
            let mut peak = 0;
            while running.load(Ordering::Relaxed) {
                peak = high_water_mark(id).unwrap_or(peak);
                sleep(Duration::from_millis(5));
            }
            peak
        });
        let output = child.wait_with_output();
        running.store(false, Ordering::Relaxed);
        check(command, output.unwrap_or_else(|error| fail(command, &error)));
        fed.join().expect("feeding does not panic").unwrap_or_else(|error| fail(command, &error));
        peak.join().expect("watching does not panic")
    })
}

/// Returns the most memory that a process held so far, in bytes; nothing once it has ended.
///
/// It is `VmHWM`, which proc(5) gives in KiB.
pub fn high_water_mark(id: u32) -> Option<u64> {
    let text = fs::read_to_string(format!("/proc/{id}/status")).ok()?;
    let (_, rest) = text.split_once("VmHWM:")?;
    rest.split_whitespace().next()?.parse().ok().map(|kib: u64| kib << 10)
}

fn check(command: &Command, output: Output) -> Written {
    let stderr = String::from_utf8_lossy(&output.stderr).into_owned();
    if !output.status.success() {
        fail(command, &format_args!("{}\n{stderr}", output.status));
    }
    Written { stdout: output.stdout, stderr }
}

#[expect(clippy::panic, reason = "a peer that fails has failed the test")]
fn fail(command: &Command, why: &dyn fmt::Display) -> ! {
    panic!("{command:?}: {why}")
}

/// A program in the background, killed when this is dropped.
#[derive(Debug)]
pub struct Daemon {
    child: Child,
}

impl Daemon {
    /// Starts a program.
    ///
    /// # Panics
    ///
    /// When it does not start.
    pub fn start(command: &mut Command) -> Self {
        let child = command.stdin(Stdio::null()).spawn();
        Self { child: child.unwrap_or_else(|error| fail(command, &error)) }
    }

    /// Waits until `ready` gives a value.
    ///
    /// # Panics
    ///
    /// When the program ends first, or after half a minute.
    pub fn wait_for<T>(&mut self, what: &str, mut ready: impl FnMut() -> Option<T>) -> T {
        let started = Instant::now();
        loop {
            if let Some(value) = ready() {
                return value;
            }
            let ended = self.child.try_wait().expect("a child can be waited for");
            assert!(ended.is_none(), "the daemon ended before {what}: {ended:?}");
            assert!(started.elapsed() < Duration::from_secs(30), "no {what} after half a minute");
            sleep(Duration::from_millis(20));
        }
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        // Both fail only when the program has ended by itself.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
