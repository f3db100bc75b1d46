//! Lengths, words, hashes and comparisons, byte by byte.

use super::*;
use crate::testing::assert_spread;
#[cfg(not(miri))]
use crate::testing::{LastPage, PAGE};
use std::format;
use std::string::String;
use std::vec::Vec;

impl Keyed {
    /// Always the same keys. Source: the golden ratio and another number of random digits.
    pub(crate) fn of_tests() -> Keyed {
        keyed([0x9e37_79b9_7f4a_7c15, 0xd1b5_4a32_d192_ed03].map(|key: u64| key as usize), Windowed::ask())
    }
}

/// At every alignment, with an end at every place, and with other ends before and behind.
#[test]
fn length_stops_at_the_first_end() {
    for end in [b'=', 0] {
        for other in [b'=', 0] {
            for skip in 0..32 {
                for len in 0..70 {
                    let mut bytes: Vec<u8> = std::vec![other; 128];
                    bytes[skip..skip + len].fill(b'x');
                    bytes[skip + len] = end;
                    // SAFETY: there is a NUL: the last byte is 0 or `=`, so one is appended.
                    bytes.push(0);
                    let at = bytes.as_ptr().wrapping_add(skip);
                    // SAFETY: as said; and a window.
                    unsafe {
                        assert_eq!(length(at), len, "{skip} {len}");
                        assert_eq!(length_by(at, Windowed::ask()), len, "{skip} {len}");
                    }
                }
            }
        }
    }
}

fn may_see(len: usize) -> bool {
    MAY_HAVE_WINDOWS && (1..=TAIL).contains(&len)
}

#[test]
fn every_byte_of_a_name_counts() {
    for len in 1..80 {
        for skip in 0..8 {
            let name: String = (0..len).map(|i| char::from(b'A' + (i % 26) as u8)).collect();
            let padded = |text: String| "x".repeat(skip) + &text + &"\0".repeat(BEYOND + 1);
            let placed = padded(name.clone());
            let name_there = &placed.as_bytes()[skip..skip + len];
            let words = Words::of(name_there);
            let is = |entry: &str| {
                let entry = padded(entry.into());
                let at = entry.as_ptr().wrapping_add(skip);
                // SAFETY: padded as promised; NUL-terminated, not empty.
                let (is, looked_at, seen) = unsafe {
                    let by_look = starts(at, start_of(name_there)) && is_name_of(at, name_there);
                    let is = is_named(at, name_there, false);
                    (is, by_look, if may_see(len) { is_named(at, name_there, true) } else { is })
                };
                assert_eq!((looked_at, seen), (is, is), "{entry}");
                is
            };
            assert!(is(&format!("{name}=")) && is(&format!("{name}=value")));
            assert!(!is(&name) && !is(&format!("{name}X=")));
            for i in 0..len {
                for other in ["!", "="] {
                    let mut changed = name.clone();
                    changed.replace_range(i..=i, other);
                    let same = words == Words::of(changed.as_bytes());
                    assert_eq!(same, i + TAIL < len);
                    assert!(!is(&format!("{changed}=")), "{i} of {len}");
                }
                assert!(!is(&name[..i]), "{i} of {len}");
            }
            // Two words that differ in the same bits.
            for i in 0..len.saturating_sub(SHORT) {
                let mut changed = name.clone().into_bytes();
                for i in [i, i + SHORT] {
                    changed[i] ^= 0x20;
                }
                let changed = String::from_utf8(changed).expect("ASCII");
                assert!(!is(&format!("{changed}=")), "{i} of {len}");
            }
        }
    }
}

/// Also of a name that is longer than its words.
#[test]
fn every_byte_of_a_name_has_a_part_in_its_hash() {
    let keys = keyed([0x9e37_79b9, 0xd1b5_4a33], Windowed::ask());
    for len in [1, 7, 8, 31, 32, 33, 40, 41, 80] {
        let name: Vec<u8> = (0..len).map(|i| b'A' + (i % 26) as u8).collect();
        let hash = hash_name(&name, keys);
        for i in 0..len {
            let mut other = name.clone();
            other[i] = b'_';
            assert_ne!(hash_name(&other, keys), hash, "{i} of {len}");
        }
    }
}

