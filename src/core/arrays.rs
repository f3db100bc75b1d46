//! The arrays that are used in turn.
//!
//! An array is never freed, and never overwritten under a reader. When the list moves on (it grows; a slot is needed that a live entry left;
//! the program assigned `environ`; a batch), it moves to an array that was not live for a while, and the one that it leaves stays whole. So a
//! list that the program saved is whole when it comes back, and readers of every kind are done with an array long before it is used again.
//!
//! - Of the arrays that we left ourselves, [`TURN`] are kept, the live one included; more only for lists that the program left by
//!   assigning `environ`, up to [`ARRAYS`] in all.
//! - An array that is too small is let go, with what is in it. Each is at least twice as large as the one that it replaces.
//!
//! # Invariants
//! - Y1: a word of the pool is null or the address of an array of ours (A1). No two words must agree: a forked child may find one lost, or
//!   twice, which costs memory at most.

use crate::array::Array;
use crate::error::Stop;
use crate::keep::Strings;
use crate::slot::Slot;
use crate::sync::{self, AtomicPtr, AtomicUsize, Ordering, const_new};
use core::ffi::c_char;
use core::ptr;

/// Slots of the smallest array. Source: illumos `MIN_ENV_SIZE`.
pub(crate) const MIN_SLOTS: usize = if cfg!(loom) { 4 } else { 128 };
/// Slots of room that an array has for additions at least, beside as many as the list is long.
const MIN_ROOM: usize = if cfg!(loom) { 2 } else { 64 };
/// Arrays in all: lists that are saved, one inside of the other, and those in turn.
const ARRAYS: usize = 12;
/// Lists that the program has left, of which none is given away: it may have saved so many, one inside of the other.
const DEEP: usize = 3;
/// Arrays that we move between: a reader is safe in one for this many moves less one.
const TURN: usize = if cfg!(loom) { 3 } else { 8 };

/// All null at first. Only under the update lock.
#[derive(Debug)]
pub(crate) struct Arrays {
    pool: [AtomicPtr<Array>; ARRAYS],
    /// The header of the kernel's list, or null.
    kernel: AtomicPtr<Array>,
    /// The array that became live last, or null: looked at first.
    live: AtomicPtr<Array>,
    /// Counts the arrays that became live.
    clock: AtomicUsize,
}

const_new! {
    Arrays,
    pub(crate) fn new() -> Arrays {
        Arrays {
            pool: [
                AtomicPtr::new(ptr::null_mut()), AtomicPtr::new(ptr::null_mut()), AtomicPtr::new(ptr::null_mut()),
                AtomicPtr::new(ptr::null_mut()), AtomicPtr::new(ptr::null_mut()), AtomicPtr::new(ptr::null_mut()),
                AtomicPtr::new(ptr::null_mut()), AtomicPtr::new(ptr::null_mut()), AtomicPtr::new(ptr::null_mut()),
                AtomicPtr::new(ptr::null_mut()), AtomicPtr::new(ptr::null_mut()), AtomicPtr::new(ptr::null_mut()),
            ],
            kernel: AtomicPtr::new(ptr::null_mut()),
            live: AtomicPtr::new(ptr::null_mut()),
            clock: AtomicUsize::new(0),
        }
    }
}

/// The array behind a word.
fn array_at(word: &AtomicPtr<Array>) -> Option<&Array> {
    // SAFETY: Y1: null, or an array, which stays (L4).
    unsafe { sync::own(word).as_ref() }
}

impl Arrays {
    fn words(&self) -> impl Iterator<Item = &AtomicPtr<Array>> {
        self.pool.iter().chain([&self.kernel])
    }

    fn all(&self) -> impl Iterator<Item = &Array> {
        self.words().filter_map(array_at)
    }

    /// The array that holds a list which starts at `first`. One that the program has written past the end of, or of which a change was
    /// broken off, is let go: nothing more is known of the list.
    pub(crate) fn holding(&self, first: *const Slot) -> Option<&Array> {
        // Each word is loaded once: a child of a signal handler may return into this, to whom it is another one.
        if let Some(array) = array_at(&self.live).filter(|array| array.holds(first) && array.is_sound()) {
            return Some(array);
        }
        let holding = |word| array_at(word).filter(|array| array.holds(first)).map(|array| (word, array));
        let (word, array) = self.words().find_map(holding)?;
        if array.is_sound() {
            return Some(array);
        }
        // Relaxed, here and below: only the lock's holders use it.
        word.store(ptr::null_mut(), Ordering::Relaxed);
        None
    }

    /// The array that was live last, if it is sound.
    pub(crate) fn latest(&self) -> Option<&Array> {
        array_at(&self.live).filter(|array| array.is_sound())
    }

    /// Notes that `array` is live from now on, or again.
    pub(crate) fn is_live(&self, array: &Array) {
        // Relaxed, here and below: only the lock's holders use it.
        self.live.store(ptr::from_ref(array).cast_mut(), Ordering::Relaxed);
        let now = sync::own_count(&self.clock);
        if array.live_at.get() != now || now == 0 {
            self.clock.store(now + 1, Ordering::Relaxed);
            array.live_at.set(now + 1);
        }
        array.assigned_away.set(false);
    }

