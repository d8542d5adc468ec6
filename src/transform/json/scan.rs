//! Scans over many bytes at a time: where the reader's time goes.

/// Bytes looked at together in a string.
const BLOCK: usize = 32;

/// The first position at or after `at` of a quote, a backslash or a control character; the text's
/// length when there is none.
#[inline(always)]
pub(super) fn string_special(text: &[u8], mut at: usize) -> usize {
    while let Some(block) = text.get(at..).and_then(|rest| rest.first_chunk::<BLOCK>()) {
        let found = special_bytes(block);
        if found != 0 {
            return at + found.trailing_zeros() as usize;
        }
        at += BLOCK;
    }
    string_special_in_tail(text, at)
}

#[cold]
fn string_special_in_tail(text: &[u8], at: usize) -> usize {
    let tail = text.get(at..).unwrap_or_default();
    let special = tail.iter().position(|byte| is_special(*byte));
    at + special.unwrap_or(tail.len())
}

fn is_special(byte: u8) -> bool {
    byte == b'"' || byte == b'\\' || byte < b' '
}

/// A bit for each byte of the block that is a quote, a backslash or a control character.
#[cfg(target_arch = "x86_64")]
#[inline(always)]
#[allow(unsafe_code, reason = "an instruction that every x86-64 has; see the comment inside")]
fn special_bytes(block: &[u8; BLOCK]) -> u32 {
    // SAFETY: the function needs SSE2, which every x86-64 has: it is part of the architecture.
    unsafe { special_bytes_sse2(block) }
}

#[cfg(target_arch = "x86_64")]
#[inline]
#[target_feature(enable = "sse2")]
fn special_bytes_sse2(block: &[u8; BLOCK]) -> u32 {
    use std::arch::x86_64::{
        __m128i, _mm_cmpeq_epi8, _mm_min_epu8, _mm_movemask_epi8, _mm_or_si128, _mm_set_epi64x,
        _mm_set1_epi8,
    };
    let (words, _) = block.as_chunks::<8>();
    let mask = |low: [u8; 8], high: [u8; 8]| {
        // The compiler makes one 16-byte load of the two.
        let bytes: __m128i = _mm_set_epi64x(i64::from_le_bytes(high), i64::from_le_bytes(low));
        let quote = _mm_cmpeq_epi8(bytes, _mm_set1_epi8(b'"' as i8));
        let backslash = _mm_cmpeq_epi8(bytes, _mm_set1_epi8(b'\\' as i8));
        // Unsigned "at most 0x1F": SSE2 has no unsigned comparison, but it has the minimum.
        let control = _mm_cmpeq_epi8(_mm_min_epu8(bytes, _mm_set1_epi8(0x1F)), bytes);
        _mm_movemask_epi8(_mm_or_si128(_mm_or_si128(quote, backslash), control)) as u32
    };
    mask(words[0], words[1]) | mask(words[2], words[3]) << 16
}

/// A bit for each byte of the block that is a quote, a backslash or a control character.
#[cfg(not(target_arch = "x86_64"))]
#[inline(always)]
fn special_bytes(block: &[u8; BLOCK]) -> u32 {
    block.iter().rev().fold(0, |mask, byte| mask << 1 | u32::from(is_special(*byte)))
}

/// The first position at or after `at` that holds no decimal digit.
#[inline(always)]
pub(super) fn digits_end(text: &[u8], mut at: usize) -> usize {
    while let Some(block) = text.get(at..).and_then(|rest| rest.first_chunk::<8>()) {
        // Digits become 0 to 9. Of the rest, adding 0x76 sets the high bit where it was not set
        // already; a carry can only disturb bytes after the first that is no digit.
        let word = u64::from_le_bytes(*block) ^ 0x3030_3030_3030_3030;
        let other = (word.wrapping_add(0x7676_7676_7676_7676) | word) & 0x8080_8080_8080_8080;
        if other != 0 {
            return at + (other.trailing_zeros() / 8) as usize;
        }
        at += 8;
    }
    while text.get(at).is_some_and(u8::is_ascii_digit) {
        at += 1;
    }
    at
}

/// Whether a number without sign and exponent is zero.
pub(super) fn all_zero(number: &[u8]) -> bool {
    number.iter().all(|byte| matches!(byte, b'0' | b'.'))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn finds_the_first_special_byte(text in prop::collection::vec(any::<u8>(), 0..100), at in 0usize..100) {
            let at = at.min(text.len());
            let slow = (at..text.len()).find(|i| is_special(text[*i])).unwrap_or(text.len());
            prop_assert_eq!(string_special(&text, at), slow);
        }

        #[test]
        fn finds_the_end_of_the_digits(text in prop::collection::vec(prop_oneof![9 => b'0'..=b'9', 1 => any::<u8>()], 0..60)) {
            let slow = text.iter().position(|byte| !byte.is_ascii_digit()).unwrap_or(text.len());
            prop_assert_eq!(digits_end(&text, 0), slow);
        }
    }
}
