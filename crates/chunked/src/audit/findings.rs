use std::fmt;

use serde::Serialize;

use crate::tar_split::shorten;

/// Disagreements that are kept; the others are counted.
const KEPT: usize = 20;

/// What a comparison of a TOC with a tar found.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Findings {
    /// Members of the tar that were compared.
    pub members: u64,
    /// How often TOC and tar disagree.
    pub count: u64,
    /// The first of those, at most 20.
    pub disagreements: Vec<Disagreement>,
}

impl Findings {
    pub(super) fn add(&mut self, entry: &[u8], field: Field, toc: String, tar: String) {
        self.count = self.count.saturating_add(1);
        if self.disagreements.len() < KEPT {
            self.disagreements.push(Disagreement { entry: shorten(entry), field, toc, tar });
        }
    }

    /// Makes an error of a disagreement.
    ///
    /// # Errors
    /// [`Inconsistent`] when there is at least one.
    pub fn into_result(mut self) -> Result<(), Inconsistent> {
        if self.disagreements.is_empty() {
            return Ok(());
        }
        Err(Inconsistent { first: self.disagreements.swap_remove(0), count: self.count })
    }
}

/// Says that the descriptions of a layer contradict each other.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("TOC and tar disagree in {count} places: {first}")]
pub struct Inconsistent {
    /// The first disagreement.
    pub first: Disagreement,
    /// How many there are.
    pub count: u64,
}

/// One field of one entry, on which TOC and tar disagree. Values are in words, shortened.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Disagreement {
    /// The entry's name.
    pub entry: String,
    /// The field.
    pub field: Field,
    /// What the TOC says.
    pub toc: String,
    /// What the tar says.
    pub tar: String,
}

impl fmt::Display for Disagreement {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { entry, field, toc, tar } = self;
        write!(f, "{field} of `{entry}` is {toc} in the TOC, {tar} in the tar")
    }
}

/// What both a TOC and a tar header record of an entry, spelled as in a TOC.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "camelCase")]
#[expect(missing_docs, reason = "the names are those of the TOC's keys")]
pub enum Field {
    /// The entry itself: whether it is there, and once.
    Entry,
    Type,
    LinkName,
    Mode,
    Size,
    Uid,
    Gid,
    #[serde(rename = "modtime")]
    Modified,
    #[serde(rename = "accesstime")]
    Accessed,
    #[serde(rename = "changetime")]
    Changed,
    DevMajor,
    DevMinor,
    Xattrs,
}

impl fmt::Display for Field {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.serialize(f)
    }
}
