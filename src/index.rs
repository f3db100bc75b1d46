//! The names of an [`Environ`](crate::Environ): a hash table that is read without a lock.
//!
//! # Invariants
//! - I1: a place of a table goes from empty to entries of *one* name, one after the other, and from there to removed, for ever.
//! - I2: an entry is final before its address enters a place, its slot apart, which only writers use.
//! - I3: only the holder of the writers' lock stores to places.
//! - I4: a table or entry that a reader may hold stays allocated: it is retired, and freed when no reader is pinned that was pinned
//!   before.
//! - I5: a quarter of the places stay empty, so that every search ends.
//!
//! # Pairs
//! | tag | Release in | Acquire in | what becomes visible |
//! |---|---|---|---|
//! | `[table]` | `Environ::publish` | `Environ::table` | the places of the table |
//! | `[place]` | `Place::store` | `Place::load` | the bytes of the entry, and earlier stores |
//!
//! # Why a read is right
//! A search looks at places in a fixed order up to the first empty one.
//! 1. A name that stays: its place is fixed (I1), and the places before it never become empty again. It is found.
//! 2. A name that is removed, and added again in a later place, while the search is under way: between the two it was not there,
//!    and if the search misses both, it may say so.
//! 3. The table is replaced meanwhile: the old one keeps what it held at that moment, which is after the search began.

use crate::sync::{self, AtomicPtr, Ordering, Traced};
use mtsafe_env_core::Slot;
use std::alloc::Layout;
use std::cell::Cell;
use std::ffi::{CStr, c_char};
use std::ptr::{self, NonNull};

/// `NAME=VALUE`: this header, then the bytes and a NUL.
#[repr(C)]
pub(crate) struct Entry {
    hash: u64,
    /// Bytes of the name.
    name: usize,
    /// Bytes of `NAME=VALUE`.
    text: usize,
    /// Where the list has it. Only under the writers' lock.
    pub(crate) slot: Cell<*const Slot>,
    traced: Traced,
}

impl Entry {
    fn layout(text: usize) -> Option<Layout> {
        let bytes = size_of::<Entry>().checked_add(text)?.checked_add(1)?;
        Layout::from_size_align(bytes, align_of::<Entry>()).ok()
    }

    /// A new entry, or `None` without memory.
    pub(crate) fn new(hash: u64, name: &[u8], value: &[u8]) -> Option<NonNull<Entry>> {
        let text = name.len().checked_add(1)?.checked_add(value.len())?;
        let at: NonNull<Entry> = sync::allocate(Entry::layout(text)?)?.cast();
        let traced = Traced::default();
        traced.wrote();
        // SAFETY: fresh memory: the header, then `text` bytes and, zero already, the NUL.
        unsafe {
            at.write(Entry { hash, name: name.len(), text, slot: Cell::new(ptr::null()), traced });
            let bytes = at.add(1).cast::<u8>().as_ptr();
            bytes.copy_from_nonoverlapping(name.as_ptr(), name.len());
            bytes.add(name.len()).write(b'=');
            bytes.add(name.len() + 1).copy_from_nonoverlapping(value.as_ptr(), value.len());
        }
        Some(at)
    }

    /// How it was allocated.
    fn own_layout(&self) -> Layout {
        // There is one: the entry was made with it.
        Entry::layout(self.text).unwrap_or(Layout::new::<Entry>())
    }

    /// Bytes of memory it takes.
    pub(crate) fn size(&self) -> usize {
        self.own_layout().size()
    }

    /// Gives its memory back.
    ///
    /// # Safety
    /// - nobody uses it any more, and it is freed once.
    pub(crate) unsafe fn free(at: NonNull<Entry>) {
        // SAFETY: the caller's promise.
        unsafe {
            at.as_ref().traced.wrote(); // for loom: all reads come before this
            let layout = at.as_ref().own_layout();
            sync::free(at.cast(), layout);
        }
    }

    /// What the list holds for it: a C string.
    pub(crate) fn string(at: NonNull<Entry>) -> *mut c_char {
        // SAFETY: by construction the string follows the header.
        unsafe { at.add(1) }.cast().as_ptr()
    }

