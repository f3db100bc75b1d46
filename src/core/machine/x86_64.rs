//! x86-64: SSE2, which every such processor has, or AVX2. Loads are not reordered here.

use super::{Groups, Lanes, SPAN, Side};
use crate::sync::AtomicPtr;
use crate::system;
use core::arch::asm;
use core::arch::x86_64::{__cpuid_count, _mm_set1_epi8, _mm_set1_epi16, _mm_setzero_si128};
use core::ffi::c_char;

pub(crate) const CHUNK: usize = 16;
pub(crate) const BITS: usize = 1;
pub(crate) const LANE: usize = 1;
pub(crate) const GROUP: usize = 16;

/// A bit for each of the 16 bytes at `chunk` that is NUL or `=`.
///
/// # Safety
/// - `chunk` is aligned to 16, and one of its bytes is readable.
#[inline(always)]
pub(crate) unsafe fn ends(chunk: *const u8) -> u32 {
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
pub(crate) unsafe fn word(at: *const u8) -> u64 {
    let word: u64;
    // SAFETY: the caller's promise.
    unsafe {
        asm!("mov {word}, [{at}]", at = in(reg) at, word = lateout(reg) word,
            options(readonly, nostack, preserves_flags, pure));
    }
    word
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
        asm!("mov {half:e}, [{at}]", at = in(reg) at, half = lateout(reg) half,
            options(readonly, nostack, preserves_flags, pure));
    }
    half
}

pub(crate) const MAY_HAVE_WINDOWS: bool = true;

/// True under memcheck, which knows of each byte whether it may be read. Source: valgrind's manual, "The Client Request mechanism", and memcheck.h.
pub(crate) fn is_watched() -> bool {
    const IS_READABLE: usize = (b'M' as usize) << 24 | (b'C' as usize) << 16 | 4;
    let byte: u8 = 0;
    let request = [IS_READABLE, (&raw const byte).addr(), size_of::<u8>(), 0, 0, 0];
    let mut unreadable: usize = 1;
    // SAFETY: rotates a register by 128 bits in all, and exchanges another with itself. Only valgrind, which knows this sequence, reads the
    // request, and puts its answer into `unreadable`: the first address that is not readable, or 0.
    unsafe {
        asm!(
            "rol rdi, 3",
            "rol rdi, 13",
            "rol rdi, 61",
            "rol rdi, 51",
            "xchg rbx, rbx",
            in("rax") request.as_ptr(), inout("rdx") unreadable,
            options(nostack),
        );
    }
    unreadable == 0
}

/// See [`super::window_ends`].
///
/// # Safety
/// - as there.
#[inline(always)]
pub(crate) unsafe fn window_ends(at: *const u8) -> u32 {
    let (ends, upper): (u32, u32);
    // SAFETY: SSE2 is part of x86-64.
    let (nul, equals) = unsafe { (_mm_setzero_si128(), _mm_set1_epi8(b'=' as i8)) };
    // SAFETY: the caller's promise.
    unsafe {
        asm!(
            "movdqu {a}, [{at}]",
            "movdqu {b}, [{at} + 16]",
            "movdqa {c}, {nul}",
            "pcmpeqb {c}, {a}",
            "pcmpeqb {a}, {equals}",
            "por {a}, {c}",
            "pcmpeqb {nul}, {b}",
            "pcmpeqb {b}, {equals}",
            "por {b}, {nul}",
            "pmovmskb {ends:e}, {a}",
            "pmovmskb {upper:e}, {b}",
            at = in(reg) at, ends = out(reg) ends, upper = lateout(reg) upper,
            nul = inout(xmm_reg) nul => _, equals = in(xmm_reg) equals,
            a = out(xmm_reg) _, b = out(xmm_reg) _, c = out(xmm_reg) _,
            options(readonly, nostack, preserves_flags, pure),
        );
    }
    upper << 16 | ends
}

