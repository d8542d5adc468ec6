//! A reader of stored jsonb, for the tests: it follows the entries' lengths and offsets as
//! `getJsonbOffset` and `numeric_out` do, and writes the text, so that what was written can be
//! compared with where it came from.

use std::fmt::Write as _;

/// The text of a stored jsonb; panics where the bytes are not one.
pub fn text(stored: &[u8]) -> String {
    let mut out = String::new();
    let header = word(stored, 0);
    assert!(header & 0x1000_0000 == 0 || header == 0x5000_0001, "scalar at the top");
    container(stored, header & 0x1000_0000 != 0, &mut out);
    out
}

fn word(bytes: &[u8], at: usize) -> u32 {
    u32::from_le_bytes(bytes[at..at + 4].try_into().unwrap())
}

fn half(bytes: &[u8], at: usize) -> u16 {
    u16::from_le_bytes(bytes[at..at + 2].try_into().unwrap())
}

fn container(bytes: &[u8], bare: bool, out: &mut String) {
    let header = word(bytes, 0);
    let count = (header & 0x0FFF_FFFF) as usize;
    let object = header & 0x2000_0000 != 0;
    assert_ne!(object, header & 0x4000_0000 != 0, "object or array");
    let entries = if object { 2 * count } else { count };
    let data = 4 + 4 * entries;
    let mut ends = Vec::new();
    for i in 0..entries {
        let entry = word(bytes, 4 + 4 * i);
        let length = (entry & 0x0FFF_FFFF) as usize;
        assert_eq!(entry >> 31 == 1, i % 32 == 0, "offset in every 32nd");
        let before = ends.last().copied().unwrap_or(0);
        ends.push(if entry >> 31 == 1 { length } else { before + length });
    }
    assert_eq!(data + ends.last().copied().unwrap_or(0), bytes.len(), "no bytes left over");
    let child = |i: usize, out: &mut String| {
        let start = data + if i == 0 { 0 } else { ends[i - 1] };
        value(bytes, word(bytes, 4 + 4 * i) >> 28 & 7, start, data + ends[i], out);
    };
    out.push_str(if bare {
        ""
    } else if object {
        "{"
    } else {
        "["
    });
    for i in 0..count {
        out.push_str(if i > 0 { ", " } else { "" });
        child(i, out);
        if object {
            out.push_str(": ");
            child(count + i, out);
        }
    }
    out.push_str(if bare {
        ""
    } else if object {
        "}"
    } else {
        "]"
    });
}

fn value(bytes: &[u8], kind: u32, start: usize, end: usize, out: &mut String) {
    let aligned = start.next_multiple_of(4);
    match kind {
        0 => {
            let text = std::str::from_utf8(&bytes[start..end]).unwrap();
            out.push_str(&crate::transform::sample::Sample::Text(text.to_owned()).canonical());
        }
        1 => {
            assert!(bytes[start..aligned].iter().all(|pad| *pad == 0));
            numeric(&bytes[aligned..end], out);
        }
        2 => out.push_str("false"),
        3 => out.push_str("true"),
        4 => out.push_str("null"),
        5 => {
            assert!(bytes[start..aligned].iter().all(|pad| *pad == 0));
            // Offsets are aligned within the whole, so a nested container starts aligned too.
            container(&bytes[aligned..end], false, out);
        }
        _ => panic!("kind {kind}"),
    }
}

fn numeric(bytes: &[u8], out: &mut String) {
    assert_eq!(word(bytes, 0) as usize, bytes.len() << 2);
    let header = half(bytes, 4);
    let (negative, scale, weight, at) = if header & 0x8000 != 0 {
        let weight = i32::from(header & 0x3F) - if header & 0x40 != 0 { 64 } else { 0 };
        (header & 0x2000 != 0, usize::from(header >> 7 & 0x3F), weight, 6)
    } else {
        let weight = i32::from(half(bytes, 6) as i16);
        (header & 0x4000 != 0, usize::from(header & 0x3FFF), weight, 8)
    };
    let groups: Vec<u16> =
        bytes[at..].as_chunks::<2>().0.iter().map(|g| u16::from_le_bytes(*g)).collect();
    assert!(groups.first() != Some(&0) && groups.last() != Some(&0), "stripped");
    let group = |power: i32| match usize::try_from(weight - power) {
        Ok(i) => groups.get(i).copied().unwrap_or(0),
        Err(_) => 0,
    };
    out.push_str(if negative { "-" } else { "" });
    let mut whole = String::new();
    for power in (0..=weight.max(0)).rev() {
        write!(whole, "{:04}", group(power)).unwrap();
    }
    let whole = whole.trim_start_matches('0');
    out.push_str(if whole.is_empty() { "0" } else { whole });
    if scale > 0 {
        let mut fraction = String::new();
        for i in 1..=scale.div_ceil(4) {
            write!(fraction, "{:04}", group(-(i as i32))).unwrap();
        }
        out.push('.');
        out.push_str(&fraction[..scale]);
    }
}
