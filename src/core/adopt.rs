//! Taking over a list that is not ours: the kernel's at first, or what the program assigned to `environ`.
//!
//! The list is only read: it may be constant, on a stack, or freed later. Its entries, the first of each name, are brought into
//! an array of ours, and the head is moved there.
//!
//! If the array we published last is large enough, it is used again, and so a program that assigns `environ` in a loop does not
//! cost an array per round. Readers may still be in that array. So it is not overwritten: the list in it is *edited* into the
//! new one by the ordinary moves of [`list`](crate::list), while the head points elsewhere. A variable that is in both lists is
//! found by such a reader as it is beside any other writer.

use crate::entry;
use crate::list::{Editor, Head, Slot, slots};
use crate::store::{MIN_SLOTS, Stop, Store, remove};
use core::ffi::c_char;
use core::ptr;

/// Moves what `head` points to into an array of ours and publishes it. Under the update lock.
#[cold]
pub(crate) fn adopt<'a>(store: &'a Store, head: &'a Head) -> Result<Editor<'a>, Stop> {
    let first = head.load();
    // SAFETY: the promise of `Store`'s callers: every list that the head is given is a proper one.
    let theirs = Theirs { first, len: unsafe { slots(first) }.count() };

    // Twice what is needed, terminator included: growth that comes at once would copy again.
    let fits = |capacity: usize| capacity > theirs.len + 1;
    let array = match store.array() {
        Some(array) if fits(array.capacity()) => array,
        Some(array) => store.new_array((array.capacity() * 2).max(theirs.room()?))?,
        None => store.new_array(MIN_SLOTS.max(theirs.room()?))?,
    };
    // SAFETY: the lock is held; the head does not point into `array`: it would not be adopted.
    let mut ours = unsafe { Editor::private(head, array) };

    // 1. Entries that are not in their list go, and duplicates. From then on ours is at most as long as theirs.
    // mutant survives: with `compact` first, more entries move up, and as safely
    let mut after = ptr::null();
    while let Some(slot) = stray(&ours, after, &theirs) {
        remove(&mut ours, slot)?;
        // The entry that took the slot was first before it: it was looked at, and so was all up to here.
        after = slot;
    }
    // The slots behind an early end (`environ[i] = NULL`) are needed.
    ours.compact()?;

    // 2. Entries that are only in theirs come, last one first, so that a fresh array has them in their order.
    for i in (0..theirs.len).rev() {
        let Some(entry) = theirs.entry(i) else { continue };
        if theirs.has(entry, i) {
            continue; // only the first of a name
        }
        match twin(&ours, entry) {
            Some(slot) => {
                ours.replace(slot, entry);
            }
            None if ours.room() > 0 => ours.add(entry)?,
            // Only if the owner of a string renamed it since step 1.
            None => return Err(Stop::Moved),
        }
    }
    ours.publish(first)?;
    Ok(ours)
}

/// The first slot of ours with the name of `entry`.
fn twin(ours: &Editor<'_>, entry: *const c_char) -> Option<*const Slot> {
    // SAFETY: entries of proper lists.
    ours.find(ptr::null(), |ours| unsafe { entry::same_name(ours, entry) })
}

/// The first slot of ours above `after` whose entry is not to stay.
fn stray(ours: &Editor<'_>, after: *const Slot, theirs: &Theirs) -> Option<*const Slot> {
    let mut slots = ours.slots().filter(|&(slot, _)| slot > after);
    slots
        .find(|&(slot, entry)| !theirs.has(entry, theirs.len) || twin(ours, entry) != Some(slot))
        .map(|(slot, _)| slot)
}

/// The list to adopt, as long as it was when it was counted. Its owner may shorten it meanwhile.
struct Theirs {
    first: *const Slot,
    len: usize,
}

impl Theirs {
    /// Slots for an array that will hold this list and then grow.
    fn room(&self) -> Result<usize, Stop> {
        self.len.checked_add(2).and_then(|least| least.checked_mul(2)).ok_or(Stop::Memory(usize::MAX))
    }

    fn entry(&self, i: usize) -> Option<*mut c_char> {
        // SAFETY: `i` is less than the length that was counted.
        let entry = unsafe { &*self.first.add(i) }.load();
        (!entry.is_null()).then_some(entry)
    }

    /// True if one of the first `end` entries has the name of `entry`.
    fn has(&self, entry: *const c_char, end: usize) -> bool {
        // SAFETY: entries of proper lists.
        (0..end).any(|i| self.entry(i).is_some_and(|theirs| unsafe { entry::same_name(theirs, entry) }))
    }
}
