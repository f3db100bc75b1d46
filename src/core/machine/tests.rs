//! The forms that this machine has against the one that every machine has.

use super::*;
use crate::sync::Ordering;
use crate::testing::{LastPage, PAGE, random};
use core::ptr;
use std::vec::Vec;

/// A window may be loaded if all of it is on the page where it begins.
#[test]
fn a_window_is_on_one_page() {
    if std::env::var("LD_PRELOAD").is_ok_and(|preloaded| preloaded.contains("vgpreload")) {
        return; // under valgrind there are none
    }
    let windowed = Windowed::ask();
    let all: Vec<u8> = std::vec![0; 3 * PAGE];
    let page = all.as_ptr().map_addr(|addr| addr.next_multiple_of(PAGE));
    for i in 0..PAGE {
        let at = page.wrapping_add(i);
        assert_eq!(windowed.has(at), MAY_HAVE_WINDOWS && i + WINDOW <= PAGE, "{i}");
        assert!(!Windowed::NEVER.has(at));
    }
}

#[cfg(all(target_arch = "x86_64", not(miri)))]
#[test]
fn a_wider_form_is_used_where_the_processor_has_it() {
    let has = std::is_x86_feature_detected!("avx2");
    assert_eq!(machine::is_wider(None, true), has);
    assert!(!has_wider(true) || has);
    assert!(!machine::is_wider(None, false), "it is not asked");
    assert!([true, false].iter().all(|&told| machine::is_wider(Some(told), true) == told));
}

/// Each of the bits is asked for. Source: Intel's manual, volume 2, CPUID, and volume 1, 13.3.
#[cfg(all(target_arch = "x86_64", not(miri)))]
#[test]
fn every_bit_that_tells_of_avx2_counts() {
    let tells = |leaf_1: u32, leaf_7: u32, saved: u32| machine::tells_of_avx2(leaf_1, || leaf_7, || saved);
    let all = u32::MAX;
    let (leaf_1, leaf_7, saved) = (0x1800_0000, 0x20, 6);
    assert!(tells(all, all, all) && tells(leaf_1, leaf_7, saved));
    for bit in (0..32).map(|bit| 1 << bit) {
        assert_eq!(tells(all & !bit, all, all), leaf_1 & bit == 0, "{bit:x}");
        assert_eq!(tells(all, all & !bit, all), leaf_7 & bit == 0, "{bit:x}");
        assert_eq!(tells(all, all, all & !bit), saved & bit == 0, "{bit:x}");
    }
    // Without the instruction there is no such register to ask.
    assert!(!machine::tells_of_avx2(0x1000_0000, || all, || panic!()));
}

/// The forms that this machine has, and the one that every machine has, on random slots: few different pointers and tags, so that all
/// combinations are met; slots at every place in a cache line.
#[test]
fn every_form_finds_the_same_candidates() {
    let mut below = random(20_261_125);
    const SLOTS: usize = 6 * GROUP;
    const { assert!(GROUP == portable::GROUP) };
    #[repr(align(64))]
    struct Tags([AtomicU16; SLOTS]);
    #[repr(align(64))]
    struct Pointers([AtomicPtr<c_char>; SLOTS + 8]);
    // Also such as have one half in common.
    let pointer = |i: usize| ptr::without_provenance_mut::<c_char>((i / 2) << 32 | i.div_ceil(2));
    for _ in 0..20_000 {
        let start = below(8);
        // Sometimes few nulls, so that stretches of every length are met.
        let kinds = 3 + below(9);
        let slots = Pointers(core::array::from_fn(|_| AtomicPtr::new(pointer(below(kinds)))));
        let shadows = Pointers(core::array::from_fn(|_| AtomicPtr::new(pointer(below(3)))));
        let tags = Tags(core::array::from_fn(|_| AtomicU16::new(below(3) as u16)));
        let (tag, end) = (below(3) as u16, GROUP * (1 + below(SLOTS / GROUP)));
        let from = below(end);
        let groups = |wider: bool| Groups {
            slots: slots.0[start..].as_ptr(),
            shadows: shadows.0.as_ptr(),
            tags: tags.0.as_ptr(),
            end,
            wider,
        };
        let found = |wider: bool| {
            // SAFETY: as many of each.
            let (lanes, next) = unsafe { candidates(groups(wider), from, tag, Side::Reader) };
            let of = |slot: usize| lanes >> ((slot + SPAN - next) * LANE) & !(!0 << (LANE - 1) << 1) != 0;
            assert!(next <= end && next > from && next - from <= SPAN);
            // No lane of a slot before the first one.
            assert_eq!(lanes & !(!0 << ((from + SPAN - next) * LANE)), 0);
            ((from..next).filter(|&slot| of(slot)).collect::<Vec<_>>(), next)
        };
        // Relaxed: nobody else stores.
        let is_null = |slot: usize| slots.0[start + slot].load(Ordering::Relaxed).is_null();
        let first = from - from % GROUP;
        let (mut portably, mut next) = (Vec::new(), first);
        while next == first || !(next == end || next == first + SPAN || is_null(next - 1)) {
            // SAFETY: as many of each.
            let lanes = unsafe { portable::candidates(groups(false), next, tag, Side::Reader) };
            let of = |slot: usize| lanes.0 >> ((slot + portable::SPAN - lanes.1) * portable::LANE) & 1 != 0;
            portably.extend((next..lanes.1).filter(|&slot| slot >= from && of(slot)));
            next = lanes.1;
        }
        assert_eq!(found(false), (portably.clone(), next));
        if has_wider(true) {
            assert_eq!(found(true), (portably, next));
        }
    }
}

