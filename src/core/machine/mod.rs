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
//! - W4: and on x86-64, which has no tagged memory, a [window](WINDOW) from the start of a string, if all of it lies on one page; not under
//!   memcheck, which takes it for an error ([`Windowed`]).

#[cfg(all(target_arch = "aarch64", not(any(loom, miri))))]
mod aarch64;
#[cfg(all(target_arch = "aarch64", not(any(loom, miri))))]
use aarch64 as machine;
#[cfg(any(test, loom, miri, not(any(target_arch = "x86_64", target_arch = "aarch64"))))]
mod portable;
#[cfg(any(loom, miri, not(any(target_arch = "x86_64", target_arch = "aarch64"))))]
use portable as machine;
#[cfg(any(test, loom, miri, not(target_arch = "x86_64")))]
mod windowless;
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
/// True if windows of strings may be loaded on this kind of machine (W4); of a window that may be loaded, a bit for each byte that is NUL or `=`;
/// of two such, whether their first `len` bytes are the same.
pub(crate) use machine::{MAY_HAVE_WINDOWS, are_alike, window_ends};
/// Eight bytes, and four, as a number of which the first byte is the lowest digit; the first `len` bytes of a window that may be loaded, as four
/// such numbers, filled up with zeros.
pub(crate) use machine::{half_word, word, words};

/// Bytes of a window.
pub(crate) const WINDOW: usize = 32;

/// Which strings' windows may be loaded (W4): those that begin in the first so many bytes of a page.
#[derive(Clone, Copy, Debug)]
pub struct Windowed(pub(crate) usize);

impl Windowed {
    /// None.
    pub(crate) const NEVER: Windowed = Windowed(0);
    /// The least bytes of a page.
    const PAGE: usize = 4096;

    /// What this process may do.
    pub(crate) fn ask() -> Windowed {
        let may = MAY_HAVE_WINDOWS && !machine::is_watched();
        Windowed(if may { Windowed::PAGE - WINDOW + 1 } else { 0 })
    }

    /// True if the window at `at` may be loaded, a byte of which is readable.
    #[inline(always)]
    pub(crate) fn has(self, at: *const u8) -> bool {
        MAY_HAVE_WINDOWS && at.addr() % Windowed::PAGE < self.0
    }
}

/// Where slots, shadows and tags start, and how many of each there are.
///
/// Invariant: so many are readable, whole groups of [`GROUP`]; shadows and tags are aligned to 16 bytes.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Groups {
    pub(crate) slots: *const AtomicPtr<c_char>,
    pub(crate) shadows: *const AtomicPtr<c_char>,
    pub(crate) tags: *const AtomicU16,
    #[cfg_attr(all(not(loom), any(miri, not(target_arch = "x86_64"))), allow(dead_code))]
    pub(crate) end: usize,
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

/// Lanes of a stretch of slots, [`LANE`] bits each, the last slot's highest; a lane with any bit set is in.
pub(crate) type Lanes = u64;
/// Lanes at most.
pub(crate) const SPAN: usize = u64::BITS as usize / LANE;

/// The slots from `from` on that may hold an entry with this tag: those that do not equal their shadow, and those with this tag. Looks at a
/// stretch of whole groups, at most as many as have lanes, and often at none behind one whose last slot is null, since the list has ended. Also
/// returns where the next stretch begins. Every load of the stretch is done before any load that follows this.
///
/// # Safety
/// - the invariant of [`Groups`]; `from` is below their end.
#[inline(always)]
pub(crate) unsafe fn candidates(groups: Groups, from: usize, tag: u16, side: Side) -> (Lanes, usize) {
    // SAFETY: the caller's promise.
    let (lanes, next) = unsafe { machine::candidates(groups, from - from % GROUP, tag, side) };
    (lanes & (!0 << ((from + SPAN - next) * LANE)), next)
}

#[cfg(all(test, not(any(loom, miri)), any(target_arch = "x86_64", target_arch = "aarch64")))]
mod tests;
