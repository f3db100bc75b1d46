//! Changes to the environment: set, put, unset, clear, one at a time.
//!
//! Each change looks first without the lock, and is done if there is nothing to do. Otherwise it takes the lock, brings
//! `environ` into an array of ours ([`adopt`](crate::adopt)), looks, and changes. The lock is never held over an allocation or
//! anything else that might call back: memory that is missing is mapped after the lock is given back, and then *everything* is
//! looked up again. Nothing found without the lock is used under it, so no generation has to be compared.
//!
//! A change counts only if, when it is done, the head still points into the array that was changed. If not, the program
//! assigned `environ` meanwhile (or the process was forked by a handler that interrupted us: see `process`), and the change,
//! which can be repeated without harm, starts over on the new list.
//!
//! Errors leave the list as it was: a change takes all the memory it needs before its first store to the list.

use crate::adopt;
use crate::batch::Batches;
use crate::entry::{self, Wanted};
use crate::error::Error;
use crate::keep::Keep;
use crate::list::{Array, Editor, Head, Moved, Slot, slots};
use crate::lock::Lock;
use crate::sync::{self, AtomicPtr, Ordering, const_new};
use core::ffi::c_char;
use core::ptr;

/// Slots of the smallest array. Source: illumos `MIN_ENV_SIZE`.
pub(crate) const MIN_SLOTS: usize = if cfg!(loom) { 3 } else { 128 };

/// What writers share: the lock and what it protects. All zero at first; see `process` for where it lives.
#[derive(Debug)]
pub struct Store {
    lock: Lock,
    /// The array of ours that was published last, or null.
    array: AtomicPtr<Array>,
    pub(crate) keep: Keep,
    pub(crate) batch: Batches,
}

/// Why a change could not be made just now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Stop {
    /// The head was moved by the program.
    Moved,
    /// So many bytes are missing; nothing was changed.
    Memory(usize),
}

impl From<Moved> for Stop {
    fn from(_: Moved) -> Stop {
        Stop::Moved
    }
}

// SAFETY: the cells behind the pointers are touched only under the lock.
unsafe impl Send for Store {}
// SAFETY: as above.
unsafe impl Sync for Store {}

/// Gives the lock back on every way out.
struct Held<'a>(&'a Lock);

impl Drop for Held<'_> {
    fn drop(&mut self) {
        self.0.release();
    }
}

const_new! {
    Store,
    /// A store that has published nothing yet.
    pub fn new() -> Store {
        Store { lock: Lock::new(), array: AtomicPtr::new(ptr::null_mut()), keep: Keep::new(), batch: Batches::new() }
    }
}

impl Store {
    /// Bytes this process has allocated for entries, arrays and tables, for ever.
    pub fn retained(&self) -> usize {
        self.keep.retained()
    }

    /// Sets `name` to `value`; with `overwrite` false only if it has no value yet. Blocking (one lock), not AS-Safe.
    ///
    /// # Errors
    /// `InvalidName`, `InvalidValue`, `OutOfMemory`; the list is as it was.
    ///
    /// # Safety
    /// - every list that `head` is ever given is a proper one (see `list`), and no change to it is made except through this
    ///   store, or by a program that keeps to the rules for `environ`.
    pub unsafe fn set(&self, head: &Head, name: &[u8], value: &[u8], overwrite: bool) -> Result<(), Error> {
        if !entry::is_name(name) {
            return Err(Error::InvalidName);
        }
        if !entry::is_value(value) {
            return Err(Error::InvalidValue);
        }
        // SAFETY: the caller's promise: a proper list.
        if let Some(old) = unsafe { head.get(name) } {
            // Ours, so nobody edits it, and equal: nothing to do. A string of somebody else's is replaced by a copy of ours.
            // SAFETY: L2, L4: the value of an entry in the list.
            if !overwrite || (self.keep.owns(old) && unsafe { entry::is(old, value) }) {
                return Ok(());
            }
        }
        self.locked(|| {
            // Memory first: without it nothing is adopted either.
            let string = self.keep.string(name, value)?;
            self.edit(head, |list| match first_and_last(list, name) {
                Some(_) if !overwrite => Ok(()),
                _ => self.store(list, name, string),
            })
        })
    }

