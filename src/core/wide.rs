//! Loads that the language has no safe word for: many bytes or many slots at once, from memory that others may write meanwhile.
//!
//! A load wider than an atomic, from memory with another writer, is a data race to the language whatever the machine says; so
//! these are assembly, on x86-64 (SSE2, which every such processor has) and aarch64 (NEON, likewise). Elsewhere, and under
//! loom and Miri, the same is done byte by byte and slot by slot with atomics.
//!
//! # Invariants
//! - W1: a load that may reach past the end of a string is aligned to its size (16 bytes at most). So it stays within the page,
//!   within the granule of a tagged memory (MTE), and within what memcheck calls a partial load.
//! - W2: other loads stay within what the caller promises.

use crate::hints::Hints;

/// Bytes of the string at `at` before its NUL or its first `=`, whichever comes first.
///
/// # Safety
/// - `at` is a readable NUL-terminated string.
#[inline(always)]
pub(crate) unsafe fn length(at: *const u8) -> usize {
    let chunk = at.map_addr(|addr| addr & !(machine::CHUNK - 1));
    let skip = at.addr() - chunk.addr();
    // SAFETY: W1: the chunk holds at least one byte of the string.
    let ends = unsafe { machine::ends(chunk) } >> (skip * machine::BITS);
    if ends != 0 {
        return ends.trailing_zeros() as usize / machine::BITS;
    }
    // SAFETY: no end in the first chunk, so the string goes on in the next.
    unsafe { length_from(at, chunk.add(machine::CHUNK)) }
}

/// [`length`] of a string that reaches `chunk`.
#[inline]
unsafe fn length_from(at: *const u8, mut chunk: *const u8) -> usize {
    loop {
        // SAFETY: W1: no end before this chunk, so the string reaches into it.
        let ends = unsafe { machine::ends(chunk) };
        if ends != 0 {
            return chunk.addr() - at.addr() + ends.trailing_zeros() as usize / machine::BITS;
        }
        // SAFETY: as above, for the next chunk.
        chunk = unsafe { chunk.add(machine::CHUNK) };
    }
}

/// True if the `len` bytes at `name` are those at `entry`, and `=` follows these.
///
/// # Safety
/// - `len` bytes at `name` are readable, none of them 0 and nobody writes them;
/// - `entry` is a NUL-terminated string, and readable for [`BEYOND`] bytes past its NUL.
#[inline(always)]
pub(crate) unsafe fn is_named(entry: *const u8, name: *const u8, len: usize) -> bool {
    use machine::{byte, half, word};
    // Each arm reads at most 16 bytes that it knows nothing of, then the `=`.
    // SAFETY: of the name, only its `len` bytes. Of the entry: `&&` goes on only when all before was equal to bytes of a name, so
    // no NUL was among it; what is read then starts within the string, NUL included, and is no longer than BEYOND.
    unsafe {
        let word_differs = |i: usize| word(entry.add(i)) ^ name.add(i).cast::<u64>().read_unaligned();
        let half_differs = |i: usize| half(entry.add(i)) ^ name.add(i).cast::<u32>().read_unaligned();
        let same = match len {
            0 => return false,
            1..4 => (0..len).all(|i| byte(entry.add(i)) == *name.add(i)),
            4..8 => half_differs(0) | half_differs(len - 4) == 0,
            8..=16 => word_differs(0) | word_differs(len - 8) == 0,
            _ => {
                let mut i = 0;
                while i + 16 < len && word_differs(i) | word_differs(i + 8) == 0 {
                    i += 16;
                }
                i + 16 >= len && word_differs(len - 16) | word_differs(len - 8) == 0
            }
        };
        same && byte(entry.add(len)) == b'='
    }
}

/// Bytes past the NUL of an entry that [`is_named`] may read.
pub(crate) const BEYOND: usize = 16;

