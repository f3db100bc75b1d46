//! The bytes of one entry, a NUL-terminated `NAME=VALUE`: match, compare, compose.
//!
//! # Invariants
//! - E1: nothing here reads past an entry's NUL, but for words that hold a byte of the entry (W1), the byte behind an
//!   empty one (W3), and what may be read behind a fixed one (H1).
//! - E2: an entry without `=`, or with nothing before it, has no name: it is carried along and never matched.

use crate::machine::{MAY_HAVE_WINDOWS, Windowed};
use crate::sync::byte;
use crate::text::{self, Keyed};
use core::ffi::c_char;

/// The bytes of a name, whatever holds them.
pub trait Name: Copy {
    /// Its bytes, or `None` if no entry can have this name: it is empty, or has a `=` or a NUL in it.
    fn bytes(&self) -> Option<&[u8]>;

    /// The same, faster where windows may be loaded.
    #[doc(hidden)]
    #[inline(always)]
    fn bytes_by(&self, _: Windowed) -> Option<&[u8]> {
        self.bytes()
    }
}

/// A name as C passes it. Invariant: a readable NUL-terminated string.
#[derive(Clone, Copy, Debug)]
pub struct CName(*const u8);

impl CName {
    /// Takes a C string as a name.
    ///
    /// # Safety
    /// - `name` is a readable NUL-terminated string for as long as the `CName` is used.
    #[inline(always)]
    pub unsafe fn new(name: *const c_char) -> CName {
        CName(name.cast())
    }

    /// The bytes before the first NUL or `=`, of which there are `len`, if that is a NUL.
    ///
    /// # Safety
    /// - there are as many.
    #[inline(always)]
    unsafe fn first(&self, len: usize) -> Option<&[u8]> {
        // SAFETY: `len` bytes were looked at, none of them NUL, and one more that was NUL or `=`.
        let (name, end) = unsafe { (core::slice::from_raw_parts(self.0, len), *self.0.add(len)) };
        (end == 0 && len > 0).then_some(name)
    }
}

impl Name for CName {
    #[inline(always)]
    fn bytes(&self) -> Option<&[u8]> {
        // SAFETY: the invariant.
        unsafe { self.first(text::length(self.0)) }
    }

    #[inline(always)]
    fn bytes_by(&self, windowed: Windowed) -> Option<&[u8]> {
        // SAFETY: the invariant.
        unsafe { self.first(text::length_by(self.0, windowed)) }
    }
}

impl Name for &[u8] {
    #[inline(always)]
    fn bytes(&self) -> Option<&[u8]> {
        is_name(self).then_some(self)
    }
}

/// A name to look for with hints: its bytes and their hash. Invariant: it is not empty, and has no `=` and no NUL in it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Key<'a> {
    pub(crate) name: &'a [u8],
    pub(crate) hash: u32,
    /// See [`Keyed::sees`].
    seen: bool,
}

impl<'a> Key<'a> {
    /// The key of a name.
    ///
    /// # Safety
    /// - it is one ([`Name::bytes`]).
    #[inline(always)]
    pub(crate) unsafe fn of_name(name: &'a [u8], keys: Keyed) -> Key<'a> {
        Key { name, hash: text::hash_name(name, keys), seen: keys.sees(name) }
    }

    /// The same of a name that [is quick](text::is_quick) to look for, else `None`.
    ///
    /// # Safety
    /// - as there.
    #[inline(always)]
    pub(crate) unsafe fn quick(name: &'a [u8], keys: Keyed) -> Option<Key<'a>> {
        if !text::is_quick(name, keys) {
            return None;
        }
        // SAFETY: just asked.
        Some(Key { name, hash: unsafe { text::hash_quickly(name, keys) }, seen: MAY_HAVE_WINDOWS })
    }

    /// `None` if no entry can have this name.
    #[inline(always)]
    pub(crate) fn new<N: Name>(name: &'a N, keys: Keyed) -> Option<Key<'a>> {
        let name = name.bytes_by(keys.windowed)?;
        // SAFETY: `bytes_by` gives names.
        Some(unsafe { Key::quick(name, keys).unwrap_or_else(|| Key::of_name(name, keys)) })
    }

    /// The name of `entry`, if it has one.
    ///
    /// # Safety
    /// - `entry` is a readable NUL-terminated string, whose name nobody changes while the key is used.
    pub(crate) unsafe fn of(entry: *const c_char, keys: Keyed) -> Option<Key<'a>> {
        // SAFETY: the caller's promise.
        unsafe { name_of(entry).map(|name| Key::of_name(name, keys)) }
    }

    /// The same, to look at entries for it.
    #[inline(always)]
    pub(crate) fn wanted(&self) -> Wanted<'a> {
        // SAFETY: the invariant.
        unsafe { Wanted::of(self.name) }
    }

    /// Where the value of `entry` starts if its name is this one. Wait-free; reads at most the name's bytes and [`BEYOND`](text::BEYOND) more.
    ///
    /// # Safety
    /// - `entry` is fixed (H1 of `hints`).
    #[inline(always)]
    pub(crate) unsafe fn value_in_fixed(&self, entry: *const c_char) -> Option<*const c_char> {
        // SAFETY: the caller's promise; the invariant.
        unsafe { text::is_named(entry.cast(), self.name, self.seen).then(|| entry.add(self.name.len() + 1)) }
    }
}

/// A name to look for by looking at each entry. Invariant: as for [`Key`].
#[derive(Clone, Copy, Debug)]
pub(crate) struct Wanted<'a> {
    name: &'a [u8],
    /// The first two bytes of an entry with it.
    pub(crate) start: u16,
}

