use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use super::{Seed, SeedName};

/// Bytes that may be hashed in vain before a seed has to have been of some use.
const PATIENCE: u64 = 64 << 20;

/// The seeds of a pull, in the order in which they are asked.
///
/// One that is wrong more often than right is not asked any more, so that a host full of other versions of the same files
/// costs little.
#[derive(Debug, Clone, Default)]
pub struct Seeds {
    members: Arc<[Member]>,
}

#[derive(Debug)]
struct Member {
    seed: Arc<dyn Seed>,
    /// Bytes that were what they should be.
    right: AtomicU64,
    /// Bytes that were not.
    wrong: AtomicU64,
}

impl Seeds {
    /// Takes seeds, those that are asked first at the start.
    pub fn new(seeds: impl IntoIterator<Item = Arc<dyn Seed>>) -> Self {
        let member = |seed| Member { seed, right: AtomicU64::new(0), wrong: AtomicU64::new(0) };
        Self { members: seeds.into_iter().map(member).collect() }
    }

    /// Tells whether there are none.
    pub fn is_empty(&self) -> bool {
        self.members.is_empty()
    }

    /// Lists their names.
    pub(crate) fn names(&self) -> impl Iterator<Item = &SeedName> {
        self.members.iter().map(|member| member.seed.name())
    }

    /// Tells whether one of them finds files by path.
    pub(crate) fn go_by_paths(&self) -> bool {
        self.members.iter().any(|member| member.seed.abilities().paths)
    }

    /// Lists those that are worth asking, with their places.
    pub(crate) fn asked(&self) -> impl Iterator<Item = (usize, &dyn Seed)> {
        let asked = self.members.iter().enumerate().filter(|(_, member)| member.is_asked());
        asked.map(|(place, member)| (place, &*member.seed))
    }

    /// Takes note that a seed was right, or was not, about so many bytes.
    pub(crate) fn judge(&self, place: usize, is_right: bool, bytes: u64) {
        if let Some(member) = self.members.get(place) {
            let counter = if is_right { &member.right } else { &member.wrong };
            counter.fetch_add(bytes, Ordering::Relaxed);
        }
    }
}

impl Member {
    fn is_asked(&self) -> bool {
        let allowed = self.right.load(Ordering::Relaxed).saturating_add(PATIENCE);
        self.wrong.load(Ordering::Relaxed) <= allowed
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::seed::HostRoot;

    #[test]
    fn a_seed_is_asked_until_it_was_wrong_too_often() {
        let dir = tempfile::tempdir().unwrap();
        let seed: Arc<dyn Seed> = Arc::new(HostRoot::open(dir.path(), &[]).unwrap());
        let seeds = Seeds::new([Arc::clone(&seed), seed]);
        let asked = || seeds.asked().map(|(place, _)| place).collect::<Vec<_>>();
        seeds.judge(0, false, PATIENCE);
        assert_eq!(asked(), [0, 1]);
        seeds.judge(0, false, 1);
        assert_eq!(asked(), [1]);
        seeds.judge(0, true, 1);
        assert_eq!(asked(), [0, 1]);
    }
}