    /// The entry of a string in the list.
    ///
    /// # Safety
    /// - `string` came from [`string`](Self::string).
    pub(crate) unsafe fn of(string: *mut c_char) -> NonNull<Entry> {
        // SAFETY: the caller's promise: a header comes before it, in the same allocation.
        unsafe { NonNull::new_unchecked(string.cast::<Entry>().sub(1)) }
    }

    /// `NAME=VALUE`.
    ///
    /// # Safety
    /// - the entry is not freed for as long as the text is used (I4).
    pub(crate) unsafe fn text<'a>(at: NonNull<Entry>) -> &'a CStr {
        // SAFETY: the caller's promise.
        let entry = unsafe { at.as_ref() };
        entry.traced.read();
        // SAFETY: by construction `text` bytes, none of them NUL (the callers of `new` checked), and a NUL follow the header.
        unsafe {
            let bytes = std::slice::from_raw_parts(at.add(1).cast().as_ptr(), entry.text + 1);
            CStr::from_bytes_with_nul_unchecked(bytes)
        }
    }

    /// The value alone.
    ///
    /// # Safety
    /// - as for [`text`](Self::text).
    pub(crate) unsafe fn value<'a>(at: NonNull<Entry>) -> &'a CStr {
        // SAFETY: the caller's promise; the name and its `=` are part of the text.
        unsafe {
            let start = at.as_ref().name + 1;
            let bytes = Entry::text(at).to_bytes_with_nul();
            CStr::from_bytes_with_nul_unchecked(bytes.get_unchecked(start..))
        }
    }

    /// True if this is its name.
    ///
    /// # Safety
    /// - the entry is not freed.
    unsafe fn is(at: NonNull<Entry>, hash: u64, name: &[u8]) -> bool {
        // SAFETY: the caller's promise.
        let entry = unsafe { at.as_ref() };
        entry.traced.read();
        // SAFETY: the caller's promise.
        entry.hash == hash
            && entry.name == name.len()
            && unsafe { Entry::text(at) }.to_bytes().starts_with(name)
    }
}

/// One place of a table: empty (null), removed, or an entry.
#[repr(transparent)]
pub(crate) struct Place(AtomicPtr<Entry>);

/// The address that stands for "removed". No entry has it: they are aligned.
const REMOVED: *mut Entry = ptr::without_provenance_mut(1);

impl Place {
    #[inline]
    fn load(&self) -> *mut Entry {
        // Acquire [place]: pairs with Release in `store`. Without it loom `an_entry_is_whole` fails.
        self.0.load(Ordering::Acquire)
    }

    /// Under the writers' lock.
    fn store(&self, entry: *mut Entry) {
        // Release [place]: pairs with Acquire in `load`. Who finds this entry sees its bytes. Without it loom `an_entry_is_whole` fails.
        self.0.store(entry, Ordering::Release);
    }

    /// Under the writers' lock, or where nobody else is.
    fn own(&self) -> Option<NonNull<Entry>> {
        // Relaxed: the lock orders us after the stores of every other holder.
        NonNull::new(self.0.load(Ordering::Relaxed)).filter(|entry| entry.as_ptr() != REMOVED)
    }

    /// Makes this the place of `entry`.
    pub(crate) fn set(&self, entry: NonNull<Entry>) {
        self.store(entry.as_ptr());
    }

    /// Marks it removed.
    pub(crate) fn remove(&self) {
        self.store(REMOVED);
    }
}

/// A table: this header, then the places.
#[repr(C)]
pub(crate) struct Table {
    /// Places, a power of two.
    size: usize,
    traced: Traced,
}

