//! The text of names and values: where a name ends, a name in a few words, hashes.
//!
//! # Invariants
//! - T1: hashes are keyed by two numbers that nobody outside the process knows ([`Keys`]), so nobody can choose names or values that
//!   collide. Source of the method, a product folded upon itself: Wang Yi's wyhash.

use crate::machine::{self, BITS, CHUNK, MAY_HAVE_WINDOWS, WINDOW, Windowed};
use crate::sync::{self, AtomicUsize, Ordering, byte, const_new};

/// Bytes of the string at `at` before its NUL or its first `=`, whichever comes first.
///
/// # Safety
/// - `at` is a readable NUL-terminated string.
#[inline(always)]
pub(crate) unsafe fn length(at: *const u8) -> usize {
    let chunk = at.map_addr(|addr| addr & !(CHUNK - 1));
    let skip = at.addr() - chunk.addr();
    // SAFETY: W1: the chunk holds at least one byte of the string.
    let ends = unsafe { machine::ends(chunk) } >> (skip * BITS);
    if ends != 0 {
        return ends.trailing_zeros() as usize / BITS;
    }
    // SAFETY: no end in the first chunk, so the string goes on in the next.
    unsafe { length_from(at, chunk.add(CHUNK)) }
}

/// The same as a call.
///
/// # Safety
/// - as there.
#[inline(never)]
unsafe fn length_by_chunks(at: *const u8) -> usize {
    // SAFETY: the caller's promise.
    unsafe { length(at) }
}

/// The same, faster where a window may be loaded.
///
/// # Safety
/// - as there.
#[inline(always)]
pub(crate) unsafe fn length_by(at: *const u8, windowed: Windowed) -> usize {
    if !windowed.has(at) {
        // SAFETY: the caller's promise.
        return unsafe { length_by_chunks(at) };
    }
    // No branch tells in which chunk a name ends: that is hard to predict.
    // SAFETY: W4.
    let ends = unsafe { machine::window_ends(at) };
    if ends != 0 {
        return ends.trailing_zeros() as usize;
    }
    // SAFETY: no end in the window, so the string reaches the chunk that holds the window's last byte.
    unsafe { length_from(at, at.map_addr(|addr| (addr + WINDOW - 1) & !(CHUNK - 1))) }
}

/// [`length`] of a string that reaches `chunk`.
///
/// # Safety
/// - as for [`length`], and the string reaches `chunk`.
#[inline]
unsafe fn length_from(at: *const u8, mut chunk: *const u8) -> usize {
    loop {
        // SAFETY: W1: no end before this chunk, so the string reaches into it.
        let ends = unsafe { machine::ends(chunk) };
        if ends != 0 {
            return chunk.addr() - at.addr() + ends.trailing_zeros() as usize / BITS;
        }
        // SAFETY: as above, for the next chunk.
        chunk = unsafe { chunk.add(CHUNK) };
    }
}

/// What hashes are keyed by, and how names may be read. All zero at first; made once, and the same in all forked children.
#[derive(Debug)]
pub(crate) struct Keys([AtomicUsize; 3]);

/// The keys, in hand.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Keyed {
    a: u64,
    b: u64,
    pub(crate) windowed: Windowed,
}

const_new! {
    Keys,
    pub(crate) fn new() -> Keys {
        Keys([AtomicUsize::new(0), AtomicUsize::new(0), AtomicUsize::new(0)])
    }
}

impl Keys {
    /// The keys, made if nobody has. For who will store a hash.
    pub(crate) fn get(&self) -> Keyed {
        if cfg!(loom) {
            return keyed(sync::secret(), Windowed::NEVER); // no step of a model
        }
        // Acquire [keys]: pairs with Release below: who sees the first sees the second.
        if self.0[0].load(Ordering::Acquire) == 0 {
            let [a, b] = sync::secret();
            // Relaxed: before the first. Whoever is here at the same time stores the same.
            self.0[1].store(b, Ordering::Relaxed);
            self.0[2].store(Windowed::ask().0, Ordering::Relaxed);
            // Release [keys]: pairs with Acquire above. Not in a model: two stores of constants.
            self.0[0].store(a, Ordering::Release);
        }
        self.known()
    }

