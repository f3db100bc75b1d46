//! Loads that the language has no safe word for: many bytes or many slots at once, from memory that others may write meanwhile.
//!
//! A load wider than an atomic, from memory with another writer, is a data race to the language whatever the machine says; so
//! these are assembly, on x86-64 (SSE2, which every such processor has, or AVX2) and aarch64 (NEON, which every one has). Elsewhere, and under
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

/// A name of up to 32 bytes, or the last 32 of a longer one, in words that overlap. Which words is a matter of the length alone, so that
/// two names of one length have the same words if and only if these bytes are the same. Few branches: lengths are hard to predict.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Words([u64; 4]);

/// Names shorter than this are one word, filled up with zeros.
const SHORT: usize = 8;
/// Bytes that [`Words`] hold at most.
pub(crate) const TAIL: usize = 32;

impl Words {
    /// The words of `name`.
    ///
    /// # Safety
    /// - it is not empty.
    #[inline(always)]
    pub(crate) unsafe fn of(name: &[u8]) -> Words {
        let (at, len) = (name.as_ptr(), name.len());
        if len < SHORT {
            // SAFETY: as many bytes, at least one.
            return Words([unsafe { short(at, len) }, 0, 0, 0]);
        }
        // SAFETY: `len` is at least 8, and each word lies within the name: see `places`.
        Words(places(len).map(|i| unsafe { at.add(i).cast::<u64>().read_unaligned() }))
    }

    /// Those at `entry`, as if a name of `len` bytes were there.
    ///
    /// # Safety
    /// - the bytes from `entry` on are readable: up to `len`, and at least 8.
    #[inline(always)]
    unsafe fn at(entry: *const u8, len: usize) -> Words {
        // SAFETY: the caller's promise.
        unsafe {
            if len < SHORT {
                return Words([machine::word(entry) & !(!0 << (8 * len)), 0, 0, 0]);
            }
            Words(places(len).map(|i| machine::word(entry.add(i))))
        }
    }

    /// True if they are the same. (Derived, it goes through memory.)
    #[inline(always)]
    fn are(self, other: Words) -> bool {
        let ([a, b, c, d], [e, f, g, h]) = (self.0, other.0);
        (a ^ e) | (b ^ f) | (c ^ g) | (d ^ h) == 0
    }

    /// A hash of them: each of their bytes has its effect on the upper half of it.
    #[inline(always)]
    pub(crate) fn hash(self) -> u64 {
        let [a, b, c, d] = self.0;
        let times = |word: u64, i: usize| word.wrapping_mul(FACTORS[i]);
        // As two sums, which do not wait for each other.
        let (start, end) = (times(a, 0).wrapping_add(times(b, 1)), times(c, 2).wrapping_add(times(d, 3)));
        start.wrapping_add(end)
    }
}

/// `len` bytes, fewer than 8 and at least one, filled up with zeros.
///
/// # Safety
/// - they are readable.
#[inline(always)]
unsafe fn short(at: *const u8, len: usize) -> u64 {
    if machine::CHUNK < 8 {
        // Nothing is read past an end here.
        // SAFETY: the caller's promise.
        let byte = |i| if i < len { unsafe { machine::byte(at.add(i)) } } else { 0 };
        return u64::from_le_bytes(core::array::from_fn(byte));
    }
    let aligned = |at: *const u8| at.map_addr(|addr| addr & !7);
    let bits = 8 * (at.addr() & 7);
    // The words of the first and of the last byte, often the same one. What is not of the name is cut off at the end.
    // SAFETY: W1: each holds a byte of the name.
    let (low, high) = unsafe { (machine::word(aligned(at)), machine::word(aligned(at.add(len - 1)))) };
    (low >> bits | (high << (63 - bits)) << 1) & !(!0 << (8 * len))
}