/// They are what nobody outside can know, and each bit of them has its effect.
#[test]
fn hashes_are_keyed() {
    let keys = Keys::new();
    let Keyed { a, b, .. } = keys.get();
    let secret = keyed(sync::secret(), Windowed::NEVER);
    assert_eq!((a, b, keys.known().a, keys.known().b), (secret.a, secret.b, a, b));
    let name: &[u8] = b"SOME_NAME_OF_MORE_THAN_A_WORD";
    let hash = |keys: [usize; 2]| keyed(keys, Windowed::NEVER).hash(name);
    let keys = sync::secret();
    for bit in 0..usize::BITS {
        let [a, b] = keys.map(|key| key ^ 1 << bit);
        assert!(hash([a, keys[1]]) != hash(keys) && hash([keys[0], b]) != hash(keys), "{bit}");
    }
}

/// Short names, and long ones that differ in front or at the end.
#[test]
fn hashes_of_names_are_spread() {
    let keys = Keyed::of_tests();
    for (before, behind) in [(0, 0), (0, 20), (20, 0), (0, 60), (60, 0), (30, 30)] {
        let (before, behind) = ("B".repeat(before), "E".repeat(behind));
        let hash = |i: u32| hash_name(format!("{before}{i}{behind}").as_bytes(), keys);
        assert_spread(&(0..1_000).map(hash).collect::<Vec<_>>());
    }
    let numbers: Vec<u32> = (0..1_000).map(|i| keys.hash_number(usize::MAX / 2 + 16 * i)).collect();
    assert_spread(&numbers);
}

#[test]
fn a_text_has_one_hash_seen_or_not() {
    let number = [0x9e37_79b9, 0xd1b5_4a33];
    let (blind, seeing) = (keyed(number, Windowed::NEVER), keyed(number, Windowed(1 << 12)));
    for len in 0..=80 {
        for skip in 0..8 {
            let bytes: Vec<u8> = (0..skip + len + WINDOW).map(|i| b'A' + (i % 26) as u8).collect();
            let text = &bytes[skip..skip + len];
            assert_eq!((blind.sees(text), seeing.sees(text)), (false, may_see(len)), "{len}");
            assert_eq!(seeing.hash(text), blind.hash(text), "{skip} {len}");
            if is_quick(text, seeing) && len > 0 {
                // SAFETY: just asked.
                assert_eq!(unsafe { hash_quickly(text, seeing) }, hash_name(text, blind), "{skip} {len}");
            }
        }
    }
    // No memory, and so no window.
    assert_eq!(seeing.hash(&[]), blind.hash(b""));
    assert!(!seeing.sees(&[]));
}

/// Texts that end where the memory does.
#[cfg(not(miri))]
#[test]
fn nothing_is_read_of_the_next_page() {
    let last = LastPage::new();
    let page = last.page();
    let keys = keyed([0x9e37_79b9, 0xd1b5_4a33], Windowed::ask());
    for len in 1..80 {
        // SAFETY: within the page, with room for a NUL.
        unsafe {
            let at = page.add(PAGE - len - 1);
            at.write_bytes(b'N', len);
            at.add(len).write(0);
            assert_eq!((length_by(at, keys.windowed), length(at)), (len, len));
            let text = std::slice::from_raw_parts(at, len);
            assert_eq!(keys.hash(text), keys.hash(&std::vec![b'N'; len]));
            assert!(starts_quickly([text, &[0; WINDOW]].concat().as_ptr(), text, keys.sees(text)));
            // And without a NUL.
            let at = page.add(PAGE - len);
            at.write_bytes(b'N', len);
            assert_eq!(keys.hash(std::slice::from_raw_parts(at, len)), keys.hash(text));
        }
    }
}

/// A name whose words end at the end of readable memory.
#[test]
fn names_are_read_within_bounds() {
    for len in 1..40 {
        let name: Vec<u8> = (1..=len).collect();
        let boxed: std::boxed::Box<[u8]> = name.clone().into();
        assert_eq!(Words::of(&boxed), Words::of(&name));
    }
}
