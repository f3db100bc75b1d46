//! 64-bit ARM: NEON, which every such processor has.

use super::{Groups, Lanes, Side};
use crate::sync::AtomicPtr;
use core::arch::asm;
use core::ffi::c_char;

pub(crate) use super::windowless::{MAY_HAVE_WINDOWS, are_alike, is_watched, window_ends};

pub(crate) const CHUNK: usize = 16;
pub(crate) const BITS: usize = 4;
pub(crate) const LANE: usize = 4;
pub(crate) const GROUP: usize = 16;

/// Four bits for each of the 16 bytes at `chunk` that is NUL or `=`.
///
/// # Safety
/// - `chunk` is aligned to 16, and one of its bytes is readable.
#[inline(always)]
pub(crate) unsafe fn ends(chunk: *const u8) -> u64 {
    let ends: u64;
    // SAFETY: W1: one aligned load.
    unsafe {
        asm!(
            "ldr {a:q}, [{chunk}]",
            "movi {b:v}.16b, #61", // =
            "cmeq {b:v}.16b, {b:v}.16b, {a:v}.16b",
            "cmeq {a:v}.16b, {a:v}.16b, #0",
            "orr {a:v}.16b, {a:v}.16b, {b:v}.16b",
            "shrn {a:v}.8b, {a:v}.8h, #4",
            "fmov {ends}, {a:d}",
            chunk = in(reg) chunk, ends = lateout(reg) ends, a = out(vreg) _, b = out(vreg) _,
            options(readonly, nostack, preserves_flags, pure),
        );
    }
    ends
}

/// Eight bytes.
///
/// # Safety
/// - they are readable.
#[inline(always)]
pub(crate) unsafe fn word(at: *const u8) -> u64 {
    let word: u64;
    // SAFETY: the caller's promise.
    unsafe {
        asm!("ldr {word}, [{at}]", at = in(reg) at, word = lateout(reg) word,
            options(readonly, nostack, preserves_flags, pure));
    }
    u64::from_le(word)
}

/// Four bytes: half a word.
///
/// # Safety
/// - they are readable.
#[inline(always)]
pub(crate) unsafe fn half_word(at: *const u8) -> u32 {
    let half: u32;
    // SAFETY: the caller's promise.
    unsafe {
        asm!("ldr {half:w}, [{at}]", at = in(reg) at, half = lateout(reg) half,
            options(readonly, nostack, preserves_flags, pure));
    }
    u32::from_le(half)
}

/// See [`super::words`].
///
/// # Safety
/// - as there; `len` is at most [`WINDOW`](super::WINDOW).
#[inline(always)]
pub(crate) unsafe fn words(at: *const u8, len: usize) -> [u64; 4] {
    core::array::from_fn(|i| {
        let mask = match len.saturating_sub(8 * i) {
            0 => 0,
            bytes @ 1..8 => !(!0 << (8 * bytes)),
            _ => !0,
        };
        // SAFETY: the caller's promise.
        unsafe { word(at.add(8 * i)) & mask }
    })
}

/// See [`super::next_like`]: none is passed over. (Two bytes of an empty entry may lie in two granules of a tagged memory.)
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

/// See [`super::candidates`]: one group.
///
/// # Safety
/// - as there; `first` is a multiple of [`GROUP`].
#[inline(always)]
pub(crate) unsafe fn candidates(groups: Groups, first: usize, tag: u16, _: Side) -> (Lanes, usize) {
    const { assert!(GROUP == 16) };
    let other: u64;
    // SAFETY: loads sixteen slots, shadows and tags, all of which the caller says exist. The barrier at the end orders these
    // loads before all later ones, as the fence of the portable form does.
    unsafe {
        asm!(
            // Slots that equal their shadow, as 64, 32, 16 bits; then those of them with another tag, as 8 and 4 bits.
            "ldp {a:q}, {b:q}, [{slots}]",
            "ldp {c:q}, {d:q}, [{shadows}]",
            "cmeq {a:v}.2d, {a:v}.2d, {c:v}.2d",
            "cmeq {b:v}.2d, {b:v}.2d, {d:v}.2d",
            "uzp1 {a:v}.4s, {a:v}.4s, {b:v}.4s",
            "ldp {b:q}, {c:q}, [{slots}, #32]",
            "ldp {d:q}, {e:q}, [{shadows}, #32]",
            "cmeq {b:v}.2d, {b:v}.2d, {d:v}.2d",
            "cmeq {c:v}.2d, {c:v}.2d, {e:v}.2d",
            "uzp1 {b:v}.4s, {b:v}.4s, {c:v}.4s",
            "uzp1 {a:v}.8h, {a:v}.8h, {b:v}.8h",
            "ldp {b:q}, {c:q}, [{slots}, #64]",
            "ldp {d:q}, {e:q}, [{shadows}, #64]",
            "cmeq {b:v}.2d, {b:v}.2d, {d:v}.2d",
            "cmeq {c:v}.2d, {c:v}.2d, {e:v}.2d",
            "uzp1 {b:v}.4s, {b:v}.4s, {c:v}.4s",
            "ldp {c:q}, {d:q}, [{slots}, #96]",
            "ldp {e:q}, {f:q}, [{shadows}, #96]",
            "cmeq {c:v}.2d, {c:v}.2d, {e:v}.2d",
            "cmeq {d:v}.2d, {d:v}.2d, {f:v}.2d",
            "uzp1 {c:v}.4s, {c:v}.4s, {d:v}.4s",
            "uzp1 {b:v}.8h, {b:v}.8h, {c:v}.8h",
            "ldp {c:q}, {d:q}, [{tags}]",
            "dup {e:v}.8h, {wanted:w}",
            "cmeq {c:v}.8h, {c:v}.8h, {e:v}.8h",
            "cmeq {d:v}.8h, {d:v}.8h, {e:v}.8h",
            "bic {a:v}.16b, {a:v}.16b, {c:v}.16b",
            "bic {b:v}.16b, {b:v}.16b, {d:v}.16b",
            "uzp1 {a:v}.16b, {a:v}.16b, {b:v}.16b",
            "shrn {a:v}.8b, {a:v}.8h, #4",
            "fmov {other}, {a:d}",
            "dmb ishld",
            slots = in(reg) groups.slots.add(first),
            shadows = in(reg) groups.shadows.add(first),
            tags = in(reg) groups.tags.add(first),
            wanted = in(reg) u32::from(tag),
            a = out(vreg) _, b = out(vreg) _, c = out(vreg) _, d = out(vreg) _, e = out(vreg) _, f = out(vreg) _,
            other = lateout(reg) other,
            // Not `readonly`: no other access may be moved across.
            options(nostack, preserves_flags),
        );
    }
    (!other, first + GROUP)
}
