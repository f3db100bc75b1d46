//! Strings interned by `NAME=VALUE`: equal ones are stored once, whatever their number.
//!
//! Open addressing over their addresses, with 32 bits of each one's hash beside them, so that few strings are looked at, and none when the
//! table grows. A string that its user has damaged (`strtok(getenv(..), ":")`) gives its place to a new one. The hash is keyed (T1).

use super::arena::{ALIGN, Arena, Fresh};
use crate::entry::{self, Key};
use crate::error::Stop;
use crate::sync::{self, AtomicPtr, AtomicUsize, Ordering, byte, const_new};
use crate::text::{self, Keyed};
use core::cell::Cell;
use core::ffi::{CStr, c_char};
use core::ops::Range;
use core::ptr::{self, NonNull};

/// Places in the first table.
const PLACES: usize = if cfg!(loom) { 4 } else { 1 << 8 };
/// Bytes for each place.
const EACH: usize = size_of::<*mut c_char>() + size_of::<u32>();

/// The header of a table; then a place for each string, then its hash.
#[repr(C)]
struct Table {
    /// Places, a power of two.
    size: usize,
    /// Places taken.
    len: Cell<usize>,
}

/// Interned strings, and the memory for them.
#[derive(Debug)]
pub(crate) struct Strings {
    arena: Arena,
    table: AtomicPtr<Table>,
    /// A table that was outgrown, and whose pages can be given back, or null.
    outgrown: AtomicPtr<Table>,
    /// Not 0 once something inside of our memory, or the kernel's, was given to `putenv`: an address there does not tell whose string it is.
    put: AtomicUsize,
}

const_new! {
    Strings,
    pub(crate) fn new() -> Strings {
        Strings {
            arena: Arena::new(),
            table: AtomicPtr::new(ptr::null_mut()),
            outgrown: AtomicPtr::new(ptr::null_mut()),
            put: AtomicUsize::new(0),
        }
    }
}

impl Strings {
    /// Bytes handed out for strings, tables and what else the arena gave.
    pub(crate) fn retained(&self) -> usize {
        self.arena.retained()
    }

    /// See [`Arena::owns`].
    pub(crate) fn owns(&self, entry: *const c_char) -> bool {
        self.arena.owns(entry)
    }

    /// See [`Arena::take`].
    pub(crate) fn take(&self, bytes: usize, align: usize) -> Result<NonNull<u8>, Stop> {
        self.arena.take(bytes, align)
    }

    /// See [`Arena::map`].
    pub(crate) fn map(&self, bytes: usize) -> Option<Fresh> {
        self.arena.map(bytes)
    }

    /// See [`Arena::link`].
    pub(crate) fn link(&self, fresh: Fresh) {
        self.arena.link(fresh);
    }

    /// The program has made `string` an entry of its own: if that lies in our memory, or where the kernel's strings are, addresses there tell
    /// nothing any more. True if that is so: it may have been noted as one of ours before. Under the update lock.
    pub(crate) fn note_put(&self, string: *const c_char) -> bool {
        let inside = self.owns(string) || sync::initial_strings().contains(&string.addr());
        if inside {
            // Relaxed: only the lock's holders use it.
            self.put.store(1, Ordering::Relaxed);
        }
        inside
    }

    /// True if that was so.
    pub(crate) fn some_were_put(&self) -> bool {
        sync::own_count(&self.put) != 0
    }

    /// True if `entry` is surely a string that was interned here, from its start, and nobody else's. Under the update lock.
    ///
    /// # Safety
    /// - `entry` is a readable NUL-terminated string.
    pub(crate) unsafe fn made(&self, entry: *mut c_char, keys: Keyed) -> bool {
        let known = || {
            // SAFETY: the caller's promise.
            unsafe { parts(entry, keys) }
                .and_then(|(key, value)| self.known(hash(key, value, keys), key, value, keys))
        };
        !self.some_were_put() && self.owns(entry) && known() == Some(entry)
    }

    /// Forgets everything. Under the update lock, in a child that was forked in the middle of a change.
    pub(crate) fn forget(&self) {
        // Relaxed, both: only the lock's holders use them.
        self.table.store(ptr::null_mut(), Ordering::Relaxed);
        self.outgrown.store(ptr::null_mut(), Ordering::Relaxed);
        self.arena.forget();
    }

