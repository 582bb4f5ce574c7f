//! The side of the verbs.

use std::io::{self, BufRead, BufReader, ErrorKind, Read, Write};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::thread;
use std::time::{Duration, Instant};

use chunked::BlobDigest;

use super::protocol::{Answer, LINE_LEN_MAX, Question, Status};
use super::{Attachment, RunDirectory};
use crate::error::{Error, at_path};

/// How long a daemon may take to end.
const PATIENCE: Duration = Duration::from_secs(30);
/// Between two looks whether it has.
const INTERVAL: Duration = Duration::from_millis(10);
/// Daemons that a question is put to, one after another, as each ends before it answers.
const DAEMONS_MAX: u32 = 5;

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
        if !store.join("run").exists() {
            return Ok(None);
        }
        let run = RunDirectory::open(store)?;
        Ok(connect(&run)?.map(|stream| Self { stream, run }))
    }

    /// Has an image served, and returns the directory to read its contents from.
    ///
    /// # Errors
    /// [`Error::Disputed`] when another image has a content of it in other chunks; [`Error::Daemon`] when the daemon cannot; those
    /// of the connection.
    pub fn attach(&mut self, attachment: Attachment) -> Result<PathBuf, Error> {
        match self.ask(&Question::Attach(attachment))? {
            Answer::Attached { objects } => Ok(objects),
            Answer::Disputed { content } => Err(Error::Disputed { content }),
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

    /// Asks why the last requests for layers of an image failed. Costs little, unlike [`Client::status`], which looks for
    /// every file.
    ///
    /// # Errors
    /// [`Error::Daemon`] when the daemon does not serve the image; those of the connection.
    pub fn failures(&mut self, manifest: &BlobDigest) -> Result<Vec<String>, Error> {
        match self.ask(&Question::Failures { manifest: *manifest })? {
            Answer::Failures { failures } => Ok(failures),
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
        match self.ask(&Question::Stop)? {
            // Somebody else ended it.
            Answer::Done | Answer::Ends => self.wait_for_its_end(),
            other => Err(unexpected(&other)),
        }
    }

    /// Does so if it serves nothing.
    ///
    /// # Errors
    /// Those of [`Client::stop`].
    pub fn stop_if_idle(mut self) -> Result<(), Error> {
        match self.ask(&Question::StopIfIdle)? {
            Answer::Done | Answer::Ends => self.wait_for_its_end(),
            // That of an earlier version does not know the question, and stays.
            Answer::Busy | Answer::Failed { .. } => Ok(()),
            other => Err(unexpected(&other)),
        }
    }

    /// Has an image served no longer, if it is, and ends the daemon if it serves nothing more.
    ///
    /// # Errors
    /// Those of [`Client::stop`].
    pub fn forget(mut self, manifest: &BlobDigest) -> Result<(), Error> {
        let status = match self.ask(&Question::Status)? {
            Answer::Status(status) => status,
            // Nobody serves anything.
            Answer::Ends => return Ok(()),
            other => return Err(unexpected(&other)),
        };
        if status.images.iter().any(|served| served.manifest == *manifest) {
            self.tell(&Question::Detach { manifest: *manifest })?;
        }
        self.stop_if_idle()
    }

    /// Has the daemon end, so that the next one goes on once nobody has the store for himself.
    ///
    /// # Errors
    /// [`Error::Daemon`] when the daemon cannot; those of the connection.
    pub fn give_way(mut self) -> Result<(), Error> {
        match self.ask_one(&Question::GiveWay)? {
            Answer::Done | Answer::Ends => Ok(()),
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

    /// Asks the daemon or, as long as one ends without an answer because it gives way, the next; [`Answer::Ends`] when there
    /// is none.
    fn ask(&mut self, question: &Question) -> Result<Answer, Error> {
        for _ in 1..DAEMONS_MAX {
            match self.ask_one(question)? {
                Answer::Ends => {}
                answer => return Ok(answer),
            }
            match connect(&self.run)? {
                Some(stream) => self.stream = stream,
                None => return Ok(Answer::Ends),
            }
        }
        self.ask_one(question)
    }

    /// Asks the daemon that is connected.
    fn ask_one(&mut self, question: &Question) -> Result<Answer, Error> {
        let mut answer = String::new();
        let written = self.stream.get_mut().write_all(&question.to_line());
        let read = written.and_then(|()| (&mut self.stream).take(LINE_LEN_MAX).read_line(&mut answer));
        match read {
            Ok(0) => Ok(Answer::Ends),
            Err(error) if is_end(&error) => Ok(Answer::Ends),
            Err(error) => Err(at_path("speak with", self.run.path().join("daemon.sock"))(error)),
            Ok(_) => serde_json::from_str(&answer)
                .map_err(|error| Error::Daemon { why: format!("its answer is not understood: {error}") }),
        }
    }
}

fn connect(run: &RunDirectory) -> Result<Option<BufReader<UnixStream>>, Error> {
    match run.connect() {
        Ok(stream) => Ok(Some(BufReader::new(stream))),
        Err(error) if matches!(error.kind(), ErrorKind::NotFound | ErrorKind::ConnectionRefused) => Ok(None),
        Err(error) => Err(at_path("connect to", run.path())(error)),
    }
}

/// Tells whether the other side ended.
fn is_end(error: &io::Error) -> bool {
    matches!(error.kind(), ErrorKind::ConnectionReset | ErrorKind::BrokenPipe)
}

fn unexpected(answer: &Answer) -> Error {
    match answer {
        Answer::Failed { why } => Error::Daemon { why: why.clone() },
        Answer::Ends => Error::Daemon { why: "it ended".to_owned() },
        _ => Error::Daemon { why: "it answered something else".to_owned() },
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::net::UnixListener;

    use tempfile::TempDir;

    use super::*;

    fn question() -> Question {
        Question::Detach { manifest: BlobDigest::of(b"") }
    }

    /// Does not answer who connects, `count` times.
    fn end(control: &UnixListener, count: u32) {
        for _ in 0..count {
            let (mut stream, _) = control.accept().unwrap();
            // With what is not read the connection is reset.
            stream.read_exact(&mut [0]).unwrap();
        }
    }

    fn store() -> (TempDir, UnixListener) {
        let dir = tempfile::tempdir().unwrap();
        let control = RunDirectory::open(dir.path()).unwrap().listen().unwrap();
        (dir, control)
    }

    fn client(store: &TempDir) -> Client {
        Client::connect(store.path()).unwrap().unwrap()
    }

    #[test]
    fn the_next_daemon_is_asked_when_one_gives_way() {
        let (dir, control) = store();
        thread::scope(|scope| {
            scope.spawn(|| {
                end(&control, DAEMONS_MAX - 1);
                let (mut stream, _) = control.accept().unwrap();
                let mut line = String::new();
                BufReader::new(&stream).read_line(&mut line).unwrap();
                assert_eq!(Question::parse(line.as_bytes()), Ok(question()));
                stream.write_all(b"{\"is\":\"done\"}\n").unwrap();
            });
            client(&dir).tell(&question()).unwrap();
        });
    }

    #[test]
    fn daemons_that_never_answer_are_an_error() {
        let (dir, control) = store();
        thread::scope(|scope| {
            scope.spawn(|| end(&control, DAEMONS_MAX));
            let error = client(&dir).tell(&question()).unwrap_err();
            assert_eq!(error.to_string(), "the daemon cannot: it ended");
        });
    }

    #[test]
    fn one_that_has_ended_need_not_be() {
        let (dir, control) = store();
        let clients = [(); 3].map(|()| client(&dir));
        drop(control);
        let [one, another, third] = clients;
        one.stop().unwrap();
        another.stop_if_idle().unwrap();
        third.forget(&BlobDigest::of(b"")).unwrap();
    }
}
