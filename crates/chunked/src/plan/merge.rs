//! Merges ranges over the gaps between them.

use super::cost::Cost;
use crate::range::BlobRange;

/// Decides for each gap between two `chunks` whether to fetch it as well: the shortest first, as long as a gap costs less
/// than asking for one more range, and as long as the gaps and the headers of parts stay within `budget` bytes.
pub(super) fn bridged(chunks: &[BlobRange], cost: &Cost, budget: u64) -> Vec<bool> {
    let gaps: Vec<u64> =
        chunks.iter().zip(chunks.iter().skip(1)).map(|(left, right)| gap(left, right)).collect();
    let (worth, part_len) = (cost.gap_worth(), cost.part_len());
    let mut order: Vec<usize> = (0..gaps.len()).collect();
    let len_of = |index: &usize| gaps.get(*index).copied().unwrap_or(u64::MAX);
    order.sort_by_key(len_of);

    let mut bridged = vec![false; gaps.len()];
    let mut wasted = part_len.saturating_mul(chunks.len() as u64);
    for index in order {
        let len = len_of(&index);
        // A gap that is shorter than the header of a part saves bytes, whatever the budget.
        let after = wasted.saturating_sub(part_len).saturating_add(len);
        if len > worth || (after > budget && len > part_len) {
            break;
        }
        wasted = after;
        bridged.iter_mut().skip(index).take(1).for_each(|bridged| *bridged = true);
    }
    bridged
}

fn gap(left: &BlobRange, right: &BlobRange) -> u64 {
    right.start().saturating_sub(left.end())
}