    /// The string `NAME=VALUE`: the one made before, if it was not edited since, else a new one. Under the update lock.
    #[inline(never)]
    pub(crate) fn string(&self, key: Key<'_>, value: &[u8], keys: Keyed) -> Result<*mut c_char, Stop> {
        let bytes = entry::size(key.name, value).ok_or(Stop::Memory(usize::MAX))?;
        let hash = hash(key, value, keys);
        if let Some(known) = self.known(hash, key, value, keys) {
            return Ok(known);
        }
        let table = self.table_with_room()?;
        // The byte before a string is not one of another's: what lies inside of a string can be told from one.
        let at = self.arena.take(bytes, 1)?.as_ptr();
        // SAFETY: K1; `take` gave `bytes` bytes.
        unsafe { entry::compose(at, key.name, value) };
        let string = at.cast::<c_char>();
        sync::wrote(string);
        table.insert(hash, string, keys);
        Ok(string)
    }

    /// The string, if there is one.
    fn known(&self, hash: u32, key: Key<'_>, value: &[u8], keys: Keyed) -> Option<*mut c_char> {
        // SAFETY: K3: null or a table of ours, which stays.
        let table = unsafe { sync::own(&self.table).as_ref() }?;
        table.alike(hash).map(|i| table.places()[i].get()).find(|&known| {
            sync::read(known);
            // SAFETY: K2: our strings stay; a program that edits one leaves it terminated, or overruns it itself.
            unsafe { holds(known, key, value, keys) }
        })
    }

    /// The table, with a place for one more. Under the update lock.
    fn table_with_room(&self) -> Result<&Table, Stop> {
        // SAFETY: K3: null or a table of ours, which stays.
        let old = unsafe { sync::own(&self.table).as_ref() };
        if let Some(table) = old.filter(|table| (table.len.get() + 1) * 4 <= table.size * 3) {
            return Ok(table);
        }
        let size = old.map_or(PLACES, |old| old.size * 2);
        let bytes = size.checked_mul(EACH).and_then(|bytes| bytes.checked_add(size_of::<Table>()));
        let at = self.arena.take(bytes.ok_or(Stop::Memory(usize::MAX))?, ALIGN)?;
        let table: NonNull<Table> = at.cast();
        // SAFETY: K1: fresh, large enough and zero: every place is null.
        let table = unsafe {
            table.write(Table { size, len: Cell::new(0) });
            table.as_ref()
        };
        if let Some(old) = old {
            for (place, hash) in
                old.places().iter().zip(old.hashes()).filter(|(place, _)| !place.get().is_null())
            {
                table.place(hash.get(), place.get());
            }
            // Relaxed: only the lock's holders use it.
            self.outgrown.store(ptr::from_ref(old).cast_mut(), Ordering::Relaxed);
        }
        // Relaxed: only the lock's holders use the table.
        self.table.store(ptr::from_ref(table).cast_mut(), Ordering::Relaxed);
        Ok(table)
    }

    /// The memory of an outgrown table, if it is worth giving back, once. Under the update lock; to be given to
    /// [`discard`](Self::discard) when it is free.
    pub(crate) fn litter(&self) -> Option<Range<usize>> {
        // SAFETY: K3: null or a table of ours.
        let table = unsafe { sync::own(&self.outgrown).as_ref() }?;
        // Relaxed: only the lock's holders use it.
        self.outgrown.store(ptr::null_mut(), Ordering::Relaxed);
        let start = ptr::from_ref(table).addr() + size_of::<Table>();
        Some(start..start + table.size * EACH)
    }

    /// Gives back the pages of what [`litter`](Self::litter) gave. Not under the update lock.
    pub(crate) fn discard(&self, litter: Range<usize>) {
        // SAFETY: a table that is no longer known; its users had the lock.
        unsafe { self.arena.discard(litter) };
    }
}

impl Table {
    fn places(&self) -> &[Cell<*mut c_char>] {
        // SAFETY: by construction `size` places follow the header; only the update lock's holder touches them.
        unsafe { behind(self, size_of::<Table>(), self.size) }
    }