/// Only entries that begin otherwise are passed over, wherever they lie: also where the memory ends behind an empty one.
#[test]
fn what_may_begin_so_is_not_passed_over() {
    let last = LastPage::new();
    let entries: &[&[u8]] = &[b"\0", b"A\0", b"AB\0", b"A=\0", b"BA=1\0", b"AB=1\0", b"ABC=1\0", b"=A\0"];
    for text in entries {
        for at in [0, 1, 100, PAGE - text.len()] {
            // SAFETY: within the page.
            let entry = unsafe {
                let entry = last.page().add(at);
                entry.copy_from_nonoverlapping(text.as_ptr(), text.len());
                entry.cast::<c_char>()
            };
            let slots = [entry, entry, ptr::null_mut()].map(AtomicPtr::new);
            for start in [*b"AB", *b"A=", *b"BA", *b"XY"] {
                // SAFETY: a list that ends in null.
                let next = unsafe { next_like(slots.as_ptr(), u16::from_le_bytes(start)) };
                // SAFETY: as above.
                assert_eq!(unsafe { portable::next_like(slots.as_ptr(), 0) }, slots.as_ptr());
                let passed = (next.addr() - slots.as_ptr().addr()) / size_of::<AtomicPtr<c_char>>();
                let begins_so = text.starts_with(&start);
                // None of two alike, or both, and never the terminator; at the ends of a page, as it likes.
                assert!(passed == 0 || (!begins_so && passed == 2), "{text:?} at {at}: {passed}");
                let is_inside = at != 0 && at != PAGE - 1;
                assert!(cfg!(not(target_arch = "x86_64")) || !is_inside || begins_so || passed == 2);
            }
        }
    }
}

/// Windows, byte by byte, at every place.
#[test]
fn every_form_sees_the_same_in_a_window() {
    let bytes: Vec<u8> = (0..=255u8).chain(std::iter::repeat_n(b'=', 40)).chain([0; 40]).collect();
    for i in 0..=bytes.len() - WINDOW {
        let (window, at) = (&bytes[i..i + WINDOW], bytes[i..].as_ptr());
        let is_end = |lane: usize| matches!(window[lane], 0 | b'=');
        let ends = (0..WINDOW).fold(0, |ends, lane| ends | u32::from(is_end(lane)) << lane);
        // SAFETY: a window.
        unsafe { assert_eq!((window_ends(at), portable::window_ends(at)), (ends, ends)) };
        for len in 0..=WINDOW {
            let mut padded = [0; WINDOW];
            padded[..len].copy_from_slice(&window[..len]);
            let by_byte =
                core::array::from_fn(|i| u64::from_le_bytes(core::array::from_fn(|j| padded[8 * i + j])));
            // SAFETY: a window.
            unsafe {
                assert_eq!(words(at, len), by_byte, "{i} {len}");
                assert_eq!(portable::words(at, len), by_byte, "{i} {len}");
                for other in 0..WINDOW {
                    let mut changed: [u8; WINDOW] = core::array::from_fn(|j| window[j]);
                    changed[other] ^= 0x40;
                    assert_eq!(are_alike(at, changed.as_ptr(), len), other >= len, "{i} {len} {other}");
                    assert_eq!(portable::are_alike(at, changed.as_ptr(), len), other >= len);
                }
            }
        }
    }
    const { assert!(!portable::MAY_HAVE_WINDOWS) };
    assert!(!portable::has_wider(true) && !portable::is_watched());
}

/// Words and ends of chunks, byte by byte.
#[test]
fn every_form_reads_the_same_bytes() {
    let bytes: Vec<u8> = (0..=255u8).chain(std::iter::repeat_n(b'=', 16)).chain([0; 32]).collect();
    for i in 0..bytes.len() - 24 {
        let at = bytes[i..].as_ptr();
        // SAFETY: 24 bytes follow.
        unsafe {
            assert_eq!(word(at), portable::word(at));
            assert_eq!(half_word(at), portable::half_word(at));
            let chunk = at.map_addr(|addr| addr.next_multiple_of(CHUNK));
            let by_byte = |lane: usize| portable::ends(chunk.add(lane)) != 0;
            let ends: u64 = ends(chunk).into();
            for lane in 0..CHUNK.min(8) {
                assert_eq!(ends >> (lane * BITS) & !(!0 << BITS) != 0, by_byte(lane));
            }
        }
    }
    assert_eq!((portable::CHUNK, portable::BITS), (1, 1));
}
