//! Why content has to be fetched or not.

use std::fmt;

use serde::Serialize;

use super::paths::Likeness;

/// Why the content of a file has to be fetched, or need not be.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Kind {
    /// Its path is known with the same content and the same metadata.
    Unchanged,
    /// Its path is known with the same content, and only its times are others.
    Times,
    /// Its path is known with the same content, and its owner, mode or attributes are others.
    Metadata,
    /// Its content is known, but not of its path.
    Moved,
    /// Its content comes with another file of the same pull.
    Duplicate,
    /// Its path is known with other content, of which some chunks may be known.
    Changed,
    /// Neither its path nor its content is known; some of its chunks may be.
    New,
}

impl Kind {
    /// All of them, from the least reason to fetch to the best.
    pub const ALL: [Self; 7] = [
        Self::Unchanged,
        Self::Times,
        Self::Metadata,
        Self::Moved,
        Self::Duplicate,
        Self::Changed,
        Self::New,
    ];

    /// Says why a content is not fetched that is here.
    pub(super) fn of_present(likeness: Likeness) -> Self {
        match likeness {
            Likeness::Same => Self::Unchanged,
            Likeness::Times => Self::Times,
            Likeness::Metadata => Self::Metadata,
            Likeness::Path | Likeness::Nothing => Self::Moved,
        }
    }

    /// Says why a content is fetched. What a path had is of no use when its content is gone.
    pub(super) fn of_missing(likeness: Likeness) -> Self {
        if likeness == Likeness::Nothing { Self::New } else { Self::Changed }
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Unchanged => "unchanged",
            Self::Times => "times",
            Self::Metadata => "metadata",
            Self::Moved => "moved",
            Self::Duplicate => "duplicate",
            Self::Changed => "changed",
            Self::New => "new",
        })
    }
}

/// Files of one kind.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct Share {
    /// How many.
    pub files: u64,
    /// Bytes of their content.
    pub len: u64,
    /// Those of them that need not be fetched: known chunks, and holes.
    pub known_len: u64,
    /// Compressed bytes of what is missing.
    pub fetch_len: u64,
}

impl Share {
    pub(super) fn add(&mut self, len: u64, known_len: u64, fetch_len: u64) {
        self.merge(&Self { files: 1, len, known_len, fetch_len });
    }

    fn merge(&mut self, other: &Self) {
        self.files = self.files.saturating_add(other.files);
        self.len = self.len.saturating_add(other.len);
        self.known_len = self.known_len.saturating_add(other.known_len);
        self.fetch_len = self.fetch_len.saturating_add(other.fetch_len);
    }
}

/// Files by why they have to be fetched or not.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
#[expect(missing_docs, reason = "`Kind` says what each is")]
pub struct Shares {
    pub unchanged: Share,
    pub times: Share,
    pub metadata: Share,
    pub moved: Share,
    pub duplicate: Share,
    pub changed: Share,
    pub new: Share,
}

impl Shares {
    /// Returns the share of one kind.
    pub fn of(&self, kind: Kind) -> &Share {
        match kind {
            Kind::Unchanged => &self.unchanged,
            Kind::Times => &self.times,
            Kind::Metadata => &self.metadata,
            Kind::Moved => &self.moved,
            Kind::Duplicate => &self.duplicate,
            Kind::Changed => &self.changed,
            Kind::New => &self.new,
        }
    }

    pub(super) fn of_mut(&mut self, kind: Kind) -> &mut Share {
        match kind {
            Kind::Unchanged => &mut self.unchanged,
            Kind::Times => &mut self.times,
            Kind::Metadata => &mut self.metadata,
            Kind::Moved => &mut self.moved,
            Kind::Duplicate => &mut self.duplicate,
            Kind::Changed => &mut self.changed,
            Kind::New => &mut self.new,
        }
    }

    /// Adds those of another layer.
    pub fn merge(&mut self, other: &Self) {
        for kind in Kind::ALL {
            self.of_mut(kind).merge(other.of(kind));
        }
    }
}