/// See [`super::words`].
///
/// # Safety
/// - as there; `len` is at most [`WINDOW`](super::WINDOW).
#[inline(always)]
pub(crate) unsafe fn words(at: *const u8, len: usize) -> [u64; 4] {
    /// As many bytes that stay as there are bytes at most, and as many that do not.
    static MASK: [u8; 64] = {
        let mut mask = [0; 64];
        let mut i = 0;
        while i < 32 {
            mask[i] = 0xff;
            i += 1;
        }
        mask
    };
    let (a, b, c, d);
    // SAFETY: the caller's promise, and two times 16 bytes of the mask from a place in its first half on.
    unsafe {
        asm!(
            "movdqu {x}, [{at}]",
            "movdqu {mask}, [{masks}]",
            "pand {x}, {mask}",
            "movdqu {y}, [{at} + 16]",
            "movdqu {mask}, [{masks} + 16]",
            "pand {y}, {mask}",
            "movq {a}, {x}",
            "punpckhqdq {x}, {x}",
            "movq {b}, {x}",
            "movq {c}, {y}",
            "punpckhqdq {y}, {y}",
            "movq {d}, {y}",
            at = in(reg) at, masks = in(reg) MASK.as_ptr().add(32 - len),
            a = lateout(reg) a, b = lateout(reg) b, c = lateout(reg) c, d = lateout(reg) d,
            x = out(xmm_reg) _, y = out(xmm_reg) _, mask = out(xmm_reg) _,
            options(readonly, nostack, preserves_flags, pure),
        );
    }
    [a, b, c, d]
}

/// See [`super::are_alike`].
///
/// # Safety
/// - as there; `len` is at most [`WINDOW`](super::WINDOW).
#[inline(always)]
pub(crate) unsafe fn are_alike(a: *const u8, b: *const u8, len: usize) -> bool {
    let (same, upper): (u32, u32);
    // SAFETY: the caller's promise.
    unsafe {
        asm!(
            "movdqu {x}, [{a}]",
            "movdqu {y}, [{b}]",
            "pcmpeqb {x}, {y}",
            "pmovmskb {same:e}, {x}",
            "movdqu {x}, [{a} + 16]",
            "movdqu {y}, [{b} + 16]",
            "pcmpeqb {x}, {y}",
            "pmovmskb {upper:e}, {x}",
            a = in(reg) a, b = in(reg) b, same = out(reg) same, upper = lateout(reg) upper,
            x = out(xmm_reg) _, y = out(xmm_reg) _,
            options(readonly, nostack, preserves_flags, pure),
        );
    }
    u64::from(!(upper << 16 | same)) & !(!0 << len) == 0
}

/// See [`super::next_like`]. Aligned: at some places in a cache line such a loop takes twice as long.
///
/// # Safety
/// - as there.
#[inline(always)]
pub(crate) unsafe fn next_like(slot: *const AtomicPtr<c_char>, start: u16) -> *const AtomicPtr<c_char> {
    let mut at = slot;
    // SAFETY: loads slots up to the terminator at most (L1), and two bytes of each entry (L2), unless the second one may lie on another page (W3).
    unsafe {
        asm!(
            "jmp 3f",
            ".p2align 5",
            "2:",
            "add {at}, 8",
            "3:",
            "mov {entry}, [{at}]",
            // Null, or the first or the last byte of a page.
            "lea {next:e}, [{entry} + 1]",
            "test {next:e}, 0xffe",
            "jz 4f",
            "cmp word ptr [{entry}], {start:x}",
            "jne 2b",
            "4:",
            at = inout(reg) at, start = in(reg) start, entry = out(reg) _, next = out(reg) _,
            // Not `readonly`: no other access may be moved across.
            options(nostack),
        );
    }
    at
}

/// See [`super::candidates`]: up to four groups. This machine does not reorder loads. No branch tells in which of them something was found: which
/// one it is cannot be foreseen, and looking at 48 slots more takes less time than a wrong guess.
///
/// # Safety
/// - as there; `first` is a multiple of [`GROUP`].
#[inline(always)]
pub(crate) unsafe fn candidates(groups: Groups, first: usize, tag: u16, _: Side) -> (Lanes, usize) {
    const { assert!(GROUP == 16) };
    let stop = groups.end.min(first + SPAN);
    // SAFETY: the caller's promise; `has_wider` was asked when the hints were made.
    unsafe {
        if groups.wider { with_avx2(groups, first, stop, tag) } else { with_sse2(groups, first, stop, tag) }
    }
}