/// The slots of group `group`, one of the array's, that may hold an entry with this tag: [`Lanes`] of them, in ascending order.
/// Every load of the group is done before any load that follows this.
///
/// # Safety
/// - `group` is a multiple of [`GROUP`](crate::hints::GROUP), and the slots of that group are readable and have hints.
#[inline(always)]
pub(crate) unsafe fn candidates(hints: &Hints, group: usize, tag: u16, side: Side) -> Lanes {
    // SAFETY: the caller's promise.
    unsafe { machine::candidates(hints, group, tag, side) }
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
/// Bits of a lane.
pub(crate) use machine::LANE;

#[cfg(all(target_arch = "x86_64", not(any(loom, miri))))]
mod machine {
    use super::{Lanes, Side};
    use crate::hints::{GROUP, Hints};
    use core::arch::asm;
    use core::arch::x86_64::{__m128i, _mm_set1_epi8, _mm_set1_epi16, _mm_setzero_si128};

    pub(super) use crate::sync::byte;
    pub(super) const CHUNK: usize = 16;
    pub(super) const BITS: usize = 1;
    pub(crate) const LANE: usize = 2;

    /// A bit for each of the 16 bytes at `chunk` that is NUL or `=`.
    ///
    /// # Safety
    /// - `chunk` is aligned to 16, and one of its bytes is readable.
    #[inline(always)]
    pub(super) unsafe fn ends(chunk: *const u8) -> u32 {
        let ends: u32;
        // SAFETY: SSE2 is part of x86-64.
        let (nul, equals) = unsafe { (_mm_setzero_si128(), _mm_set1_epi8(b'=' as i8)) };
        // SAFETY: W1: one aligned load.
        unsafe {
            asm!(
                "movdqa {a}, [{chunk}]",
                "pcmpeqb {nul}, {a}",
                "pcmpeqb {a}, {equals}",
                "por {a}, {nul}",
                "pmovmskb {ends:e}, {a}",
                chunk = in(reg) chunk, ends = lateout(reg) ends,
                nul = inout(xmm_reg) nul => _, equals = in(xmm_reg) equals, a = out(xmm_reg) _,
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
    pub(super) unsafe fn word(at: *const u8) -> u64 {
        let word: u64;
        // SAFETY: the caller's promise.
        unsafe {
            asm!("mov {word}, [{at}]", at = in(reg) at, word = lateout(reg) word,
                options(readonly, nostack, preserves_flags, pure));
        }
        word
    }

    /// Four bytes.
    ///
    /// # Safety
    /// - they are readable.
    #[inline(always)]
    pub(super) unsafe fn half(at: *const u8) -> u32 {
        let half: u32;
        // SAFETY: the caller's promise.
        unsafe {
            asm!("mov {half:e}, [{at}]", at = in(reg) at, half = lateout(reg) half,
                options(readonly, nostack, preserves_flags, pure));
        }
        half
    }

    /// See [`super::candidates`]. This machine does not reorder loads.
    ///
    /// # Safety
    /// - as there.
    #[inline(always)]
    pub(super) unsafe fn candidates(hints: &Hints, group: usize, tag: u16, _: Side) -> Lanes {
        const { assert!(GROUP == 16) };
        // SAFETY: SSE2 is part of x86-64.
        let wanted: __m128i = unsafe { _mm_set1_epi16(tag as i16) };
        let (low, high): (u32, u32);
        // SAFETY: loads sixteen slots, shadows and tags, all of which the caller says exist, each aligned to 16 bytes.
        unsafe {
            asm!(
                // Slots that equal their shadow, as pairs of 32 bits, then of 16, then of 8 bits: eight slots a register.
                "movdqa {a}, [{slots}]",
                "pcmpeqd {a}, [{shadows}]",
                "movdqa {b}, [{slots} + 16]",
                "pcmpeqd {b}, [{shadows} + 16]",
                "packssdw {a}, {b}",
                "movdqa {b}, [{slots} + 32]",
                "pcmpeqd {b}, [{shadows} + 32]",
                "movdqa {c}, [{slots} + 48]",
                "pcmpeqd {c}, [{shadows} + 48]",
                "packssdw {b}, {c}",
                "packsswb {a}, {b}",
                "movdqa {b}, [{slots} + 64]",
                "pcmpeqd {b}, [{shadows} + 64]",
                "movdqa {c}, [{slots} + 80]",
                "pcmpeqd {c}, [{shadows} + 80]",
                "packssdw {b}, {c}",
                "movdqa {c}, [{slots} + 96]",
                "pcmpeqd {c}, [{shadows} + 96]",
                "movdqa {d}, [{slots} + 112]",
                "pcmpeqd {d}, [{shadows} + 112]",
                "packssdw {c}, {d}",
                "packsswb {b}, {c}",
                // Out of these, the ones with another tag are no candidates.
                "movdqa {c}, {wanted}",
                "pcmpeqw {c}, [{tags}]",
                "pandn {c}, {a}",
                "pcmpeqw {wanted}, [{tags} + 16]",
                "pandn {wanted}, {b}",
                "pmovmskb {low:e}, {c}",
                "pmovmskb {high:e}, {wanted}",
                slots = in(reg) hints.slots().add(group),
                shadows = in(reg) hints.shadows().add(group),
                tags = in(reg) hints.tags().add(group),
                wanted = inout(xmm_reg) wanted => _,
                a = out(xmm_reg) _, b = out(xmm_reg) _, c = out(xmm_reg) _, d = out(xmm_reg) _,
                low = lateout(reg) low, high = lateout(reg) high,
                // Not `readonly`: no other access may be moved across.
                options(nostack, preserves_flags),
            );
        }
        Lanes::from(!(high << 16 | low))
    }
}

#[cfg(all(target_arch = "aarch64", not(any(loom, miri))))]
mod machine {
    use super::{Lanes, Side};
    use crate::hints::{GROUP, Hints};
    use core::arch::asm;

    pub(super) use crate::sync::byte;
    pub(super) const CHUNK: usize = 16;
    pub(super) const BITS: usize = 4;
    pub(crate) const LANE: usize = 4;

    /// Four bits for each of the 16 bytes at `chunk` that is NUL or `=`.
    ///
    /// # Safety
    /// - `chunk` is aligned to 16, and one of its bytes is readable.
    #[inline(always)]
    pub(super) unsafe fn ends(chunk: *const u8) -> u64 {
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
    pub(super) unsafe fn word(at: *const u8) -> u64 {
        let word: u64;
        // SAFETY: the caller's promise.
        unsafe {
            asm!("ldr {word}, [{at}]", at = in(reg) at, word = lateout(reg) word,
                options(readonly, nostack, preserves_flags, pure));
        }
        word
    }

    /// Four bytes.
    ///
    /// # Safety
    /// - they are readable.
    #[inline(always)]
    pub(super) unsafe fn half(at: *const u8) -> u32 {
        let half: u32;
        // SAFETY: the caller's promise.
        unsafe {
            asm!("ldr {half:w}, [{at}]", at = in(reg) at, half = lateout(reg) half,
                options(readonly, nostack, preserves_flags, pure));
        }
        half
    }

    /// See [`super::candidates`].
    ///
    /// # Safety
    /// - as there.
    #[inline(always)]
    pub(super) unsafe fn candidates(hints: &Hints, group: usize, tag: u16, _: Side) -> Lanes {
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
                slots = in(reg) hints.slots().add(group),
                shadows = in(reg) hints.shadows().add(group),
                tags = in(reg) hints.tags().add(group),
                wanted = in(reg) u32::from(tag),
                a = out(vreg) _, b = out(vreg) _, c = out(vreg) _, d = out(vreg) _, e = out(vreg) _, f = out(vreg) _,
                other = lateout(reg) other,
                // Not `readonly`: no other access may be moved across.
                options(nostack, preserves_flags),
            );
        }
        !other
    }
}

#[cfg(any(loom, miri, not(any(target_arch = "x86_64", target_arch = "aarch64"))))]
mod machine {
    use super::{Lanes, Side};
    use crate::hints::{GROUP, Hints};
    use crate::sync::{self, Ordering};

    pub(super) use crate::sync::byte;
    pub(super) const CHUNK: usize = 1;
    pub(super) const BITS: usize = 1;
    pub(crate) const LANE: usize = 1;

    /// 1 if the byte at `chunk` is NUL or `=`.
    ///
    /// # Safety
    /// - it is readable.
    pub(super) unsafe fn ends(chunk: *const u8) -> u32 {
        // SAFETY: the caller's promise.
        u32::from(matches!(unsafe { byte(chunk) }, 0 | b'='))
    }

    /// Eight bytes.
    ///
    /// # Safety
    /// - they are readable.
    pub(super) unsafe fn word(at: *const u8) -> u64 {
        // SAFETY: the caller's promise.
        u64::from_ne_bytes(core::array::from_fn(|i| unsafe { byte(at.add(i)) }))
    }

    /// Four bytes.
    ///
    /// # Safety
    /// - they are readable.
    pub(super) unsafe fn half(at: *const u8) -> u32 {
        // SAFETY: the caller's promise.
        u32::from_ne_bytes(core::array::from_fn(|i| unsafe { byte(at.add(i)) }))
    }

    /// See [`super::candidates`]. The last slot first: the order must not matter, and in the models it is the worst one.
    ///
    /// # Safety
    /// - as there.
    pub(super) unsafe fn candidates(hints: &Hints, group: usize, tag: u16, side: Side) -> Lanes {
        let mut found = 0;
        for lane in (0..GROUP).rev() {
            let i = group + lane;
            // SAFETY: the caller's promise: these exist.
            let (slot, shadow, its_tag) =
                unsafe { (&*hints.slots().add(i), &*hints.shadows().add(i), &*hints.tags().add(i)) };
            let (slot, shadow, its_tag) = match side {
                // Relaxed: ordered by the fence below.
                Side::Reader => {
                    (slot.peek(), shadow.load(Ordering::Relaxed), its_tag.load(Ordering::Relaxed))
                }
                Side::Writer => (slot.own(), sync::own(shadow), sync::own_tag(its_tag)),
            };
            found |= Lanes::from(slot != shadow || its_tag == tag) << (lane * LANE);
        }
        if side == Side::Reader {
            // Acquire [hint]: pairs with Release in `Slot::store` and `Hints::note`: who saw a store of a change sees that the change
            // began, and all it stored before. Without it loom `a_bystander_survives_a_group_load` fails.
            sync::fence(Ordering::Acquire);
        }
        found
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;
    use std::format;
    use std::string::String;
    use std::vec::Vec;

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
                        // SAFETY: as said.
                        assert_eq!(unsafe { length(bytes.as_ptr().add(skip)) }, len, "{skip} {len}");
                    }
                }
            }
        }
    }

    #[test]
    fn every_byte_of_a_name_counts() {
        for len in 1..80 {
            let name: String = (0..len).map(|i| char::from(b'A' + (i % 26) as u8)).collect();
            let padded = |text: String| text + &"\0".repeat(BEYOND + 1);
            // SAFETY: padded as promised.
            let is = |entry: &str| unsafe { is_named(entry.as_ptr(), name.as_ptr(), len) };
            assert!(is(&padded(format!("{name}="))) && is(&padded(format!("{name}=value"))));
            assert!(!is(&padded(name.clone())) && !is(&padded(format!("{name}X="))));
            for i in 0..len {
                let mut other = name.clone();
                other.replace_range(i..=i, "!");
                assert!(!is(&padded(format!("{other}="))), "{i} of {len}");
                other.replace_range(i..=i, "=");
                assert!(!is(&padded(format!("{other}="))), "{i} of {len}");
                assert!(!is(&padded(name[..i].into())), "{i} of {len}");
            }
        }
        // SAFETY: as above.
        assert!(!unsafe { is_named(c"=x".as_ptr().cast(), c"".as_ptr().cast(), 0) });
    }
}