    /// Makes the caller's string `NAME=VALUE` itself the entry. It stays the caller's: it must live as long as it is in the
    /// list, and what its owner writes into it is seen. Blocking, not AS-Safe.
    ///
    /// # Errors
    /// `InvalidName` if it has no name, `OutOfMemory`; the list is as it was.
    ///
    /// # Safety
    /// - as for [`set`](Self::set); `string` is NUL-terminated, and stays so and readable as long as anybody may read it.
    pub unsafe fn put(&self, head: &Head, string: *mut c_char) -> Result<(), Error> {
        // SAFETY: the caller's promise.
        let name = unsafe { entry::name_of(string) }.ok_or(Error::InvalidName)?;
        self.locked(|| self.edit(head, |list| self.store(list, name, string)))
    }

    /// Removes every entry named `name`; without one it changes nothing. Blocking if there is one, not AS-Safe.
    ///
    /// # Errors
    /// `InvalidName`, `OutOfMemory` (a list that is not ours must be copied first); the list is as it was.
    ///
    /// # Safety
    /// - as for [`set`](Self::set).
    pub unsafe fn unset(&self, head: &Head, name: &[u8]) -> Result<(), Error> {
        if !entry::is_name(name) {
            return Err(Error::InvalidName);
        }
        // SAFETY: the caller's promise: a proper list.
        if unsafe { head.get(name) }.is_none() {
            return Ok(());
        }
        self.locked(|| self.edit(head, |list| Ok(remove_all(list, name)?)))
    }

    /// Publishes an empty list of our own. What it held stays readable for who still reads it. Blocking, not AS-Safe.
    ///
    /// # Errors
    /// `OutOfMemory` if this is the first change ever; the list is as it was.
    ///
    /// # Safety
    /// - as for [`set`](Self::set).
    pub unsafe fn clear(&self, head: &Head) -> Result<(), Error> {
        self.locked(|| {
            let array = match self.array() {
                Some(array) => array,
                None => self.new_array(MIN_SLOTS)?,
            };
            // SAFETY: the lock is held.
            let mut list = match unsafe { Editor::live(head, array) } {
                Some(list) => list,
                None => {
                    let theirs = head.load();
                    // SAFETY: the lock is held.
                    let mut list = unsafe { Editor::private(head, array) };
                    list.clear()?;
                    list.publish(theirs)?;
                    list
                }
            };
            list.clear()?;
            list.forget();
            Ok(())
        })
    }

    /// Fills `entries` with the entries as of one moment and returns how many there are; if that is more than fit, none of them
    /// counts. Blocking (one pass over the pointers under the lock), not AS-Safe.
    ///
    /// # Safety
    /// - as for [`set`](Self::set).
    pub unsafe fn snapshot(&self, head: &Head, entries: &mut [*const c_char]) -> usize {
        self.lock.acquire();
        let _held = Held(&self.lock);
        // SAFETY: the caller's promise: a proper list.
        unsafe { slots(head.load()) }.enumerate().fold(0, |_, (i, (_, entry))| {
            if let Some(place) = entries.get_mut(i) {
                *place = entry;
            }
            i + 1
        })
    }

    /// Runs `step` under the lock until it is done, getting it memory in between.
    pub(crate) fn locked(&self, mut step: impl FnMut() -> Result<(), Stop>) -> Result<(), Error> {
        loop {
            let result = {
                self.lock.acquire();
                let _held = Held(&self.lock);
                step()
            };
            match result {
                Ok(()) => return Ok(()),
                Err(Stop::Moved) => {}
                Err(Stop::Memory(bytes)) => {
                    let fresh = self.keep.map(bytes).ok_or(Error::OutOfMemory)?;
                    self.lock.acquire();
                    let _held = Held(&self.lock);
                    self.keep.link(fresh);
                }
            }
        }
    }

