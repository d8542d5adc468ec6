//! A decimal number as a stored `numeric`, with its 4-byte varlena header, as jsonb holds it.
//!
//! Source: `src/backend/utils/adt/numeric.c` (`NumericShort`, `NumericLong`, `strip_var`,
//! `make_result_opt_error`).

use super::super::json::Decimal;

/// Decimal digits in a group: numeric counts in base 10000.
const GROUP: usize = 4;

const SHORT: u16 = 0x8000;
const SHORT_NEGATIVE: u16 = 0x2000;
const SHORT_SCALE_SHIFT: u32 = 7;
const SHORT_SCALE_MAX: usize = 63;
const SHORT_WEIGHT_MIN: i32 = -64;
const SHORT_WEIGHT_MAX: i32 = 63;
/// The sign bit of the weight and its six other bits.
const SHORT_WEIGHT_MASK: i32 = 0x7F;
const LONG_NEGATIVE: u16 = 0x4000;

/// Writes `decimal` at the start of `place`, which must have room for its digits and 16 bytes;
/// gives the bytes written.
#[inline(always)]
pub(super) fn write(decimal: Decimal<'_>, place: &mut [u8]) -> usize {
    let scale = decimal.fraction.len();
    let Stripped { whole, fraction, weight } = strip(decimal);
    let zero = whole.is_empty() && fraction.is_empty();
    // Zero is positive and of weight 0, whatever it was written as.
    let (negative, weight) = if zero { (false, 0) } else { (decimal.negative, weight) };
    let mut at =
        if scale <= SHORT_SCALE_MAX && (SHORT_WEIGHT_MIN..=SHORT_WEIGHT_MAX).contains(&weight) {
            let sign = if negative { SHORT_NEGATIVE } else { 0 };
            // In two's complement the bits 0 to 6 of the weight are just the sign bit and the six
            // bits that the format wants.
            let weight = (weight & SHORT_WEIGHT_MASK) as u16;
            put(place, 4, SHORT | sign | (scale as u16) << SHORT_SCALE_SHIFT | weight);
            6
        } else {
            let sign = if negative { LONG_NEGATIVE } else { 0 };
            put(place, 4, sign | scale as u16);
            put(place, 6, weight as i16 as u16);
            8
        };
    let (first, groups) = whole.split_at(whole.len() % GROUP);
    if !first.is_empty() {
        let mut group = [b'0'; GROUP];
        group[GROUP - first.len()..].copy_from_slice(first);
        at = append(place, at, group);
    }
    at = append_groups(place, at, groups);
    let (groups, last) = fraction.split_at(fraction.len() / GROUP * GROUP);
    at = append_groups(place, at, groups);
    if !last.is_empty() {
        let mut group = [b'0'; GROUP];
        group[..last.len()].copy_from_slice(last);
        at = append(place, at, group);
    }
    place[..4].copy_from_slice(&((at as u32) << 2).to_le_bytes());
    at
}

/// The digits without zero groups at either end.
struct Stripped<'d> {
    whole: &'d [u8],
    fraction: &'d [u8],
    /// The power of 10000 of the first group.
    weight: i32,
}

#[inline(always)]
fn strip(decimal: Decimal<'_>) -> Stripped<'_> {
    let Decimal { mut whole, mut fraction, .. } = decimal;
    while let [rest @ .., b'0'] = fraction {
        fraction = rest;
    }
    let mut weight = whole.len().div_ceil(GROUP) as i32 - 1;
    if whole.is_empty() {
        while let [b'0', b'0', b'0', b'0', rest @ ..] = fraction {
            fraction = rest;
            weight -= 1;
        }
    } else if fraction.is_empty() {
        while let [rest @ .., b'0', b'0', b'0', b'0'] = whole {
            whole = rest;
        }
    }
    Stripped { whole, fraction, weight }
}

#[inline(always)]
fn append_groups(place: &mut [u8], mut at: usize, digits: &[u8]) -> usize {
    for group in digits.as_chunks::<GROUP>().0 {
        at = append(place, at, *group);
    }
    at
}

#[inline(always)]
fn append(place: &mut [u8], at: usize, digits: [u8; GROUP]) -> usize {
    // Four digits at once: pairs first, then the pair of pairs.
    let digits = u32::from_le_bytes(digits) & 0x0F0F_0F0F;
    let pairs = digits * 10 + (digits >> 8);
    put(place, at, ((pairs & 0xFF) * 100 + (pairs >> 16 & 0xFF)) as u16);
    at + 2
}

#[inline(always)]
fn put(place: &mut [u8], at: usize, half: u16) {
    place[at..at + 2].copy_from_slice(&half.to_le_bytes());
}
