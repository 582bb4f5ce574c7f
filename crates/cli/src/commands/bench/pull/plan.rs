//! Which pulls there are, and in which order.

use serde::Serialize;

/// What a store has before a pull.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Phase {
    /// Nothing.
    Cold,
    /// The older image.
    Update,
    /// The image itself.
    Repeat,
}

impl Phase {
    pub(crate) const ALL: [Self; 3] = [Self::Cold, Self::Update, Self::Repeat];

    /// Returns what people call it.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Cold => "cold",
            Self::Update => "update",
            Self::Repeat => "repeat",
        }
    }
}

/// One kind of pull, by places in the lists of links and contenders.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Case {
    pub(crate) link: usize,
    pub(crate) phase: Phase,
    pub(crate) contender: usize,
}

/// Lists all cases `rounds` times, each round in an order of its own: what changes on a machine meanwhile hits all alike.
pub(crate) fn turns(cases: &[Case], rounds: u32) -> Vec<(u32, Case)> {
    let mut random = Random(0x9E37_79B9_7F4A_7C15);
    (0..rounds)
        .flat_map(|round| {
            let mut cases = cases.to_vec();
            random.shuffle(&mut cases);
            cases.into_iter().map(move |case| (round, case))
        })
        .collect()
}

/// The same numbers each time, so that two runs can be compared (xorshift64).
#[derive(Debug)]
pub(super) struct Random(pub(super) u64);

impl Random {
    pub(super) fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }

    /// Returns a number below `end`, which is not 0.
    pub(super) fn below(&mut self, end: usize) -> usize {
        // The remainder is smaller than `end`, so it fits.
        (self.next() % end.max(1) as u64) as usize
    }

    fn shuffle<T>(&mut self, items: &mut [T]) {
        for last in (1..items.len()).rev() {
            items.swap(last, self.below(last + 1));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_case_has_a_turn_in_every_round() {
        let cases: Vec<_> = (0..7).map(|contender| Case { link: 0, phase: Phase::Cold, contender }).collect();
        let turns = turns(&cases, 4);
        assert_eq!(turns.len(), 28);
        for round in 0..4 {
            let mut places: Vec<_> =
                turns.iter().filter(|turn| turn.0 == round).map(|turn| turn.1.contender).collect();
            assert_ne!(places, [0, 1, 2, 3, 4, 5, 6], "it is shuffled");
            places.sort_unstable();
            assert_eq!(places, [0, 1, 2, 3, 4, 5, 6]);
        }
    }
}