    fn hashes(&self) -> &[Cell<u32>] {
        // SAFETY: by construction as many hashes follow the places; as above.
        unsafe { behind(self, size_of::<Table>() + self.size * size_of::<*mut c_char>(), self.size) }
    }

    /// The places where a string of this hash may be, up to the first free one.
    fn probe(&self, hash: u32) -> impl Iterator<Item = usize> {
        let mask = self.size - 1;
        (0..self.size).map(move |i| (hash as usize + i) & mask)
    }

    /// The places of strings that had this hash when they were made.
    fn alike(&self, hash: u32) -> impl Iterator<Item = usize> {
        let (places, hashes) = (self.places(), self.hashes());
        let taken = self.probe(hash).take_while(|&i| !places[i].get().is_null());
        taken.filter(move |&i| hashes[i].get() == hash)
    }

    /// Puts a string where a damaged one of its hash was, or else where nothing was.
    fn insert(&self, hash: u32, string: *mut c_char, keys: Keyed) {
        let damaged = self.alike(hash).find(|&i| {
            // SAFETY: K2: our strings stay, terminated.
            let now = unsafe { parts(self.places()[i].get(), keys) };
            now.is_none_or(|(key, value)| self::hash(key, value, keys) != hash)
        });
        match damaged {
            Some(i) => self.places()[i].set(string),
            None => self.place(hash, string),
        }
    }

    /// Puts a string where nothing was: there is such a place.
    fn place(&self, hash: u32, string: *mut c_char) {
        if let Some(i) = self.probe(hash).find(|&i| self.places()[i].get().is_null()) {
            self.hashes()[i].set(hash);
            self.places()[i].set(string);
            self.len.set(self.len.get() + 1);
        }
    }
}

/// The `len` values that lie `offset` bytes behind the start of a header. A reference to the header does not extend to them: `take`
/// exposed their memory.
///
/// # Safety
/// - `len` values of type `T` are there, aligned, for as long as they are used.
unsafe fn behind<H, T>(header: &H, offset: usize, len: usize) -> &[T] {
    let at = ptr::with_exposed_provenance(ptr::from_ref(header).addr() + offset);
    // SAFETY: the caller's promise.
    unsafe { core::slice::from_raw_parts(at, len) }
}

/// The hash of a string: of its name's hash, and its value.
fn hash(key: Key<'_>, value: &[u8], keys: Keyed) -> u32 {
    let hash = keys.hash(value) ^ u64::from(key.hash) << 17;
    (hash >> 32) as u32 ^ hash as u32
}

/// The name and the value of a string, as they are now.
///
/// # Safety
/// - `string` is readable and terminated, and is not changed while they are used.
unsafe fn parts<'a>(string: *const c_char, keys: Keyed) -> Option<(Key<'a>, &'a [u8])> {
    // SAFETY: the caller's promise; after a name comes its `=`.
    unsafe {
        let key = Key::of(string, keys)?;
        Some((key, CStr::from_ptr(string.add(key.name.len() + 1)).to_bytes()))
    }
}

/// True if the string at `known` reads `NAME=VALUE` now.
///
/// # Safety
/// - `known` is a string of ours.
#[inline(never)] // or all that is to be compared would be made ready before anything is found
unsafe fn holds(known: *const c_char, key: Key<'_>, value: &[u8], keys: Keyed) -> bool {
    // SAFETY: K4; a value found lies in the same string.
    unsafe { key.value_in_fixed(known).is_some_and(|found| is(found, value, keys)) }
}

/// True if `text` is `bytes` now.
///
/// # Safety
/// - `text` is NUL-terminated, and readable for [`BEYOND`](text::BEYOND) bytes past its NUL; `bytes` holds no NUL.
pub(crate) unsafe fn is(text: *const c_char, bytes: &[u8], keys: Keyed) -> bool {
    // SAFETY: the caller's promise.
    unsafe {
        text::starts_quickly(text.cast(), bytes, keys.sees(bytes))
            && byte(text.cast::<u8>().add(bytes.len())) == 0
    }
}

#[cfg(all(test, not(loom)))]
mod tests;
