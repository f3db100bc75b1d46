//! Everywhere else, and under loom and Miri: byte by byte and slot by slot, with atomics.

use super::{Groups, Lanes, Side};
use crate::sync::{self, AtomicPtr, AtomicU16, Ordering, byte};
use core::ffi::c_char;

pub(crate) use super::windowless::{MAY_HAVE_WINDOWS, are_alike, is_watched, window_ends};

pub(crate) const CHUNK: usize = 1;
pub(crate) const BITS: usize = 1;
pub(crate) const LANE: usize = 1;
pub(crate) const GROUP: usize = if cfg!(loom) { 2 } else { 16 };
pub(crate) const SPAN: usize = u64::BITS as usize / LANE;

/// 1 if the byte at `chunk` is NUL or `=`.
///
/// # Safety
/// - it is readable.
pub(crate) unsafe fn ends(chunk: *const u8) -> u32 {
    // SAFETY: the caller's promise.
    u32::from(matches!(unsafe { byte(chunk) }, 0 | b'='))
}

/// Eight bytes.
///
/// # Safety
/// - they are readable.
pub(crate) unsafe fn word(at: *const u8) -> u64 {
    // SAFETY: the caller's promise.
    u64::from_le_bytes(core::array::from_fn(|i| unsafe { byte(at.add(i)) }))
}

/// Four bytes: half a word.
///
/// # Safety
/// - they are readable.
pub(crate) unsafe fn half_word(at: *const u8) -> u32 {
    // SAFETY: the caller's promise.
    u32::from_le_bytes(core::array::from_fn(|i| unsafe { byte(at.add(i)) }))
}

/// See [`super::words`]: only these bytes are read, since others of ours may be written meanwhile.
///
/// # Safety
/// - as there; `len` is at most [`WINDOW`](super::WINDOW).
pub(crate) unsafe fn words(at: *const u8, len: usize) -> [u64; 4] {
    core::array::from_fn(|i| {
        let from = 8 * i;
        // SAFETY: the caller's promise.
        let byte = |j| if from + j < len { unsafe { byte(at.add(from + j)) } } else { 0 };
        u64::from_le_bytes(core::array::from_fn(byte))
    })
}

/// See [`super::next_like`]: none is passed over.
///
/// # Safety
/// - as there.
pub(crate) unsafe fn next_like(slot: *const AtomicPtr<c_char>, _: u16) -> *const AtomicPtr<c_char> {
    slot
}

/// No.
pub(crate) fn has_wider(_: bool) -> bool {
    false
}

/// See [`super::candidates`]: one group; in the models a whole stretch, as on x86-64. The last slot first: the order must not matter, and in the
/// models it is the worst one.
///
/// # Safety
/// - as there; `first` is a multiple of [`GROUP`].
pub(crate) unsafe fn candidates(groups: Groups, first: usize, tag: u16, side: Side) -> (Lanes, usize) {
    let next = if cfg!(loom) { groups.end.min(first + SPAN) } else { first + GROUP };
    let mut found = 0;
    for i in (first..next).rev() {
        // SAFETY: the caller's promise: these exist.
        let (slot, shadow, its_tag): (&AtomicPtr<c_char>, &AtomicPtr<c_char>, &AtomicU16) =
            unsafe { (&*groups.slots.add(i), &*groups.shadows.add(i), &*groups.tags.add(i)) };
        let (slot, shadow, its_tag) = match side {
            // Relaxed: ordered by the fence below.
            Side::Reader => (
                slot.load(Ordering::Relaxed),
                shadow.load(Ordering::Relaxed),
                its_tag.load(Ordering::Relaxed),
            ),
            Side::Writer => (sync::own(slot), sync::own(shadow), sync::own_tag(its_tag)),
        };
        found |= Lanes::from(slot != shadow || its_tag == tag) << ((i + SPAN - next) * LANE);
    }
    if side == Side::Reader {
        // Acquire [hint]: pairs with Release in `Slot::store` and `Hints::note`: who saw a store of a change sees that the change
        // began, and all it stored before. Without it loom `an_unset_variable_stays_gone` fails.
        sync::fence(Ordering::Acquire);
    }
    (found, next)
}