/// True if the processor has AVX2, and the kernel saves its registers, as libc knows. Where that does not tell, the processor is asked, if `worth`.
pub(crate) fn has_wider(worth: bool) -> bool {
    is_wider(system::has_avx2(), worth)
}

/// The same, with what libc told.
pub(super) fn is_wider(told: Option<bool>, worth: bool) -> bool {
    told.unwrap_or_else(|| worth && has_avx2())
}

/// The same as the processor says.
fn has_avx2() -> bool {
    #[allow(unused_unsafe)] // safe functions in newer compilers
    // SAFETY: every x86-64 has the instruction.
    let feature = |leaf| unsafe { __cpuid_count(leaf, 0) };
    let saved = || {
        let saved: u32;
        // SAFETY: reads a register; the instruction is there, since `XGETBV` is.
        unsafe {
            asm!("xgetbv", in("ecx") 0, out("eax") saved, out("edx") _, options(nomem, nostack, preserves_flags))
        };
        saved
    };
    tells_of_avx2(feature(1).ecx, || feature(7).ebx, saved)
}

const AVX: u32 = 1 << 28;
const XGETBV: u32 = 1 << 27;
const AVX2: u32 = 1 << 5;
const XMM_AND_YMM: u32 = 0b110;

/// True if this is said by leaf 1's `ecx`, leaf 7's `ebx` and the register that says what the kernel saves. Processors with AVX have leaf 13, and so
/// leaf 7. Two questions, not three: see `has_wider` outside. Source: Intel's manual, volume 1, 14.3.
pub(super) fn tells_of_avx2(leaf_1: u32, leaf_7: impl FnOnce() -> u32, saved: impl FnOnce() -> u32) -> bool {
    let has = |word: u32, bits: u32| word & bits == bits;
    has(leaf_1, AVX) && has(leaf_1, XGETBV) && has(leaf_7(), AVX2) && has(saved(), XMM_AND_YMM)
}

/// After a group: its bits come in above those of the ones before. Then the next group, from label 2 on, if there is one left and this one's last slot
/// is not null.
macro_rules! next_group {
    () => {
        "or {other}, {bits}
        ror {other}, 16
        add {i}, 16
        cmp qword ptr [{slots} + 8*{i} - 8], 0
        je 3f
        cmp {i}, {stop}
        jne 2b
        3:"
    };
}

/// The candidates from slot `first` to `stop`, as [`candidates`] says, by 32 bytes at a time.
///
/// # Safety
/// - as for `candidates`; `first` and `stop` are multiples of [`GROUP`], and that many slots exist; the processor has AVX2.
#[inline(always)]
unsafe fn with_avx2(groups: Groups, first: usize, stop: usize, tag: u16) -> (Lanes, usize) {
    /// Packing works in each half of a register: this puts pairs of slots back in order.
    static ORDER: [u32; 8] = [0, 4, 1, 5, 2, 6, 3, 7];
    let (mut other, mut next): (Lanes, usize) = (0, first);
    // SAFETY: loads slots, shadows and tags in whole groups, all of which the caller says exist. The registers' upper halves are clear at the
    // end, as callers expect, and all of them are declared as changed.
    unsafe {
        asm!(
            "vmovd xmm3, {bits:e}",
            "vpbroadcastw ymm3, xmm3",
            "vmovdqu ymm4, [rip + {order}]",
            "2:",
            // Slots that equal their shadow, as 64, 32, 16 bits; then those of them with another tag, as 8 bits and as 1.
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
            "vpermd ymm0, ymm4, ymm0",
            "vpcmpeqw ymm1, ymm3, [{tags} + 2*{i}]",
            "vpandn ymm0, ymm1, ymm0",
            "vextracti128 xmm1, ymm0, 1",
            "vpacksswb xmm0, xmm0, xmm1",
            "vpmovmskb {bits:e}, xmm0",
            next_group!(),
            "vzeroupper",
            slots = in(reg) groups.slots, shadows = in(reg) groups.shadows, tags = in(reg) groups.tags,
            i = inout(reg) next, stop = in(reg) stop, other = inout(reg) other, bits = inout(reg) u64::from(tag) => _,
            order = sym ORDER,
            // `vzeroupper` clears the upper halves of all sixteen, in whatever function this was inlined into.
            out("xmm0") _, out("xmm1") _, out("xmm2") _, out("xmm3") _, out("xmm4") _, out("xmm5") _, out("xmm6") _,
            out("xmm7") _, out("xmm8") _, out("xmm9") _, out("xmm10") _, out("xmm11") _, out("xmm12") _,
            out("xmm13") _, out("xmm14") _, out("xmm15") _,
            // Not `readonly`: no other access may be moved across.
            options(nostack),
        );
    }
    (!other, next)
}