/// Where the words of a name of `len` bytes, 8 or more, start: in the last 32 bytes of it, each byte in one word at least.
#[inline(always)]
fn places(len: usize) -> [usize; 4] {
    let (start, end) = (len.saturating_sub(TAIL), len - 8);
    let second = (start + 8).min(end);
    [start, second, end - (second - start), end]
}

/// Numbers without a pattern: the first digits of the square roots of 2, 3, 5 and 7, odd but one. (Words of a name of 8 bytes are
/// four times the same, so their sum is odd, too.)
const FACTORS: [u64; 4] =
    [0x6a09_e667_f3bc_c909, 0xbb67_ae85_84ca_a73b, 0x3c6e_f372_fe94_f82b, 0xa54f_f53a_5f1d_36f0];

/// A hash of what [`Words`] leave out of a long name.
#[inline]
pub(crate) fn hash_start(name: &[u8]) -> u64 {
    let mut hash = 0u64;
    // Words from the start on, the last one perhaps overlapping what is in `Words`: 32 bytes follow.
    for i in (0..name.len().saturating_sub(TAIL)).step_by(8) {
        // SAFETY: as said.
        let word = unsafe { name.as_ptr().add(i).cast::<u64>().read_unaligned() };
        hash = (hash.rotate_left(29) ^ word).wrapping_mul(FACTORS[1]);
    }
    hash
}

/// True if `name` stands at `entry`, and `=` follows.
///
/// # Safety
/// - `name` is not empty, and has no NUL and no `=` in it;
/// - `entry` is a NUL-terminated string, and readable for [`BEYOND`] bytes from its first `=` or NUL on.
#[inline(always)]
pub(crate) unsafe fn is_named(entry: *const u8, name: &[u8]) -> bool {
    let len = name.len();
    // SAFETY: what comes before the words is compared first. If it is the same, the first `=` or NUL of the entry is not in it; so the
    // words, and the byte behind them if they are the same, are within BEYOND of that.
    unsafe {
        (len <= TAIL || starts_with(entry, name.split_at_unchecked(len - TAIL).0))
            && Words::at(entry, len).are(Words::of(name))
            && machine::byte(entry.add(len)) == b'='
    }
}

/// True if the string at `text` starts with `bytes`.
///
/// # Safety
/// - `text` is NUL-terminated, and readable for 8 bytes past its NUL; there is no NUL in `bytes`.
pub(crate) unsafe fn starts_with(text: *const u8, bytes: &[u8]) -> bool {
    let len = bytes.len();
    let differs = |i: usize| {
        // SAFETY: the callers below pass places with 8 bytes of `bytes`, and all bytes of the text before these were compared.
        unsafe { machine::word(text.add(i)) ^ bytes.as_ptr().add(i).cast::<u64>().read_unaligned() != 0 }
    };
    if len < SHORT {
        // SAFETY: the caller's promise; `bytes` is not empty.
        return len == 0 || unsafe { Words::at(text, len).are(Words::of(bytes)) };
    }
    let mut i = 0;
    while i + SHORT < len {
        if differs(i) {
            return false;
        }
        i += SHORT;
    }
    !differs(len - SHORT)
}

/// Bytes from the end of an entry's name on that [`is_named`] may read.
pub(crate) const BEYOND: usize = TAIL;