/// What a search found.
pub(crate) enum Found<'a> {
    Entry(&'a Place, NonNull<Entry>),
    /// Where it would be added.
    Empty(&'a Place),
}

impl Table {
    /// Places of the smallest table.
    const MIN: usize = if cfg!(loom) { 4 } else { 16 };

    /// Places for `entries` entries and as many more.
    pub(crate) fn size_for(entries: usize) -> Option<usize> {
        Some(entries.checked_mul(3)?.checked_next_power_of_two()?.max(Table::MIN))
    }

    /// True if `used` places and one more leave a quarter empty (I5).
    pub(crate) fn has_room(&self, used: usize) -> bool {
        used < self.size / 4 * 3
    }

    /// True if a table for `entries` would be much smaller.
    pub(crate) fn is_sparse(&self, entries: usize) -> bool {
        self.size > Table::MIN && entries < self.size / 16
    }

    fn layout(size: usize) -> Option<Layout> {
        let bytes = size.checked_mul(size_of::<Place>())?.checked_add(size_of::<Table>())?;
        Layout::from_size_align(bytes, align_of::<Place>().max(align_of::<Table>())).ok()
    }

    /// An empty table, or `None` without memory.
    pub(crate) fn new(size: usize) -> Option<NonNull<Table>> {
        let at: NonNull<Table> = sync::allocate(Table::layout(size)?)?.cast();
        // SAFETY: fresh memory for the header and `size` places, zero, which is null places; loom's atomics want to be made.
        unsafe {
            at.write(Table { size, traced: Traced::default() });
            at.as_ref().traced.wrote();
            if cfg!(loom) {
                let places: NonNull<Place> = at.add(1).cast();
                for i in 0..size {
                    places.add(i).write(Place(AtomicPtr::new(ptr::null_mut())));
                }
            }
        }
        Some(at)
    }

    /// How it was allocated.
    fn own_layout(&self) -> Layout {
        // There is one: the table was made with it.
        Table::layout(self.size).unwrap_or(Layout::new::<Table>())
    }

    /// Bytes of memory it takes.
    pub(crate) fn bytes(&self) -> usize {
        self.own_layout().size()
    }

    /// Gives its memory back, not that of the entries.
    ///
    /// # Safety
    /// - nobody uses it any more, and it is freed once.
    pub(crate) unsafe fn free(at: NonNull<Table>) {
        // SAFETY: the caller's promise.
        unsafe {
            at.as_ref().traced.wrote(); // for loom: all reads come before this
            let layout = at.as_ref().own_layout();
            sync::free(at.cast(), layout);
        }
    }

    /// The same, and that of its entries.
    ///
    /// # Safety
    /// - as for [`free`](Self::free); nobody uses the entries any more, either, and they are in no other table that is freed so.
    pub(crate) unsafe fn free_all(at: NonNull<Table>) {
        // SAFETY: the caller's promise.
        unsafe {
            at.as_ref().entries().for_each(|entry| Entry::free(entry));
            Table::free(at);
        }
    }

    fn places(&self) -> &[Place] {
        // SAFETY: by construction `size` places follow the header.
        unsafe { std::slice::from_raw_parts(ptr::from_ref(self).add(1).cast(), self.size) }
    }

    /// The entry named `name`, or the empty place at which the search ended. Wait-free: at most as many loads as places.
    #[inline]
    pub(crate) fn find(&self, hash: u64, name: &[u8]) -> Option<Found<'_>> {
        self.traced.read();
        let places = self.places();
        let home = hash as usize;
        for i in 0..places.len() {
            // In bounds: the size is a power of two.
            let place = &places[home.wrapping_add(i) & (places.len() - 1)];
            let found = place.load();
            let Some(entry) = NonNull::new(found) else { return Some(Found::Empty(place)) };
            // SAFETY: I4: an entry found in a place is not freed while the reader is pinned or the lock held.
            if found != REMOVED && unsafe { Entry::is(entry, hash, name) } {
                return Some(Found::Entry(place, entry));
            }
        }
        None // not reached: I5
    }

    /// Puts in an entry whose name is not there. For a table that is not published.
    pub(crate) fn insert(&self, entry: NonNull<Entry>) {
        // SAFETY: the entries that writers handle are not freed.
        let home = unsafe { entry.as_ref() }.hash as usize;
        let places = self.places();
        let free = (0..places.len())
            .map(|i| &places[home.wrapping_add(i) & (places.len() - 1)])
            .find(|place| place.own().is_none());
        if let Some(place) = free {
            place.set(entry);
        }
    }

    /// The entries. Under the writers' lock, or where nobody else is.
    pub(crate) fn entries(&self) -> impl Iterator<Item = NonNull<Entry>> {
        self.places().iter().filter_map(Place::own)
    }
}
