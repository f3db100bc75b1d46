//! Loads that the language has no safe word for: chunks of bytes, and groups of slots, from memory that others may write meanwhile.
//!
//! A load wider than an atomic, from memory with another writer, is a data race to the language whatever the machine says; so
//! these are assembly, on x86-64 and aarch64. Elsewhere, and under loom and Miri, the same is done byte by byte and slot by slot with
//! atomics. One file for each, with the same names in it.
//!
//! # Invariants
//! - W1: a load that may reach past the end of a string is aligned to its size (16 bytes at most). So it stays within the page,
//!   within the granule of a tagged memory (MTE), and within what memcheck calls a partial load.
//! - W2: other loads stay within what the caller promises.
//! - W3: but two bytes are loaded of an entry that may be empty, unless the second one lies on another page. So did glibc up to 2.36.

#[cfg(all(target_arch = "aarch64", not(any(loom, miri))))]
mod aarch64;
#[cfg(all(target_arch = "aarch64", not(any(loom, miri))))]
use aarch64 as machine;
#[cfg(any(test, loom, miri, not(any(target_arch = "x86_64", target_arch = "aarch64"))))]
mod portable;
#[cfg(any(loom, miri, not(any(target_arch = "x86_64", target_arch = "aarch64"))))]
use portable as machine;
#[cfg(all(target_arch = "x86_64", not(any(loom, miri))))]
mod x86_64;
#[cfg(all(target_arch = "x86_64", not(any(loom, miri))))]
use x86_64 as machine;

use crate::sync::{AtomicPtr, AtomicU16};
use core::ffi::c_char;

/// True if this processor can look at a group in fewer and wider steps than every one of its kind. Where libc does not know, the question takes
/// 15 to 25 us for each of its two steps in a virtual machine, whose host answers it: only where it is worth that.
pub(crate) use machine::has_wider;
/// Passes over entries that begin otherwise: a slot from `slot` on, up to the first one that is null or whose entry begins with these two
/// bytes. Each slot below that is loaded once, in order, before any load that follows this.
///
/// # Safety
/// - `slot` points into a proper list (L1), whose entries are strings that stay (L2, L4).
pub(crate) use machine::next_like;
/// Bytes of a chunk; bits of the answer for each; the bits for those of a chunk's bytes that are NUL or `=`.
pub(crate) use machine::{BITS, CHUNK, ends};
/// Slots of a group; bits of a lane.
pub(crate) use machine::{GROUP, LANE};
/// Eight bytes, and four, as a number of which the first byte is the lowest digit.
pub(crate) use machine::{half_word, word};

/// One group: where slots, shadows and tags start, and the number of its first one.
///
/// Invariant: from there on [`GROUP`] of each are readable; those shadows and tags are aligned to 16 bytes.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Group {
    pub(crate) slots: *const AtomicPtr<c_char>,
    pub(crate) shadows: *const AtomicPtr<c_char>,
    pub(crate) tags: *const AtomicU16,
    pub(crate) first: usize,
    /// See [`has_wider`]: it was asked, and said yes.
    #[cfg_attr(any(loom, miri, not(target_arch = "x86_64")), allow(dead_code))]
    pub(crate) wider: bool,
}

/// Who searches.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Side {
    /// A reader, beside anything.
    Reader,
    /// The holder of the update lock.
    Writer,
}

/// Lanes of one group, [`LANE`] bits each; a lane with any bit set is in.
pub(crate) type Lanes = u64;

/// The slots of a group, but for the `below` lowest ones, that may hold an entry with this tag: those that do not equal their shadow, and
/// those with this tag. [`Lanes`] of them, in ascending order. Every load of the group is done before any load that follows this.
///
/// # Safety
/// - the invariant of [`Group`]; `below` is less than [`GROUP`].
#[inline(always)]
pub(crate) unsafe fn candidates(group: Group, below: usize, tag: u16, side: Side) -> Lanes {
    // SAFETY: the caller's promise.
    unsafe { machine::candidates(group, below, tag, side) & (!0 << (below * LANE)) }
}