    /// This string is the program's from now on, whose name has that hash: in every list that may come back, or tell what is known of it.
    pub(crate) fn give_back(&self, string: *mut c_char, hash: u32) {
        self.all().filter(|array| array.is_sound()).for_each(|array| array.give_back(string, hash));
    }

    /// The header of the kernel's list, if it was changed.
    pub(crate) fn kernel(&self) -> Option<&Array> {
        array_at(&self.kernel).filter(|array| array.is_sound())
    }

    /// This is the header of the kernel's list.
    pub(crate) fn set_kernel(&self, array: &Array) {
        // Relaxed: as in `is_live`.
        self.kernel.store(ptr::from_ref(array).cast_mut(), Ordering::Relaxed);
    }

    /// An array for a list of `len` entries that has room for more, neither live nor the one that was live last. `limit` is asked for
    /// a new one, for [`Hints::new`](crate::hints::Hints::new); `fits` is asked of one that was in use.
    pub(crate) fn next(
        &self,
        strings: &Strings,
        limit: impl Fn() -> usize,
        len: usize,
        fits: impl Fn(&Array) -> bool,
    ) -> Result<&Array, Stop> {
        let newest = array_at(&self.live).map(ptr::from_ref);
        let is_large = |array: &Array| array.capacity() > len + 1;
        // Of those large enough that we left ourselves: the oldest one, and how many there are. Places without an array, and with one too small.
        let (mut mine, mut count) = (None::<(&AtomicPtr<Array>, &Array)>, 0);
        let (mut empty, mut small, mut small_and_assigned) = (None, None, None);
        for word in &self.pool {
            let Some(array) = array_at(word).filter(|array| array.is_sound()) else {
                empty = Some(word);
                continue;
            };
            if Some(ptr::from_ref(array)) == newest {
                continue;
            }
            match (is_large(array), array.assigned_away.get()) {
                (true, true) => {}
                (true, false) => {
                    count += 1;
                    if mine.is_none_or(|(_, oldest)| array.live_at.get() < oldest.live_at.get()) {
                        mine = Some((word, array));
                    }
                }
                (false, false) => small = Some(word),
                (false, true) => small_and_assigned = Some(word),
            }
        }
        // Those we left ourselves, the oldest one first, if there are enough; otherwise a new one, as long as there is a place for it.
        if let Some(place) = mine.filter(|(_, array)| array.live_at.get() == 0 || count + 1 >= TURN) {
            return self.used(place, strings, limit, len, fits);
        }
        if let Some(word) = empty.or(small).or(small_and_assigned) {
            return self.fresh(word, strings, limit, len);
        }
        // One of the lists that the program left goes: neither one of the last few, which may be saved inside of each other, nor, as long as
        // there are others, the oldest one, which a program keeps that saves it and assigns others over and over.
        // (All are sound: one that is not leaves an empty place.)
        let assigned = || {
            let all = self.pool.iter().filter_map(|word| array_at(word).map(|array| (word, array)));
            all.filter(|&(_, array)| {
                Some(ptr::from_ref(array)) != newest && is_large(array) && array.assigned_away.get()
            })
        };
        let newer =
            |array: &Array| assigned().filter(|(_, other)| other.live_at.get() > array.live_at.get()).count();
        let deep = DEEP.min(assigned().count().saturating_sub(1));
        let place = assigned().find(|(_, array)| newer(array) == deep).or(mine);
        self.used(place.ok_or(Stop::Memory(usize::MAX))?, strings, limit, len, fits)
    }

    /// An array that was in use, a sound one, if the list in it leaves room; otherwise a new one in its place.
    #[inline(never)]
    fn used<'a>(
        &'a self,
        (word, array): (&AtomicPtr<Array>, &'a Array),
        strings: &Strings,
        limit: impl Fn() -> usize,
        len: usize,
        fits: impl Fn(&Array) -> bool,
    ) -> Result<&'a Array, Stop> {
        if fits(array) { Ok(array) } else { self.fresh(word, strings, limit, len) }
    }

    /// A new array, larger than every one that is too small for this list.
    #[cold]
    #[inline(never)]
    fn fresh<'a>(
        &self,
        word: &AtomicPtr<Array>,
        strings: &Strings,
        limit: impl Fn() -> usize,
        len: usize,
    ) -> Result<&'a Array, Stop> {
        let too_large = Stop::Memory(usize::MAX);
        let room = (len + 1).max(MIN_ROOM);
        let capacity =
            len.checked_add(room).and_then(|sum| sum.checked_add(1)).ok_or(too_large)?.max(MIN_SLOTS);
        let bytes = Array::bytes(capacity, true).ok_or(too_large)?;
        let at = strings.take(bytes, align_of::<Array>())?;
        // SAFETY: K1; `take` gave `bytes` bytes, aligned.
        let array = unsafe { Array::place(at, capacity, limit()) };
        sync::wrote(array.hints());
        // Relaxed: only the lock's holders use it.
        word.store(ptr::from_ref(array).cast_mut(), Ordering::Relaxed);
        Ok(array)
    }

    /// Forgets all of them. In a child that was forked in the middle of a change.
    pub(crate) fn forget(&self) {
        // Relaxed: as in `is_live`.
        self.words().chain([&self.live]).for_each(|word| word.store(ptr::null_mut(), Ordering::Relaxed));
    }
}

#[cfg(all(test, not(loom)))]
mod tests;
