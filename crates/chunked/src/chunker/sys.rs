//! The rolling sum, sixteen bytes at a time, where the processor has AVX2.

#![allow(unsafe_code, reason = "the functions need a processor feature that is looked for at run time")]

use super::rolling::Sums;

/// Bytes rolled at a time.
pub(super) const LANES: usize = 16;

/// Proof that the processor has AVX2.
#[derive(Debug, Clone, Copy)]
pub(super) struct Wide(());

#[cfg(target_arch = "x86_64")]
impl Wide {
    pub(super) fn detect() -> Option<Self> {
        is_x86_feature_detected!("avx2").then_some(Self(()))
    }

    /// Rolls `blocks` in while those of `leaving` roll out, and reports after how many bytes each split lies.
    pub(super) fn advance(
        self,
        sums: &mut Sums,
        blocks: &[[u8; LANES]],
        leaving: &[[u8; LANES]],
        split: &mut impl FnMut(usize),
    ) {
        // SAFETY: a `Wide` is only made after AVX2 was found.
        unsafe { avx2::advance(sums, blocks, leaving, split) }
    }
}

#[cfg(not(target_arch = "x86_64"))]
impl Wide {
    pub(super) fn detect() -> Option<Self> {
        None
    }

    pub(super) fn advance(
        self,
        _: &mut Sums,
        _: &[[u8; LANES]],
        _: &[[u8; LANES]],
        _: &mut impl FnMut(usize),
    ) {
    }
}

#[cfg(target_arch = "x86_64")]
mod avx2 {
    use std::arch::x86_64::*;

    use super::{LANES, Sums};

    /// With d the bytes in less those out, P their running sum within the block, and Q the running sum of P - 64 * out:
    /// after byte k the plain sum is p + P(k) and the weighted one w + (k + 1) * p + Q(k). P and Q do not depend on what
    /// came before, so blocks overlap in the processor; only p and w are carried, by additions.
    #[target_feature(enable = "avx2")]
    pub(super) fn advance(
        sums: &mut Sums,
        blocks: &[[u8; LANES]],
        leaving: &[[u8; LANES]],
        split: &mut impl FnMut(usize),
    ) {
        let places = _mm256_setr_epi16(1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16);
        let ones = _mm256_set1_epi16(-1);
        let mut plain = _mm256_set1_epi16(sums.plain.cast_signed());
        let mut weighted = _mm256_set1_epi16(sums.weighted.cast_signed());
        for (index, (block, leaving)) in blocks.iter().zip(leaving).enumerate() {
            let old = widen(leaving);
            let plains = running(_mm256_sub_epi16(widen(block), old));
            let weights = running(_mm256_sub_epi16(plains, _mm256_slli_epi16::<6>(old)));
            let carried = _mm256_add_epi16(weighted, _mm256_mullo_epi16(plain, places));
            let hits = _mm256_cmpeq_epi16(_mm256_add_epi16(carried, weights), ones);
            let mut hits = _mm256_movemask_epi8(hits);
            while hits != 0 {
                let lane = hits.trailing_zeros() / 2;
                split(index * LANES + lane as usize + 1);
                hits &= !(3 << (2 * lane));
            }
            weighted =
                _mm256_add_epi16(weighted, _mm256_add_epi16(_mm256_slli_epi16::<4>(plain), last(weights)));
            plain = _mm256_add_epi16(plain, last(plains));
        }
        sums.plain = _mm256_extract_epi16::<0>(plain) as u16;
        sums.weighted = _mm256_extract_epi16::<0>(weighted) as u16;
    }

    #[target_feature(enable = "avx2")]
    fn widen(bytes: &[u8; LANES]) -> __m256i {
        let halves = u128::from_le_bytes(*bytes);
        _mm256_cvtepu8_epi16(_mm_set_epi64x((halves >> 64) as i64, halves as i64))
    }

    /// Adds up the lanes: each becomes the sum of itself and all before it.
    #[target_feature(enable = "avx2")]
    fn running(lanes: __m256i) -> __m256i {
        let lanes = _mm256_add_epi16(lanes, _mm256_slli_si256::<2>(lanes));
        let lanes = _mm256_add_epi16(lanes, _mm256_slli_si256::<4>(lanes));
        let lanes = _mm256_add_epi16(lanes, _mm256_slli_si256::<8>(lanes));
        // Shifts stop at the middle, so the upper half lacks the sum of the lower one.
        let low = _mm256_permute2x128_si256::<0x08>(lanes, lanes);
        _mm256_add_epi16(lanes, _mm256_shuffle_epi8(low, _mm256_set1_epi16(0x0f0e)))
    }

    /// Spreads the last lane over all.
    #[target_feature(enable = "avx2")]
    fn last(lanes: __m256i) -> __m256i {
        let high = _mm256_permute2x128_si256::<0x11>(lanes, lanes);
        _mm256_shuffle_epi8(high, _mm256_set1_epi16(0x0f0e))
    }
}