    /// Which names may be looked at by windows: none, before there are keys.
    #[inline(always)]
    pub(crate) fn windowed(&self) -> Windowed {
        // Relaxed: whoever stores it stores the same.
        Windowed(self.0[2].load(Ordering::Relaxed))
    }

    /// The keys, for who found a hash that was stored.
    #[inline(always)]
    pub(crate) fn known(&self) -> Keyed {
        if cfg!(loom) {
            return keyed(sync::secret(), Windowed::NEVER);
        }
        // Relaxed, all: they were made before the hints that the caller came by were published ([hints]).
        let [a, b] = [0, 1].map(|i| self.0[i].load(Ordering::Relaxed));
        keyed([a, b], self.windowed())
    }
}

#[inline(always)]
fn keyed([a, b]: [usize; 2], windowed: Windowed) -> Keyed {
    Keyed { a: a as u64, b: b as u64 ^ PATTERN, windowed }
}

/// The first digits of the square root of 2: for machines with short keys.
const PATTERN: u64 = 0x6a09_e667_f3bc_c909;

impl Keyed {
    /// A hash of two words of which each bit depends on all bits of both.
    #[inline(always)]
    fn fold(self, x: u64, y: u64) -> u64 {
        let product = u128::from(x ^ self.a) * u128::from(y ^ self.b);
        product as u64 ^ (product >> 64) as u64
    }

    /// A hash of `bytes`, none of which is NUL.
    #[inline(never)]
    pub(crate) fn hash(self, bytes: &[u8]) -> u64 {
        // SAFETY: W4.
        let words = unsafe { if self.sees(bytes) { Words::in_window(bytes) } else { Words::of(bytes) } };
        let start = bytes.len().checked_sub(TAIL).and_then(|start| bytes.get(..start));
        words.hash(self).wrapping_add(start.map_or(0, |start| self.hash_start(start)))
    }

    /// A hash of what [`Words`] leave out, or 0 if that is nothing.
    fn hash_start(self, bytes: &[u8]) -> u64 {
        let words = bytes.chunks_exact(SHORT);
        let [rest, ..] = Words::of(words.remainder()).0;
        // SAFETY: eight bytes.
        let hash =
            words.fold(bytes.len() as u64, |hash, word| self.fold(hash, unsafe { plain(word.as_ptr()) }));
        if rest == 0 { hash } else { self.fold(hash, rest) }
    }

    /// True if these bytes are in their window, and that may be loaded (W4). (There may be no memory where there are none.)
    #[inline(always)]
    pub(crate) fn sees(self, bytes: &[u8]) -> bool {
        (1..=TAIL).contains(&bytes.len()) && self.windowed.has(bytes.as_ptr())
    }

    /// A number of which nobody can tell that of another one. (Squared, so that sums of these tell more than sums of numbers.)
    #[inline(always)]
    pub(crate) fn mix(self, number: usize) -> u64 {
        self.fold(number as u64, (number as u64).rotate_left(32))
    }

    /// A hash of something without a name, such as an address.
    pub(crate) fn hash_number(self, number: usize) -> u32 {
        hash_bits(self.mix(number))
    }
}

/// The bits of the hash of a name. Two are left to who keeps hashes.
pub(crate) const HASH: u32 = (1 << 30) - 1;

#[inline(always)]
fn hash_bits(hash: u64) -> u32 {
    (hash >> (64 - HASH.count_ones())) as u32
}

/// The hash of a name, [`HASH`] bits of it.
pub(crate) fn hash_name(name: &[u8], keys: Keyed) -> u32 {
    hash_bits(keys.hash(name))
}

/// The same, without a branch that depends on the length, of a name that [`is_quick`].
///
/// # Safety
/// - it is.
#[inline(always)]
pub(crate) unsafe fn hash_quickly(name: &[u8], keys: Keyed) -> u32 {
    // SAFETY: W4.
    hash_bits(unsafe { if MAY_HAVE_WINDOWS { Words::in_window(name) } else { Words::of(name) } }.hash(keys))
}

/// True if a name can be hashed and compared without branches that depend on its length.
#[inline(always)]
pub(crate) fn is_quick(name: &[u8], keys: Keyed) -> bool {
    if MAY_HAVE_WINDOWS { keys.sees(name) } else { name.len() <= TAIL }
}

/// A name of up to 32 bytes, filled up with zeros, or the last 32 of a longer one: two names of one length have the same words if and only if
/// these bytes are the same.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Words([u64; 4]);

