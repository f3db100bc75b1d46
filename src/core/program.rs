//! Changes in a list that the program made and assigned to `environ`, in a process that never had a second thread: there we do what libc does.
//!
//! The program counts it, appends to it, gives it to `realloc`, frees its strings. So a value is replaced in place, by a string from
//! `malloc`; a removal closes the gap downwards; `environ` stays. Readers in such a list have libc's promise, not ours. An addition adopts the
//! list (`adopt`), as libc copies it then; so does any change of a list that is constant, since a store would kill the program.

use crate::entry::{self, Key};
use crate::error::{Error, Moved, Stop};
use crate::slot::{Head, Slot, slots};
use crate::sync::{self, AtomicPtr, AtomicUsize, Ordering, const_new};
use core::cell::Cell;
use core::ffi::c_char;
use core::ptr::{self, NonNull};

/// Values replaced in such lists before they are adopted instead: each takes memory that only the program can free. Programs that set a few
/// variables in lists of theirs stay far below.
const MOST: usize = if cfg!(loom) { 2 } else { 4096 };

/// The list that was changed last; all zero at first. Only under the update lock.
#[derive(Debug)]
pub(crate) struct Program {
    list: AtomicPtr<Slot>,
    /// A slot of it, if all from its page to the list's last one can be written, or null.
    asked: AtomicPtr<Slot>,
    /// Values replaced in such lists.
    replaced: AtomicUsize,
}

/// Bytes of the smallest pages that Linux has.
const PAGE: usize = 4096;

const_new! {
    Program,
    pub(crate) fn new() -> Program {
        Program {
            list: AtomicPtr::new(ptr::null_mut()),
            asked: AtomicPtr::new(ptr::null_mut()),
            replaced: AtomicUsize::new(0),
        }
    }
}

/// The string that a value is replaced with, from `malloc`, until it is in a list.
#[derive(Debug, Default)]
pub(crate) struct Text(Cell<Option<NonNull<u8>>>);

impl Text {
    /// Writes `NAME=VALUE` into fresh memory. Not under the update lock: `malloc` may call back.
    pub(crate) fn compose(&self, name: &[u8], value: &[u8]) -> Result<(), Error> {
        let bytes = entry::size(name, value).ok_or(Error::OutOfMemory)?;
        let at = sync::from_malloc(bytes).ok_or(Error::OutOfMemory)?;
        // SAFETY: `bytes` bytes, fresh.
        unsafe { entry::compose(at.as_ptr(), name, value) };
        sync::wrote(at.as_ptr());
        self.0.set(Some(at));
        Ok(())
    }

    pub(crate) fn take(&self) -> Option<*mut c_char> {
        self.0.take().map(|at| at.as_ptr().cast())
    }
}

impl Drop for Text {
    fn drop(&mut self) {
        if let Some(at) = self.0.take() {
            // SAFETY: made by `compose`, and in no list.
            unsafe { sync::to_malloc(at) };
        }
    }
}

impl Program {
    /// True if the list at `first` may be changed where it is, from `slot` on. Asks the kernel once per list, and for each of its pages.
    ///
    /// # Safety
    /// - `slot` is a slot of the proper list at `first`.
    pub(crate) unsafe fn may_change(&self, first: *const Slot, slot: *const Slot) -> bool {
        if sync::own_count(&self.replaced) >= MOST {
            return false;
        }
        let page = |slot: *const Slot| slot.addr() / PAGE;
        let asked = sync::own(&self.asked).cast_const();
        if ptr::eq(sync::own(&self.list), first) {
            if !asked.is_null() && page(asked) <= page(slot) {
                return true;
            }
        } else {
            // Relaxed, here and below: only the lock's holders use it.
            self.list.store(first.cast_mut(), Ordering::Relaxed);
        }
        // What lies on our stack can be written; not everybody may be asked (sandboxes).
        let (here, top) = (ptr::from_ref(&first).addr(), sync::initial_strings().start);
        // SAFETY: the caller's promise.
        let mut pages = unsafe { slots(slot) }.map(|(slot, _)| slot);
        let mut at = slot;
        while !(here..top).contains(&first.addr()) {
            if sync::is_constant(at) {
                // Relaxed, and below: only the lock's holders use it.
                self.asked.store(ptr::null_mut(), Ordering::Relaxed);
                return false;
            }
            match pages.find(|&slot| page(slot) != page(at)) {
                Some(next) => at = next,
                None => break,
            }
        }
        self.asked.store(slot.cast_mut(), Ordering::Relaxed);
        true
    }

    /// Replaces the first entry of that name in the list at `list`; the others go. The string is `text`, or one of the caller's.
    ///
    /// # Safety
    /// - the list is a proper one that can be written; `slot` is its first of that name.
    pub(crate) unsafe fn replace(
        &self,
        head: &Head,
        list: *const Slot,
        key: Key<'_>,
        slot: *const Slot,
        text: &Text,
        string: Option<*mut c_char>,
    ) -> Result<(), Stop> {
        let string = match string {
            Some(string) => string,
            None => text.take().ok_or(Stop::Text)?,
        };
        // Relaxed: only the lock's holders use it.
        self.replaced.store(sync::own_count(&self.replaced) + 1, Ordering::Relaxed);
        // SAFETY: the caller's promise; L1: an entry is there, so a slot follows.
        unsafe {
            (*slot).store(string);
            close_gaps(slot.add(1), key);
        }
        still(head, list)
    }

    /// Removes all entries of that name, of which `slot` holds the first.
    ///
    /// # Safety
    /// - as for [`replace`](Self::replace).
    pub(crate) unsafe fn remove(
        &self,
        head: &Head,
        list: *const Slot,
        key: Key<'_>,
        slot: *const Slot,
    ) -> Result<(), Stop> {
        // SAFETY: the caller's promise.
        unsafe { close_gaps(slot, key) };
        still(head, list)
    }
}

/// The change counts if the list is still the environment: a child may have copied it in the middle of it.
fn still(head: &Head, list: *const Slot) -> Result<(), Stop> {
    if ptr::eq(head.load(), list) { Ok(()) } else { Err(Moved.into()) }
}

/// The first entry of that name in the list at `first`.
///
/// # Safety
/// - `first` is null or points into a proper list.
#[inline(never)]
pub(crate) unsafe fn find(first: *const Slot, key: Key<'_>) -> Option<(*const Slot, *mut c_char)> {
    // SAFETY: the caller's promise; L2, L4.
    unsafe { slots(first).next_named(key.wanted()) }.map(|(slot, entry, _)| (slot, entry))
}

/// Removes all entries of that name from `from` on, each time moving what follows down by one.
///
/// # Safety
/// - `from` points into a proper list that can be written.
unsafe fn close_gaps(from: *const Slot, key: Key<'_>) {
    let (mut to, wanted) = (from, key.wanted());
    // SAFETY: the caller's promise: slots of the list, up to its terminator; `to` stays at or below them. L2, L4.
    unsafe {
        for (slot, entry) in slots(from) {
            if wanted.value_in(entry).is_some() {
                continue;
            }
            if !ptr::eq(to, slot) {
                (*to).store(entry);
            }
            to = to.add(1);
        }
        if !(*to).load().is_null() {
            (*to).store(ptr::null_mut());
        }
    }
}

#[cfg(all(test, target_env = "gnu", not(any(loom, miri))))]
impl Text {
    /// Where it is, if there is one.
    pub(crate) fn peek(&self) -> Option<NonNull<u8>> {
        self.0.get()
    }
}
