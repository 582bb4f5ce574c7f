//! What can go wrong with a mount, and what a caller can do about it.

use std::fmt;
use std::io;
use std::path::{Path, PathBuf};

use chunked::{Class, ContentDigest, TocDigest};

use crate::overlay::{Way, Wrong};

/// A failure to mount, to serve or to unmount.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The file system failed.
    #[error("cannot {action} {}", show(path))]
    File {
        /// What was tried: `create`, `read`, `mount` ...
        action: &'static str,
        /// Where.
        path: PathBuf,
        /// The cause.
        source: io::Error,
    },
    /// The store failed.
    #[error(transparent)]
    Store(#[from] store::Error),
    /// Content is missing, and nothing serves it.
    #[error("the image `{}` is not complete", shorten(image))]
    Incomplete {
        /// Which image.
        image: String,
    },
    /// Something else is where a directory is needed.
    #[error("{} is not a directory", show(path))]
    NotADirectory {
        /// Where.
        path: PathBuf,
    },
    /// There is a mount already.
    #[error("an image is mounted on {}", show(directory))]
    AlreadyMounted {
        /// Where.
        directory: PathBuf,
    },
    /// The store knows of no such mount.
    #[error("no image of this store is mounted on {}", show(directory))]
    NotMounted {
        /// Where.
        directory: PathBuf,
    },
    /// Something else is mounted on top.
    #[error("something else is mounted over the image on {}, and has to go first", show(directory))]
    Covered {
        /// Where.
        directory: PathBuf,
    },
    /// Somebody uses a mount.
    #[error("the mount on {} is in use", show(directory))]
    Busy {
        /// Where.
        directory: PathBuf,
    },
    /// Another mount writes to the same directory.
    #[error("the changes of the mount on {} go to {}", show(directory), show(writable))]
    WritableInUse {
        /// Where changes go.
        writable: PathBuf,
        /// Where the other mount is.
        directory: PathBuf,
    },
    /// The kernel refuses to make a file system.
    #[error("cannot mount {kind}{}", Reason(messages))]
    Kernel {
        /// What kind of file system.
        kind: &'static str,
        /// What the kernel has to say, if anything.
        messages: String,
        /// The cause.
        source: io::Error,
    },
    /// There is no way to mount an image here.
    #[error("this kernel cannot mount an image: {}", Attempts(attempts))]
    NoWay {
        /// What was tried, and what came of it.
        attempts: Vec<(Way, Error)>,
    },
    /// It cannot be found out whether a mount shows content.
    #[error("cannot check the mount")]
    Check {
        /// The cause.
        source: io::Error,
    },
    /// A mount does not show content.
    #[error(transparent)]
    Wrong(#[from] Wrong),
    /// A layer is not what its image says, and is not mounted any more.
    #[error("the layer {toc_digest} is in quarantine{}: {why}", in_parentheses(path.as_deref()))]
    Quarantined {
        /// Which layer.
        toc_digest: Box<TocDigest>,
        /// What was found.
        why: String,
        /// The file that says so; `None` when the layer's own record does.
        path: Option<PathBuf>,
    },
    /// Another image that is served has a content in other chunks, or of another length.
    #[error(
        "another image that is mounted says something else of the content {content}, so all of it has to be here first"
    )]
    Disputed {
        /// Which content.
        content: ContentDigest,
    },
    /// A daemon serves the store already.
    #[error("a daemon serves the store at {} already", show(store))]
    DaemonRuns {
        /// Where the store is.
        store: PathBuf,
    },
    /// The daemon cannot do what it was asked for.
    #[error("the daemon cannot: {}", shorten(why))]
    Daemon {
        /// Why.
        why: String,
    },
    /// A tree cannot be written as EROFS.
    #[error(transparent)]
    Erofs(#[from] crate::erofs::Invalid),
}

impl Error {
    /// Says what the failure means to the caller.
    pub fn class(&self) -> Class {
        match self {
            Self::File { .. } => Class::Local,
            Self::Incomplete { .. } | Self::NotMounted { .. } => Class::Missing,
            Self::NotADirectory { .. } | Self::AlreadyMounted { .. } | Self::WritableInUse { .. } => {
                Class::Local
            }
            Self::Covered { .. } => Class::Local,
            Self::Busy { .. } => Class::Transient,
            Self::Kernel { source, .. } if is_denied(source) => Class::Local,
            Self::Kernel { .. } | Self::Wrong(_) => Class::Unsupported,
            Self::NoWay { attempts } => {
                attempts.first().map_or(Class::Unsupported, |(_, error)| error.class())
            }
            Self::Check { .. } => Class::Local,
            Self::Quarantined { .. } => Class::Corrupt,
            Self::Disputed { .. } => Class::Unsupported,
            Self::DaemonRuns { .. } | Self::Daemon { .. } => Class::Local,
            Self::Store(error) => error.class(),
            Self::Erofs(invalid) => invalid.class(),
        }
    }
}

fn in_parentheses(path: Option<&Path>) -> String {
    path.map(|path| format!(" ({})", show(path))).unwrap_or_default()
}

fn is_denied(error: &io::Error) -> bool {
    error.kind() == io::ErrorKind::PermissionDenied
}

/// What a kernel has to say, after what failed.
struct Reason<'a>(&'a str);

impl fmt::Display for Reason<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.0.is_empty() { Ok(()) } else { write!(f, ": {}", shorten(self.0)) }
    }
}

/// What was tried, each with its causes.
struct Attempts<'a>(&'a [(Way, Error)]);

impl fmt::Display for Attempts<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, (way, error)) in self.0.iter().enumerate() {
            let separator = if index == 0 { "" } else { "; " };
            write!(f, "{separator}{way}: {}", with_cause(error))?;
        }
        Ok(())
    }
}

/// Writes an error and what caused it in one line.
pub(crate) fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        text = format!("{text}: {error}");
        cause = error.source();
    }
    text
}

/// Makes an error of the operating system one that says what was tried on what.
pub(crate) fn at_path<E: Into<io::Error>>(
    action: &'static str,
    path: impl AsRef<Path>,
) -> impl FnOnce(E) -> Error {
    move |source| Error::File { action, path: path.as_ref().to_owned(), source: source.into() }
}

/// Writes an error and what caused it on one line.
pub(crate) fn with_cause(error: &Error) -> String {
    match std::error::Error::source(error) {
        Some(cause) => format!("{error}: {cause}"),
        None => error.to_string(),
    }
}

/// Writes a path for messages, shortened and without control characters.
pub(crate) fn show(path: &Path) -> String {
    format!("`{}`", shorten(&path.to_string_lossy()))
}

/// Keeps hostile strings out of error messages: at most 200 characters, control characters replaced.
pub(crate) fn shorten(text: &str) -> String {
    text.chars().take(200).map(|c| if c.is_control() { char::REPLACEMENT_CHARACTER } else { c }).collect()
}