/// The slots of group `group`, one of the array's, from slot `first` on, that may hold an entry with this tag: [`Lanes`] of them, in
/// ascending order. Every load of the group is done before any load that follows this.
///
/// # Safety
/// - `group` is a multiple of [`GROUP`], `first` is in that group, and its slots are readable and have hints.
#[inline(always)]
pub(crate) unsafe fn candidates(hints: &Hints, group: usize, first: usize, tag: u16, side: Side) -> Lanes {
    let below = first - group;
    // SAFETY: the caller's promise.
    unsafe { machine::candidates(hints, group, below, tag, side) & (!0 << (below * LANE)) }
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
/// True if this processor can do it in fewer and wider steps than every one of its kind. The question takes 15 to 25 us for each of its
/// two steps in a virtual machine, whose host answers it: only for long lists.
pub(crate) use machine::has_wider;
/// Slots of a group; bits of a lane.
pub(crate) use machine::{GROUP, LANE};

#[cfg(all(target_arch = "x86_64", not(any(loom, miri))))]
mod machine {
    use super::{Lanes, Side};
    use crate::hints::Hints;
    use core::arch::asm;
    use core::arch::x86_64::{__cpuid_count, __m128i, _mm_set1_epi8, _mm_set1_epi16, _mm_setzero_si128};

    pub(super) use crate::sync::byte;
    pub(super) const CHUNK: usize = 16;
    pub(super) const BITS: usize = 1;
    pub(crate) const LANE: usize = 2;
    pub(crate) const GROUP: usize = 32;

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

    /// See [`super::candidates`]; the `below` lowest slots do not count. This machine does not reorder loads.
    ///
    /// # Safety
    /// - as there.
    #[inline(always)]
    pub(super) unsafe fn candidates(hints: &Hints, group: usize, below: usize, tag: u16, _: Side) -> Lanes {
        // SAFETY: the caller's promise.
        unsafe {
            let upper = half(hints, group + GROUP / 2, tag) << 32;
            // Short lists lie in the upper half of their only group.
            if below < GROUP / 2 { upper | half(hints, group, tag) } else { upper }
        }
    }

    /// The candidates of half a group.
    ///
    /// # Safety
    /// - as for `candidates`.
    #[inline(always)]
    unsafe fn half(hints: &Hints, at: usize, tag: u16) -> Lanes {
        const { assert!(GROUP == 32) };
        // SAFETY: the caller's promise; `has_wider` was asked when the hints were made.
        Lanes::from(!unsafe {
            if hints.wider() { with_avx2(hints, at, tag) } else { with_sse2(hints, at, tag) }
        })
    }

    /// True if the processor has AVX2, and the kernel saves its registers. Source: Intel's manual, volume 1, 14.3.
    pub(crate) fn has_wider() -> bool {
        const AVX_AND_XGETBV: u32 = 1 << 28 | 1 << 27;
        const AVX2: u32 = 1 << 5;
        const XMM_AND_YMM: u32 = 1 << 2 | 1 << 1;
        #[allow(unused_unsafe)] // safe functions in newer compilers
        // SAFETY: every x86-64 has the instruction.
        let feature = |leaf| unsafe { __cpuid_count(leaf, 0) };
        // Processors with AVX have leaf 13, and so leaf 7. Two questions, not three: see `has_wider` outside.
        if feature(1).ecx & AVX_AND_XGETBV != AVX_AND_XGETBV || feature(7).ebx & AVX2 == 0 {
            return false;
        }
        let saved: u32;
        // SAFETY: reads a register; the instruction is there.
        unsafe {
            asm!("xgetbv", in("ecx") 0, out("eax") saved, out("edx") _, options(nomem, nostack, preserves_flags))
        };
        saved & XMM_AND_YMM == XMM_AND_YMM
    }

    /// Two bits for each slot of a group that equals its shadow and has another tag.
    ///
    /// # Safety
    /// - as for `candidates`; the processor has AVX2.
    #[inline(always)]
    unsafe fn with_avx2(hints: &Hints, group: usize, tag: u16) -> u32 {
        /// Packing works in each half of a register: this puts pairs of slots back in order.
        static ORDER: [u32; 8] = [0, 4, 1, 5, 2, 6, 3, 7];
        let other: u32;
        // SAFETY: loads sixteen slots, shadows and tags, all of which the caller says exist. Nothing is kept in the registers' upper
        // halves, which are clear at the end, as callers expect.
        unsafe {
            asm!(
                "vmovdqu ymm0, [{slots} + 8*{i}]",
                "vpcmpeqq ymm0, ymm0, [{shadows} + 8*{i}]",
                "vmovdqu ymm1, [{slots} + 8*{i} + 32]",
                "vpcmpeqq ymm1, ymm1, [{shadows} + 8*{i} + 32]",
                "vpackssdw ymm0, ymm0, ymm1",
                "vmovdqu ymm1, [{slots} + 8*{i} + 64]",
                "vpcmpeqq ymm1, ymm1, [{shadows} + 8*{i} + 64]",
                "vmovdqu ymm2, [{slots} + 8*{i} + 96]",
                "vpcmpeqq ymm2, ymm2, [{shadows} + 8*{i} + 96]",
                "vpackssdw ymm1, ymm1, ymm2",
                "vpacksswb ymm0, ymm0, ymm1",
                "vmovdqu ymm1, [rip + {order}]",
                "vpermd ymm0, ymm1, ymm0",
                "vmovd xmm1, {tag:e}",
                "vpbroadcastw ymm1, xmm1",
                "vpcmpeqw ymm1, ymm1, [{tags} + 2*{i}]",
                "vpandn ymm0, ymm1, ymm0",
                "vpmovmskb {other:e}, ymm0",
                "vzeroupper",
                slots = in(reg) hints.slots(), i = in(reg) group,
                shadows = in(reg) hints.shadows(), tags = in(reg) hints.tags(),
                tag = in(reg) u32::from(tag), order = sym ORDER, other = lateout(reg) other,
                // All of them lose their upper halves; in what the compiler knows, only these have changed.
                out("xmm0") _, out("xmm1") _, out("xmm2") _,
                // Not `readonly`: no other access may be moved across.
                options(nostack, preserves_flags),
            );
        }
        other
    }

    /// The same, without AVX2.
    ///
    /// # Safety
    /// - as for `candidates`.
    #[inline(always)]
    unsafe fn with_sse2(hints: &Hints, group: usize, tag: u16) -> u32 {
        // SAFETY: SSE2 is part of x86-64.
        let wanted: __m128i = unsafe { _mm_set1_epi16(tag as i16) };
        let (low, high): (u32, u32);
        // SAFETY: loads sixteen slots, shadows and tags, all of which the caller says exist, each aligned to 16 bytes.
        unsafe {
            asm!(
                // Slots that equal their shadow, as pairs of 32 bits, then of 16, then of 8 bits: eight slots a register.
                "movdqa {a}, [{slots} + 8*{i}]",
                "pcmpeqd {a}, [{shadows} + 8*{i}]",
                "movdqa {b}, [{slots} + 8*{i} + 16]",
                "pcmpeqd {b}, [{shadows} + 8*{i} + 16]",
                "packssdw {a}, {b}",
                "movdqa {b}, [{slots} + 8*{i} + 32]",
                "pcmpeqd {b}, [{shadows} + 8*{i} + 32]",
                "movdqa {c}, [{slots} + 8*{i} + 48]",
                "pcmpeqd {c}, [{shadows} + 8*{i} + 48]",
                "packssdw {b}, {c}",
                "packsswb {a}, {b}",
                "movdqa {b}, [{slots} + 8*{i} + 64]",
                "pcmpeqd {b}, [{shadows} + 8*{i} + 64]",
                "movdqa {c}, [{slots} + 8*{i} + 80]",
                "pcmpeqd {c}, [{shadows} + 8*{i} + 80]",
                "packssdw {b}, {c}",
                "movdqa {c}, [{slots} + 8*{i} + 96]",
                "pcmpeqd {c}, [{shadows} + 8*{i} + 96]",
                "movdqa {d}, [{slots} + 8*{i} + 112]",
                "pcmpeqd {d}, [{shadows} + 8*{i} + 112]",
                "packssdw {c}, {d}",
                "packsswb {b}, {c}",
                // Out of these, the ones with another tag are no candidates.
                "movdqa {c}, {wanted}",
                "pcmpeqw {c}, [{tags} + 2*{i}]",
                "pandn {c}, {a}",
                "pcmpeqw {wanted}, [{tags} + 2*{i} + 16]",
                "pandn {wanted}, {b}",
                "pmovmskb {low:e}, {c}",
                "pmovmskb {high:e}, {wanted}",
                slots = in(reg) hints.slots(), i = in(reg) group,
                shadows = in(reg) hints.shadows(),
                tags = in(reg) hints.tags(),
                wanted = inout(xmm_reg) wanted => _,
                a = out(xmm_reg) _, b = out(xmm_reg) _, c = out(xmm_reg) _, d = out(xmm_reg) _,
                low = lateout(reg) low, high = lateout(reg) high,
                // Not `readonly`: no other access may be moved across.
                options(nostack, preserves_flags),
            );
        }
        high << 16 | low
    }
}

#[cfg(all(target_arch = "aarch64", not(any(loom, miri))))]
mod machine {
    use super::{Lanes, Side};
    use crate::hints::Hints;
    use core::arch::asm;

    pub(super) use crate::sync::byte;
    pub(super) const CHUNK: usize = 16;
    pub(super) const BITS: usize = 4;
    pub(crate) const LANE: usize = 4;
    pub(crate) const GROUP: usize = 16;

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

    pub(crate) fn has_wider() -> bool {
        false
    }

    /// See [`super::candidates`].
    ///
    /// # Safety
    /// - as there.
    #[inline(always)]
    pub(super) unsafe fn candidates(hints: &Hints, group: usize, _: usize, tag: u16, _: Side) -> Lanes {
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
    use crate::hints::Hints;
    use crate::sync::{self, Ordering};

    pub(super) use crate::sync::byte;
    pub(super) const CHUNK: usize = 1;
    pub(super) const BITS: usize = 1;
    pub(crate) const LANE: usize = 1;
    pub(crate) const GROUP: usize = if cfg!(loom) { 2 } else { 16 };

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
        u64::from_le_bytes(core::array::from_fn(|i| unsafe { byte(at.add(i)) }))
    }

    pub(crate) fn has_wider() -> bool {
        false
    }

    /// See [`super::candidates`]. The last slot first: the order must not matter, and in the models it is the worst one.
    ///
    /// # Safety
    /// - as there.
    pub(super) unsafe fn candidates(hints: &Hints, group: usize, _: usize, tag: u16, side: Side) -> Lanes {
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
            for skip in 0..8 {
                let name: String = (0..len).map(|i| char::from(b'A' + (i % 26) as u8)).collect();
                let padded = |text: String| "x".repeat(skip) + &text + &"\0".repeat(BEYOND + 1);
                let placed = padded(name.clone());
                let name_there = &placed.as_bytes()[skip..skip + len];
                // SAFETY: not empty.
                let of = |name: &[u8]| unsafe { Words::of(name) };
                let words = of(name_there);
                let is = |entry: &str| {
                    let entry = padded(entry.into());
                    // SAFETY: padded as promised.
                    unsafe { is_named(entry.as_ptr().add(skip), name_there) }
                };
                assert!(is(&format!("{name}=")) && is(&format!("{name}=value")));
                assert!(!is(&name) && !is(&format!("{name}X=")));
                for i in 0..len {
                    for other in ["!", "="] {
                        let mut changed = name.clone();
                        changed.replace_range(i..=i, other);
                        let same = words == of(changed.as_bytes());
                        assert_eq!(same, i + TAIL < len);
                        assert!(!is(&format!("{changed}=")), "{i} of {len}");
                    }
                    assert!(!is(&name[..i]), "{i} of {len}");
                }
            }
        }
    }

    /// A name whose words end at the end of readable memory.
    #[test]
    fn names_are_read_within_bounds() {
        for len in 1..40 {
            let name: Vec<u8> = (1..=len).collect();
            let boxed: std::boxed::Box<[u8]> = name.clone().into();
            // SAFETY: not empty.
            unsafe { assert_eq!(Words::of(&boxed), Words::of(&name)) };
        }
    }
}