impl<'a> Wanted<'a> {
    /// `None` if no entry can have this name: `getenv("A=B")` is not found in `A=B=C`.
    #[inline(always)]
    pub(crate) fn new<N: Name>(name: &'a N, windowed: Windowed) -> Option<Wanted<'a>> {
        // SAFETY: `bytes_by` gives names.
        name.bytes_by(windowed).map(|name| unsafe { Wanted::of(name) })
    }

    /// The same for what is known to be a name.
    ///
    /// # Safety
    /// - it is one ([`Name::bytes`]).
    #[inline(always)]
    pub(crate) unsafe fn of(name: &'a [u8]) -> Wanted<'a> {
        // SAFETY: the caller's promise: not empty.
        Wanted { name, start: unsafe { text::start_of(name) } }
    }

    /// Where the value of `entry` starts if its name is the wanted one. Wait-free; reads the entry up to its first `=`, and whole words that
    /// hold bytes of that.
    ///
    /// # Safety
    /// - `entry` is a readable NUL-terminated string.
    #[inline(never)]
    pub(crate) unsafe fn value_in(self, entry: *const c_char) -> Option<*const c_char> {
        // SAFETY: the caller's promise.
        unsafe { self.value_here(entry) }
    }

    /// The same without a call: for readers.
    ///
    /// # Safety
    /// - as there.
    #[inline(always)]
    pub(crate) unsafe fn value_here(self, entry: *const c_char) -> Option<*const c_char> {
        let at: *const u8 = entry.cast();
        // SAFETY: the caller's promise; a name, without NUL and `=`.
        unsafe {
            let is_its = text::starts(at, self.start) && text::is_name_of(at, self.name);
            is_its.then(|| entry.add(self.name.len() + 1))
        }
    }
}

/// Where the value of `entry` starts if its name is `name`, else `None`. An empty name and one with `=` match nothing.
///
/// # Safety
/// - `entry` is a readable NUL-terminated string.
pub(crate) unsafe fn value_if(entry: *const c_char, name: &[u8]) -> Option<*const c_char> {
    // SAFETY: the caller's promise.
    Wanted::new(&name, Windowed::NEVER).and_then(|wanted| unsafe { wanted.value_in(entry) })
}

/// True if `a` and `b` have the same name; entries without a name are the same only if they are one string.
///
/// # Safety
/// - `a` and `b` are readable NUL-terminated strings, and `a` is not changed meanwhile.
pub(crate) unsafe fn same_name(a: *const c_char, b: *const c_char) -> bool {
    // SAFETY: the caller's promise.
    a == b || unsafe { name_of(a).is_some_and(|name| value_if(b, name).is_some()) }
}

/// The name of `entry`: its bytes before the first `=`, if there are any (E2).
///
/// # Safety
/// - `entry` is a readable NUL-terminated string, not changed while the name is used.
pub(crate) unsafe fn name_of<'a>(entry: *const c_char) -> Option<&'a [u8]> {
    let entry: *const u8 = entry.cast();
    // SAFETY: the caller's promise.
    let len = unsafe { text::length(entry) };
    // SAFETY: `len` bytes were looked at, none of them NUL, and one more.
    let (name, end) = unsafe { (core::slice::from_raw_parts(entry, len), byte(entry.add(len))) };
    (end == b'=' && len > 0).then_some(name)
}

/// Bytes that `NAME=VALUE` and its NUL take, or `None` if no address space could hold them.
pub(crate) fn size(name: &[u8], value: &[u8]) -> Option<usize> {
    name.len().checked_add(value.len())?.checked_add(2)
}

/// Writes `NAME=VALUE` and a NUL.
///
/// # Safety
/// - `at` is writable for `size(name, value)` bytes, and nobody else's.
pub(crate) unsafe fn compose(at: *mut u8, name: &[u8], value: &[u8]) {
    // SAFETY: the sizes add up to what the caller promised; fresh memory overlaps with no argument.
    unsafe {
        at.copy_from_nonoverlapping(name.as_ptr(), name.len());
        at.add(name.len()).write(b'=');
        at.add(name.len() + 1).copy_from_nonoverlapping(value.as_ptr(), value.len());
        at.add(name.len() + 1 + value.len()).write(0);
    }
}

/// A name that can be stored: not empty, no `=`, no NUL.
#[inline(always)]
pub(crate) fn is_name(name: &[u8]) -> bool {
    !name.is_empty() && lacks(name, [0, b'='])
}

/// A value that can be stored: no NUL.
#[inline]
pub(crate) fn is_value(value: &[u8]) -> bool {
    lacks(value, [0])
}

/// True if none of `ends` is in `bytes`.
#[inline(always)]
fn lacks<const N: usize>(bytes: &[u8], ends: [u8; N]) -> bool {
    const EACH: u64 = u64::MAX / 0xff; // 1 in each byte
    // Bytes that are 0, and perhaps some above them, get their top bit.
    let zero = |word: u64| word.wrapping_sub(EACH) & !word & (EACH << 7);
    let lacks = |word: [u8; 8]| {
        let word = u64::from_ne_bytes(word);
        ends.iter().all(|&end| zero(word ^ (EACH * u64::from(end))) == 0)
    };
    // Whole words; the last one overlaps the one before.
    match bytes.last_chunk() {
        Some(&last) => {
            lacks(last)
                && bytes.chunks_exact(8).all(|word| word.first_chunk().is_some_and(|&word| lacks(word)))
        }
        None => bytes.iter().all(|byte| !ends.contains(byte)),
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;
    use core::ffi::CStr;
    use std::vec;

    #[test]
    fn names_and_values_are_checked_to_the_last_byte() {
        for len in 0..40 {
            for rest in [b'x', 1, 0x80, 0xff, b'<', b'>'] {
                let mut text = vec![rest; len];
                assert_eq!((is_name(&text), is_value(&text)), (len > 0, true));
                for i in 0..len {
                    text[i] = 0;
                    assert_eq!((is_name(&text), is_value(&text)), (false, false), "{len} {i}");
                    text[i] = b'=';
                    assert_eq!((is_name(&text), is_value(&text)), (false, true), "{len} {i}");
                    text[i] = rest;
                }
            }
        }
    }

    /// However it is read.
    #[test]
    fn a_c_string_is_a_name_unless_it_is_empty_or_has_an_equals_sign() {
        let mut text = vec![b'x'; 70];
        for len in 0..69 {
            text[len] = 0;
            let read = |text: &[u8]| {
                // SAFETY: a NUL is in it.
                let name = unsafe { CName::new(text.as_ptr().cast()) };
                let windowed = crate::text::Keys::new().get().windowed;
                let all = [name.bytes(), name.bytes_by(windowed), name.bytes_by(Windowed::NEVER)];
                assert!(all.iter().all(|&bytes| bytes == all[0]));
                all[0].map(<[u8]>::to_vec)
            };
            assert_eq!(read(&text), (len > 0).then(|| text[..len].to_vec()));
            for i in 0..len {
                text[i] = b'=';
                assert_eq!(read(&text), None, "{len} {i}");
                text[i] = b'x';
            }
            text[len] = b'x';
        }
    }

    fn value<'a>(entry: &'a CStr, name: &str) -> Option<&'a CStr> {
        // SAFETY: a C string literal.
        unsafe { value_if(entry.as_ptr(), name.as_bytes()).map(|v| CStr::from_ptr(v)) }
    }

    #[test]
    fn a_name_matches_itself_and_nothing_else() {
        assert_eq!(value(c"A=1", "A"), Some(c"1"));
        assert_eq!(value(c"A=", "A"), Some(c""));
        assert_eq!(value(c"AB=1", "A"), None);
        assert_eq!((value(c"AB=1", "CB"), value(c"ABC=1", "AXC")), (None, None));
        assert_eq!(value(c"A=1", "AB"), None);
        assert_eq!(value(c"A=B=C", "A"), Some(c"B=C"));
        assert_eq!(value(c"A=B=C", "A=B"), None);
        assert_eq!(value(c"A", "A"), None);
        assert_eq!(value(c"", "A"), None);
        assert_eq!(value(c"=x", ""), None);
        assert_eq!(value(c"", ""), None);
    }

    #[test]
    fn entries_without_a_name_are_only_themselves() {
        // SAFETY: C strings.
        let same = |a: &CStr, b: &CStr| unsafe { same_name(a.as_ptr(), b.as_ptr()) };
        assert!(same(c"A=1", c"A=2"));
        assert!(!same(c"A=1", c"AB=1"));
        assert!(!same(c"AB=1", c"A=1"));
        let (a, b) = (c"JUNK".to_owned(), c"JUNK".to_owned());
        assert!(same(&a, &a) && !same(&a, &b));
        let (a, b) = (c"=x".to_owned(), c"=x".to_owned());
        assert!(same(&a, &a) && !same(&a, &b));
    }
}