/// Bytes of a word.
const SHORT: usize = 8;
/// Bytes that [`Words`] hold at most.
pub(crate) const TAIL: usize = WINDOW;

impl Words {
    /// The words of `name`, of which nothing is read but its bytes and what W1 allows.
    #[inline(always)]
    fn of(name: &[u8]) -> Words {
        let (at, len) = (name.as_ptr(), name.len());
        if len < SHORT {
            // SAFETY: as many bytes.
            return Words([if len == 0 { 0 } else { unsafe { short(at, len) } }, 0, 0, 0]);
        }
        let (start, last) = (len.saturating_sub(TAIL), len - SHORT);
        Words(core::array::from_fn(|i| {
            // A word that would reach past the end ends there, and what was in an earlier one is shifted out.
            let place = start + SHORT * i;
            let over = place.saturating_sub(last);
            // SAFETY: `len` is at least 8, and the word ends there at most.
            let word = unsafe { plain(at.add(place - over)) };
            if over < SHORT { word >> (8 * over) } else { 0 }
        }))
    }

    /// The same for at most [`TAIL`] bytes.
    ///
    /// # Safety
    /// - the window of the name may be loaded (W4).
    #[inline(always)]
    unsafe fn in_window(name: &[u8]) -> Words {
        // SAFETY: the caller's promise.
        Words(unsafe { machine::words(name.as_ptr(), name.len()) })
    }

    /// Those at `entry`, as if a name of `len` bytes were there.
    ///
    /// # Safety
    /// - the bytes from `entry` on are readable: up to `len`, and at least [`WINDOW`].
    #[inline(always)]
    unsafe fn at(entry: *const u8, len: usize) -> Words {
        let words = len.min(TAIL);
        // SAFETY: the caller's promise.
        Words(unsafe { machine::words(entry.add(len - words), words) })
    }

    /// True if they are the same. (Derived, it goes through memory.)
    #[inline(always)]
    fn are(self, other: Words) -> bool {
        let ([a, b, c, d], [e, f, g, h]) = (self.0, other.0);
        (a ^ e) | (b ^ f) | (c ^ g) | (d ^ h) == 0
    }

    /// A hash of them: each of their bytes has its effect on every bit of it.
    #[inline(always)]
    fn hash(self, keys: Keyed) -> u64 {
        let [a, b, c, d] = self.0;
        // Two products, which do not wait for each other.
        keys.fold(a, b).wrapping_add(keys.fold(c, d).rotate_left(32))
    }
}

/// `len` bytes, fewer than 8 and at least one, filled up with zeros.
///
/// # Safety
/// - they are readable.
#[inline(always)]
unsafe fn short(at: *const u8, len: usize) -> u64 {
    if CHUNK < 8 {
        // Nothing is read past an end here.
        // SAFETY: the caller's promise.
        let byte = |i| if i < len { unsafe { byte(at.add(i)) } } else { 0 };
        return u64::from_le_bytes(core::array::from_fn(byte));
    }
    let aligned = |at: *const u8| at.map_addr(|addr| addr & !7);
    let bits = 8 * (at.addr() & 7);
    // The words of the first and of the last byte, often the same one. What is not of the name is cut off at the end.
    // SAFETY: W1: each holds a byte of the name.
    let (low, high) = unsafe { (machine::word(aligned(at)), machine::word(aligned(at.add(len - 1)))) };
    (low >> bits | (high << (63 - bits)) << 1) & !(!0 << (8 * len))
}

/// Eight bytes of a slice, as a number of which the first byte is the lowest digit.
///
/// # Safety
/// - they are in it.
#[inline(always)]
unsafe fn plain(at: *const u8) -> u64 {
    // SAFETY: the caller's promise.
    u64::from_le(unsafe { at.cast::<u64>().read_unaligned() })
}

/// The first two bytes of every entry with this name, the first one in the lower half.
///
/// # Safety
/// - it is not empty.
#[inline(always)]
pub(crate) unsafe fn start_of(name: &[u8]) -> u16 {
    // SAFETY: the caller's promise.
    u16::from_le_bytes([unsafe { *name.get_unchecked(0) }, name.get(1).map_or(b'=', |&second| second)])
}