/// The same by 16 bytes at a time, which every x86-64 can.
///
/// # Safety
/// - as there, but for that.
#[inline(always)]
unsafe fn with_sse2(groups: Groups, first: usize, stop: usize, tag: u16) -> (Lanes, usize) {
    let (mut other, mut next): (Lanes, usize) = (0, first);
    // SAFETY: SSE2 is part of x86-64.
    let wanted = unsafe { _mm_set1_epi16(tag as i16) };
    // SAFETY: loads slots, shadows and tags in whole groups, all of which the caller says exist, shadows and tags aligned to 16 bytes.
    unsafe {
        asm!(
            "pcmpeqd {ones}, {ones}",
            "2:",
            // Slots that equal their shadow, as pairs of 32 bits, then of 16, then of 8 bits: eight slots a register.
            "movdqu {a}, [{slots} + 8*{i}]",
            "pcmpeqd {a}, [{shadows} + 8*{i}]",
            "movdqu {b}, [{slots} + 8*{i} + 16]",
            "pcmpeqd {b}, [{shadows} + 8*{i} + 16]",
            "packssdw {a}, {b}",
            "movdqu {b}, [{slots} + 8*{i} + 32]",
            "pcmpeqd {b}, [{shadows} + 8*{i} + 32]",
            "movdqu {c}, [{slots} + 8*{i} + 48]",
            "pcmpeqd {c}, [{shadows} + 8*{i} + 48]",
            "packssdw {b}, {c}",
            "packsswb {a}, {b}",
            "movdqu {b}, [{slots} + 8*{i} + 64]",
            "pcmpeqd {b}, [{shadows} + 8*{i} + 64]",
            "movdqu {c}, [{slots} + 8*{i} + 80]",
            "pcmpeqd {c}, [{shadows} + 8*{i} + 80]",
            "packssdw {b}, {c}",
            "movdqu {c}, [{slots} + 8*{i} + 96]",
            "pcmpeqd {c}, [{shadows} + 8*{i} + 96]",
            "movdqu {d}, [{slots} + 8*{i} + 112]",
            "pcmpeqd {d}, [{shadows} + 8*{i} + 112]",
            "packssdw {c}, {d}",
            "packsswb {b}, {c}",
            // Out of these, the ones with another tag are no candidates.
            "movdqa {c}, {wanted}",
            "pcmpeqw {c}, [{tags} + 2*{i}]",
            "pandn {c}, {a}",
            "movdqa {d}, {wanted}",
            "pcmpeqw {d}, [{tags} + 2*{i} + 16]",
            "pandn {d}, {b}",
            // Both halves of a slot count; then a byte and a bit for each.
            "pcmpeqw {c}, {ones}",
            "pcmpeqw {d}, {ones}",
            "packsswb {c}, {d}",
            "pmovmskb {bits:e}, {c}",
            next_group!(),
            slots = in(reg) groups.slots, shadows = in(reg) groups.shadows, tags = in(reg) groups.tags,
            i = inout(reg) next, stop = in(reg) stop, other = inout(reg) other, bits = out(reg) _,
            wanted = in(xmm_reg) wanted, ones = out(xmm_reg) _,
            a = out(xmm_reg) _, b = out(xmm_reg) _, c = out(xmm_reg) _, d = out(xmm_reg) _,
            // Not `readonly`: no other access may be moved across.
            options(nostack),
        );
    }
    (!other, next)
}
