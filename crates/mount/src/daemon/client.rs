//! The side of the verbs.

use std::io::{BufRead, BufReader, Read, Write};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::thread;
use std::time::{Duration, Instant};

use super::protocol::{Answer, LINE_LEN_MAX, Question, Status};
use super::{Attachment, RunDirectory};
use crate::error::{Error, at_path};

/// How long a daemon may take to end.
const PATIENCE: Duration = Duration::from_secs(30);
/// Between two looks whether it has.
const INTERVAL: Duration = Duration::from_millis(10);

/// A connection to the daemon of a store.
#[derive(Debug)]
pub struct Client {
    stream: BufReader<UnixStream>,
    run: RunDirectory,
}

impl Client {
    /// Connects to the daemon of the store at `store`; `None` when there is none.
    ///
    /// # Errors
    /// Those of the system.
    pub fn connect(store: &Path) -> Result<Option<Self>, Error> {
        use std::io::ErrorKind::{ConnectionRefused, NotFound};
        if !store.join("run").exists() {
            return Ok(None);
        }
        let run = RunDirectory::open(store)?;
        match run.connect() {
            Ok(stream) => Ok(Some(Self { stream: BufReader::new(stream), run })),
            Err(error) if matches!(error.kind(), NotFound | ConnectionRefused) => Ok(None),
            Err(error) => Err(at_path("connect to", run.path())(error)),
        }
    }

    /// Has an image served, and returns the directory to read its contents from.
    ///
    /// # Errors
    /// [`Error::Daemon`] when the daemon cannot; those of the connection.
    pub fn attach(&mut self, attachment: Attachment) -> Result<PathBuf, Error> {
        match self.ask(&Question::Attach(attachment))? {
            Answer::Attached { objects } => Ok(objects),
            other => Err(unexpected(&other)),
        }
    }

    /// Asks how everything is.
    ///
    /// # Errors
    /// Those of the connection.
    pub fn status(&mut self) -> Result<Status, Error> {
        match self.ask(&Question::Status)? {
            Answer::Status(status) => Ok(*status),
            other => Err(unexpected(&other)),
        }
    }

    /// Has something done.
    ///
    /// # Errors
    /// [`Error::Daemon`] when the daemon cannot; those of the connection.
    pub fn tell(&mut self, question: &Question) -> Result<(), Error> {
        match self.ask(question)? {
            Answer::Done => Ok(()),
            other => Err(unexpected(&other)),
        }
    }

    /// Ends the daemon, and waits until it is gone.
    ///
    /// # Errors
    /// [`Error::Daemon`] when it does not end; those of the connection.
    pub fn stop(mut self) -> Result<(), Error> {
        self.tell(&Question::Stop)?;
        self.wait_for_its_end()
    }

    /// Does so if it serves nothing.
    ///
    /// # Errors
    /// Those of [`Client::stop`].
    pub fn stop_if_idle(mut self) -> Result<(), Error> {
        match self.ask(&Question::StopIfIdle)? {
            Answer::Done => self.wait_for_its_end(),
            // That of an earlier version does not know the question, and stays.
            Answer::Busy | Answer::Failed { .. } => Ok(()),
            other => Err(unexpected(&other)),
        }
    }

    fn wait_for_its_end(&self) -> Result<(), Error> {
        let start = Instant::now();
        while self.run.try_lock()?.is_none() {
            if start.elapsed() > PATIENCE {
                return Err(Error::Daemon { why: "it does not end".to_owned() });
            }
            thread::sleep(INTERVAL);
        }
        Ok(())
    }

    fn ask(&mut self, question: &Question) -> Result<Answer, Error> {
        let path = self.run.path().join("daemon.sock");
        self.stream.get_mut().write_all(&question.to_line()).map_err(at_path("write to", &path))?;
        let mut answer = String::new();
        let read = (&mut self.stream).take(LINE_LEN_MAX).read_line(&mut answer);
        if read.map_err(at_path("read from", &path))? == 0 {
            return Err(Error::Daemon { why: "it ended".to_owned() });
        }
        serde_json::from_str(&answer)
            .map_err(|error| Error::Daemon { why: format!("its answer is not understood: {error}") })
    }
}

fn unexpected(answer: &Answer) -> Error {
    match answer {
        Answer::Failed { why } => Error::Daemon { why: why.clone() },
        _ => Error::Daemon { why: "it answered something else".to_owned() },
    }
}
