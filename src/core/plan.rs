//! What a list is to be: the first entry of each name, in order, with what is known of it.
//!
//! Beside threads, and for a batch, a list is collected as a plan before it is brought into an array (`adopt`). One table of names, keyed so that
//! nobody can choose names that collide (T1); no loop over pairs. The memory is used again for the next plan.

use crate::entry::{self, Key};
use crate::error::Stop;
use crate::hints::Hint;
use crate::keep::Strings;
use crate::sync::{self, AtomicPtr, Ordering, const_new};
use crate::text::{HASH, Keyed};
use core::cell::Cell;
use core::ffi::c_char;
use core::ops::Range;
use core::ptr::{self, NonNull};

/// Memory for one plan after the other; null at first. Only under the update lock.
#[derive(Debug)]
pub(crate) struct Scratch(AtomicPtr<Room>);

/// The header of that memory: so many entries fit.
#[repr(C)]
struct Room {
    len: usize,
}

const_new! {
    Scratch,
    pub(crate) fn new() -> Scratch {
        Scratch(AtomicPtr::new(ptr::null_mut()))
    }
}

impl Scratch {
    /// Forgets it. In a child that was forked in the middle of a change.
    pub(crate) fn forget(&self) {
        // Relaxed: only the lock's holders use it.
        self.0.store(ptr::null_mut(), Ordering::Relaxed);
    }

    /// An empty plan with room for `len` entries. The memory of the one before is used again.
    pub(crate) fn plan(&self, strings: &Strings, len: usize, keys: Keyed) -> Result<Plan<'_>, Stop> {
        const LEAST: usize = 64;
        let bytes = |len: usize| {
            // An entry, its mark, and two places of the table.
            let each = size_of::<*mut c_char>() + 3 * size_of::<u32>();
            len.checked_mul(each)?.checked_add(size_of::<Room>())
        };
        // SAFETY: null or a room of ours, which stays.
        let old = unsafe { sync::own(&self.0).as_ref() };
        let room = match old.filter(|old| old.len >= len) {
            Some(old) => old,
            None => {
                let len = len.max(LEAST).checked_next_power_of_two().ok_or(Stop::Memory(usize::MAX))?;
                let bytes = bytes(len).ok_or(Stop::Memory(usize::MAX))?;
                let fresh: NonNull<Room> = strings.take(bytes, align_of::<Room>())?.cast();
                // SAFETY: K1: fresh and large enough.
                unsafe { fresh.write(Room { len }) };
                // Relaxed: only the lock's holders use it.
                self.0.store(fresh.as_ptr(), Ordering::Relaxed);
                // SAFETY: just written.
                unsafe { fresh.as_ref() }
            }
        };
        let places = (2 * len.max(4)).next_power_of_two().min(2 * room.len);
        let start = ptr::from_ref(room).addr() + size_of::<Room>();
        // SAFETY: by construction `room.len` entries, as many marks and twice as many places follow, in memory that `take` exposed; only
        // the update lock's holder touches them.
        let plan = unsafe {
            let entries: *const Cell<*mut c_char> = ptr::with_exposed_provenance(start);
            let marks: *const Cell<u32> = entries.add(room.len).cast();
            Plan {
                keys,
                entries: core::slice::from_raw_parts(entries, room.len),
                marks: core::slice::from_raw_parts(marks, room.len),
                table: core::slice::from_raw_parts(marks.add(room.len), places),
                len: 0,
            }
        };
        plan.table.iter().for_each(|place| place.set(0));
        Ok(plan)
    }
}

/// What a list is to be: entries in their order, each name once.
#[derive(Debug)]
pub(crate) struct Plan<'a> {
    pub(crate) keys: Keyed,
    /// Null where one was removed.
    entries: &'a [Cell<*mut c_char>],
    /// The hash of each one's name, [`FIXED`] and [`SEATED`].
    marks: &'a [Cell<u32>],
    /// Open addressing: the number of an entry, and 1; or 0.
    table: &'a [Cell<u32>],
    len: usize,
}

/// The entry is fixed (H1).
const FIXED: u32 = 1 << 30;
/// The entry is in the array that is being edited.
const SEATED: u32 = 1 << 31;
const _: () = assert!(HASH < FIXED);