#[cfg(all(test, not(any(loom, miri)), any(target_arch = "x86_64", target_arch = "aarch64")))]
mod tests {
    use super::*;
    use core::ptr;
    use std::vec::Vec;

    /// The forms that this machine has, and the one that every machine has, on random groups: few different pointers and tags, so that all
    /// combinations are met; slots at every place in a cache line.
    #[test]
    fn every_form_finds_the_same_candidates() {
        let mut state: u64 = 20_261_125;
        let mut below = |end: usize| {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            (state >> 33) as usize % end
        };
        #[repr(align(64))]
        struct Tags([AtomicU16; GROUP]);
        #[repr(align(64))]
        struct Pointers([AtomicPtr<c_char>; 2 * GROUP]);
        let pointer = |i: usize| ptr::without_provenance_mut::<c_char>(i << 32 | i);
        for _ in 0..20_000 {
            let start = below(8);
            let slots = Pointers(core::array::from_fn(|_| AtomicPtr::new(pointer(below(3)))));
            let shadows = Pointers(core::array::from_fn(|_| AtomicPtr::new(pointer(below(3)))));
            let tags = Tags(core::array::from_fn(|_| AtomicU16::new(below(3) as u16)));
            let (tag, skipped) = (below(3) as u16, below(GROUP));
            let found = |wider: bool| {
                let group = Group {
                    slots: slots.0[start..].as_ptr(),
                    shadows: shadows.0.as_ptr(),
                    tags: tags.0.as_ptr(),
                    first: 0,
                    wider,
                };
                // SAFETY: as many of each.
                let lanes = unsafe { candidates(group, skipped, tag, Side::Reader) };
                (0..GROUP).filter(|lane| lanes >> (lane * LANE) & !(!0 << LANE) != 0).collect::<Vec<_>>()
            };
            let mut portably = Vec::new();
            for first in (0..GROUP).step_by(portable::GROUP) {
                let group = Group {
                    slots: slots.0[start..].as_ptr(),
                    shadows: shadows.0.as_ptr(),
                    tags: tags.0.as_ptr(),
                    first,
                    wider: portable::has_wider(true),
                };
                // SAFETY: as many of each.
                let lanes = unsafe { portable::candidates(group, 0, tag, Side::Reader) };
                let lane = |i: usize| lanes >> (i * portable::LANE) & !(!0 << portable::LANE) != 0;
                portably.extend((0..portable::GROUP).filter(|&i| lane(i)).map(|i| first + i));
            }
            portably.retain(|&lane| lane >= skipped);
            assert_eq!(found(false), portably);
            if has_wider(true) {
                assert_eq!(found(true), portably);
            }
        }
    }

    /// Only entries that begin otherwise are passed over, wherever they lie: also where the memory ends behind an empty one.
    #[test]
    fn what_may_begin_so_is_not_passed_over() {
        const PAGE: usize = 4096;
        let (access, kind) = (libc::PROT_READ | libc::PROT_WRITE, libc::MAP_PRIVATE | libc::MAP_ANONYMOUS);
        // SAFETY: a fresh mapping; nothing behind its first page can be read from now on.
        let page: *mut u8 = unsafe {
            let at = libc::mmap(ptr::null_mut(), 2 * PAGE, access, kind, -1, 0);
            assert_ne!(at, libc::MAP_FAILED);
            assert_eq!(libc::mprotect(at.byte_add(PAGE), PAGE, libc::PROT_NONE), 0);
            at.cast()
        };
        let entries: &[&[u8]] = &[b"\0", b"A\0", b"AB\0", b"A=\0", b"BA=1\0", b"AB=1\0", b"ABC=1\0", b"=A\0"];
        for text in entries {
            for at in [0, 1, 100, PAGE - text.len()] {
                // SAFETY: within the page.
                let entry = unsafe {
                    let entry = page.add(at);
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
        // SAFETY: mapped above.
        assert_eq!(unsafe { libc::munmap(page.cast(), 2 * PAGE) }, 0);
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
}