/// True if `entry` begins with these two bytes.
///
/// # Safety
/// - it is a readable NUL-terminated string.
#[inline(always)]
pub(crate) unsafe fn starts(entry: *const u8, start: u16) -> bool {
    // SAFETY: the caller's promise; the second byte is looked at only if the first is not its NUL.
    unsafe { byte(entry) == start as u8 && byte(entry.add(1)) == (start >> 8) as u8 }
}

/// True if `name` is all that stands at `entry` before its first `=`; for an entry that [`starts`] so.
///
/// # Safety
/// - `name` is not empty, and has no NUL and no `=` in it; `entry` is a readable NUL-terminated string.
#[inline(always)]
pub(crate) unsafe fn is_name_of(entry: *const u8, name: &[u8]) -> bool {
    let (at, len) = (name.as_ptr(), name.len());
    // SAFETY: four bytes of the name, and as many before the end of the entry.
    let are_alike = |i: usize| unsafe { machine::half_word(entry.add(i)) == machine::half_word(at.add(i)) };
    // SAFETY: the caller's promise; and if it has as many bytes before its end, these are readable, and so is the end.
    unsafe {
        length(entry) == len
            && byte(entry.add(len)) == b'='
            && match len {
                // What is not known yet is the last byte at most.
                ..4 => byte(entry.add(len - 1)) == byte(at.add(len - 1)),
                4..SHORT => are_alike(0) && are_alike(len - 4),
                _ => starts_with(entry, name),
            }
    }
}

/// True if `name` stands at `entry`, and `=` follows. Without a branch that depends on its length if `seen` ([`Keyed::sees`]).
///
/// # Safety
/// - `name` is not empty, and has no NUL and no `=` in it;
/// - `entry` is a NUL-terminated string, and readable for [`BEYOND`] bytes from its first `=` or NUL on.
#[inline(always)]
pub(crate) unsafe fn is_named(entry: *const u8, name: &[u8], seen: bool) -> bool {
    if !seen {
        // SAFETY: the caller's promise.
        return unsafe { is_named_by_words(entry, name) };
    }
    let len = name.len();
    // SAFETY: W4, and the caller's promise.
    unsafe { machine::are_alike(entry, name.as_ptr(), len) && byte(entry.add(len)) == b'=' }
}

/// The same for every name.
///
/// # Safety
/// - as there.
#[inline(never)]
unsafe fn is_named_by_words(entry: *const u8, name: &[u8]) -> bool {
    let len = name.len();
    // SAFETY: what comes before the words is compared first. If it is the same, the first `=` or NUL of the entry is not in it; so the words, and
    // the byte behind them if they are the same, are within BEYOND of that.
    unsafe {
        (len <= TAIL || starts_with(entry, name.split_at_unchecked(len - TAIL).0))
            && Words::at(entry, len).are(Words::of(name))
            && byte(entry.add(len)) == b'='
    }
}

/// True if the string at `text` starts with `bytes`, which are `seen` if [`Keyed::sees`] them.
///
/// # Safety
/// - as for [`starts_with`], and the window of the string is readable.
#[inline(always)]
pub(crate) unsafe fn starts_quickly(text: *const u8, bytes: &[u8], seen: bool) -> bool {
    // SAFETY: W4, and the caller's promise.
    unsafe {
        if seen { machine::are_alike(text, bytes.as_ptr(), bytes.len()) } else { starts_with(text, bytes) }
    }
}

/// True if the string at `text` starts with `bytes`.
///
/// # Safety
/// - `text` is NUL-terminated, and readable for 8 bytes past its NUL if there are fewer than 8 `bytes`, among which there is no NUL.
pub(crate) unsafe fn starts_with(text: *const u8, bytes: &[u8]) -> bool {
    let len = bytes.len();
    let differs = |i: usize| {
        // SAFETY: the callers below pass places with 8 bytes of `bytes`, and all bytes of the text before these were compared.
        unsafe { machine::word(text.add(i)) ^ plain(bytes.as_ptr().add(i)) != 0 }
    };
    if len < SHORT {
        // SAFETY: the caller's promise; `bytes` is not empty.
        return len == 0 || unsafe { machine::word(text) & !(!0 << (8 * len)) == short(bytes.as_ptr(), len) };
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

#[cfg(all(test, not(loom)))]
mod tests;