    /// Runs `change` on the list of `head`, brought into an array of ours; it counts if the head still points there afterwards.
    /// Under the lock.
    pub(crate) fn edit<'a>(
        &'a self,
        head: &'a Head,
        change: impl FnOnce(&mut Editor<'a>) -> Result<(), Stop>,
    ) -> Result<(), Stop> {
        // SAFETY: the lock is held.
        let live = self.array().and_then(|array| unsafe { Editor::live(head, array) });
        let mut list = match live {
            Some(list) => list,
            None => adopt::adopt(self, head)?,
        };
        change(&mut list)?;
        if list.is_live() { Ok(()) } else { Err(Stop::Moved) }
    }

    /// Makes `string` the one entry named `name`. Under the lock.
    fn store<'a>(&'a self, list: &mut Editor<'a>, name: &[u8], string: *mut c_char) -> Result<(), Stop> {
        if replace(list, name, string)? {
            return Ok(());
        }
        if list.room() > 0 || list.compact()? && list.room() > 0 {
            return Ok(list.add(string)?);
        }
        let fresh = self.new_array(list.array().capacity() * 2)?;
        Ok(list.grow(fresh, string)?)
    }

    /// The array that was published last. Under the lock.
    pub(crate) fn array(&self) -> Option<&Array> {
        // SAFETY: null or an array of ours, which stays (L4).
        unsafe { sync::own(&self.array).as_ref() }
    }

    /// A new array, which becomes the one to publish from. Under the lock.
    #[cold]
    pub(crate) fn new_array(&self, capacity: usize) -> Result<&Array, Stop> {
        let array = self.keep.array(capacity)?;
        self.publish_from(array);
        Ok(array)
    }

    /// Makes `array` the one to publish from. Under the lock.
    pub(crate) fn publish_from(&self, array: &Array) {
        // Relaxed: only the lock's holders use it. Before it is published: should the head move first, the array is not lost.
        self.array.store(ptr::from_ref(array).cast_mut(), Ordering::Relaxed);
    }
}

/// Makes `string` the one entry named `name`, if there is one already. Under the lock.
pub(crate) fn replace(list: &mut Editor<'_>, name: &[u8], string: *mut c_char) -> Result<bool, Moved> {
    while let Some((first, last)) = first_and_last(list, name) {
        if first == last {
            list.replace(first, string);
            return Ok(true);
        }
        remove(list, last)?; // a duplicate that the program stored
    }
    Ok(false)
}

/// Removes every entry named `name`. The last one first: while one is left, readers find the first, whose value was the
/// variable's. Under the lock.
pub(crate) fn remove_all(list: &mut Editor<'_>, name: &[u8]) -> Result<(), Moved> {
    while let Some((_, last)) = first_and_last(list, name) {
        remove(list, last)?;
    }
    Ok(())
}

/// The first and the last slot of `name`.
pub(crate) fn first_and_last(list: &Editor<'_>, name: &[u8]) -> Option<(*const Slot, *const Slot)> {
    let mut wanted = Wanted::new(name)?;
    // SAFETY: L2, L4: an entry in the list.
    let mut hits = list.slots().filter(|&(_, entry)| unsafe { wanted.value_in(entry) }.is_some());
    let (first, _) = hits.next()?;
    Some((first, hits.last().map_or(first, |(last, _)| last)))
}

/// Removes the entry in `slot`. The first entry takes its place, and must not land behind a duplicate of itself that the program
/// stored: that would change a variable nobody touched. Such duplicates go first.
fn remove(list: &mut Editor<'_>, slot: *const Slot) -> Result<(), Moved> {
    while let Some((first, mover)) = list.slots().next().filter(|&(first, _)| first != slot) {
        // SAFETY: L2, L4: entries in the list.
        let twin =
            list.find(first, |entry| unsafe { entry::same_name(mover, entry) }).filter(|&twin| twin < slot);
        match twin {
            Some(twin) => list.remove(twin)?,
            None => break,
        };
    }
    list.remove(slot)?;
    Ok(())
}
