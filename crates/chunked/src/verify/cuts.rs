/// Checks that frames start and end where the TOC says.
///
/// What the TOC says of a place in the tar is known before the frames are cut there, and holds until the tar goes on.
#[derive(Debug, Default)]
pub(super) struct Cuts {
    /// Where in the blob a frame must be cut at this place of the tar.
    here: Vec<u64>,
    /// Where in the blob the frame that is open must have ended.
    before: Option<u64>,
    /// Where in the blob the open frame started.
    start: u64,
    /// Bytes decompressed since.
    inner: u64,
}

/// A frame is not cut where the TOC says.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(super) enum Uncut {
    #[error("no frame is cut at byte {0} of the blob there")]
    Here(u64),
    #[error("the frame goes on to byte {found} of the blob, expected no further than {expected}")]
    Beyond { expected: u64, found: u64 },
    #[error(
        "it starts {found_inner} bytes into the frame at {found}, expected {inner} bytes into that at {start}"
    )]
    Inside { start: u64, inner: u64, found: u64, found_inner: u64 },
}

impl Cuts {
    /// Expects a cut at `offset` of the blob before the tar goes on.
    pub(super) fn expect_here(&mut self, offset: u64) {
        if !self.here.contains(&offset) {
            self.here.push(offset);
        }
    }

    /// Expects the open frame to end at `offset` of the blob or before.
    pub(super) fn expect_before(&mut self, offset: u64) {
        self.before = Some(offset);
    }

    /// Expects that the open frame started at `start` of the blob, `inner` decompressed bytes ago.
    pub(super) fn check_inside(&self, start: u64, inner: u64) -> Result<(), Uncut> {
        if (self.start, self.inner) == (start, inner) {
            return Ok(());
        }
        Err(Uncut::Inside { start, inner, found: self.start, found_inner: self.inner })
    }

    /// Takes note that a frame ended at `offset` of the blob.
    pub(super) fn cut(&mut self, offset: u64) -> Result<(), Uncut> {
        self.here.retain(|expected| *expected != offset);
        (self.start, self.inner) = (offset, 0);
        match self.before.take() {
            Some(expected) if expected < offset => Err(Uncut::Beyond { expected, found: offset }),
            _ => Ok(()),
        }
    }

    /// Takes note that the tar goes on by `len` bytes.
    pub(super) fn go_on(&mut self, len: usize) -> Result<(), Uncut> {
        self.inner = self.inner.saturating_add(len as u64);
        let unmet = self.here.first().copied();
        self.here.clear();
        unmet.map_or(Ok(()), |offset| Err(Uncut::Here(offset)))
    }
}