impl Plan<'_> {
    /// Entries.
    pub(crate) fn len(&self) -> usize {
        self.numbers().filter(|&i| !self.entries[i].get().is_null()).count()
    }

    /// The numbers of the entries whose name may have this hash.
    fn alike(&self, hash: u32) -> impl Iterator<Item = usize> {
        let mask = self.table.len() - 1;
        let places = (hash as usize..).map(move |i| self.table[i & mask].get());
        let numbers = places.take_while(|&number| number != 0).map(|number| number as usize - 1);
        numbers.filter(move |&i| self.marks[i].get() & HASH == hash)
    }

    /// The number of the entry with this name.
    pub(crate) fn find(&self, key: Key<'_>) -> Option<usize> {
        let wanted = key.wanted();
        self.alike(key.hash).find(|&i| {
            let entry = self.entries[i].get();
            // SAFETY: L2, L4: an entry of the list.
            !entry.is_null() && unsafe { wanted.value_in(entry) }.is_some()
        })
    }

    /// Appends an entry, for which there is room.
    pub(crate) fn push(&mut self, entry: *mut c_char, hint: Hint) {
        let i = self.len;
        self.len += 1;
        self.set(i, entry, hint);
        let mask = self.table.len() - 1;
        let place = (hint.hash as usize..).map(|i| i & mask).find(|&i| self.table[i].get() == 0);
        // There always is one: the table has twice as many places as there are entries.
        if let Some(place) = place {
            self.table[place].set(i as u32 + 1);
        }
    }

    /// Gives entry `i` another string of the same name.
    pub(crate) fn set(&mut self, i: usize, entry: *mut c_char, hint: Hint) {
        self.entries[i].set(entry);
        self.marks[i].set(hint.hash | if hint.fixed { FIXED } else { 0 });
    }

    /// Entry `i`.
    pub(crate) fn get(&self, i: usize) -> (*mut c_char, Hint) {
        let mark = self.marks[i].get();
        (self.entries[i].get(), Hint { hash: mark & HASH, fixed: mark & FIXED != 0 })
    }

    /// Removes entry `i`.
    pub(crate) fn remove(&mut self, i: usize) {
        self.entries[i].set(ptr::null_mut());
    }

    /// The numbers of all entries, removed ones included.
    pub(crate) fn numbers(&self) -> Range<usize> {
        0..self.len
    }

    /// Those that have no seat, the last one first.
    pub(crate) fn missing(&self) -> impl Iterator<Item = (*mut c_char, Hint)> {
        let without = self.numbers().rev().filter(|&i| self.marks[i].get() & SEATED == 0);
        without.map(|i| self.get(i)).filter(|(entry, _)| !entry.is_null())
    }

    /// All entries, in order.
    pub(crate) fn list(&self) -> impl DoubleEndedIterator<Item = (*mut c_char, Option<Hint>)> {
        let all = self.numbers().map(|i| self.get(i)).filter(|(entry, _)| !entry.is_null());
        all.map(|(entry, hint)| (entry, Some(hint)))
    }

    /// Adds an entry of the list that is collected, unless it or one of that name is there.
    pub(crate) fn collect(&mut self, entry: *mut c_char, known: Option<Hint>) {
        // A string that its owner may have renamed is looked at; and of one without a name, only the address counts.
        let hint = known.filter(|hint| hint.fixed).unwrap_or_else(|| {
            // SAFETY: L2, L4: an entry of the list.
            let key = unsafe { Key::of(entry, self.keys) };
            let hash = key.map_or_else(|| self.keys.hash_number(entry.addr()), |key| key.hash);
            Hint { hash, fixed: false }
        });
        let twin = self.alike(hint.hash).any(|i| {
            // SAFETY: as above.
            unsafe { entry::same_name(self.entries[i].get(), entry) }
        });
        if !twin {
            self.push(entry, hint);
        }
    }

    /// It is known that `entry` is fixed, if it is one of these.
    pub(crate) fn learn(&self, entry: *mut c_char, hash: u32) {
        for i in self.alike(hash).filter(|&i| ptr::eq(self.entries[i].get(), entry)) {
            self.marks[i].set(self.marks[i].get() | FIXED);
        }
    }

    /// The entry that is to be where `entry` is, in the array that is being edited; what was noted of that is `hint`. It may have been
    /// freed, and is not looked at unless it is fixed: otherwise the hash decides. (Two names with one hash: it is as good a place as any.)
    pub(crate) fn seat(&self, entry: *mut c_char, hint: Hint) -> Option<usize> {
        let free = |&i: &usize| self.marks[i].get() & SEATED == 0 && !self.entries[i].get().is_null();
        let same = |&i: &usize| {
            let theirs = self.entries[i].get();
            // SAFETY: an entry of the list, and one that stays.
            entry == theirs || !hint.fixed || unsafe { entry::same_name(entry, theirs) }
        };
        let i = self.alike(hint.hash).filter(free).find(same)?;
        self.marks[i].set(self.marks[i].get() | SEATED);
        Some(i)
    }
}

#[cfg(all(test, not(loom)))]
mod tests;
