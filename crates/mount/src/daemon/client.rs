//! The side of the verbs.

use std::io::{BufRead, BufReader, Read, Write};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};

use super::protocol::{Answer, LINE_LEN_MAX, Question, Status};
use super::{Attachment, RunDirectory};
use crate::error::{Error, at_path};

/// A connection to the daemon of a store.
#[derive(Debug)]
pub struct Client {
    stream: BufReader<UnixStream>,
    path: PathBuf,
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
            Ok(stream) => {
                Ok(Some(Self { stream: BufReader::new(stream), path: run.path().join("daemon.sock") }))
            }
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

    fn ask(&mut self, question: &Question) -> Result<Answer, Error> {
        let path = self.path.clone();
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
