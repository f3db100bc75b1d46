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
use crate::keep::Keep;
use crate::list::{Editor, Head, Moved, Slot, slots};
use crate::store::{MIN_SLOTS, Stop, Store};
use core::cell::Cell;
use core::ffi::c_char;

/// Moves what `head` points to into an array of ours and publishes it. Under the update lock.
#[cold]
pub(crate) fn adopt<'a>(store: &'a Store, head: &'a Head) -> Result<Editor<'a>, Stop> {
    let first = head.load();
    // SAFETY: the promise of `Store`'s callers: every list that the head is given is a proper one.
    let theirs = unsafe { Theirs::new(first) };

    // Twice what is needed, terminator included: growth that comes at once would copy again.
    let fits = |capacity: usize| capacity > theirs.len + 1;
    let array = match store.array() {
        Some(array) if fits(array.capacity()) => array,
        Some(array) => store.new_array((array.capacity() * 2).max(theirs.room()?))?,
        None => store.new_array(MIN_SLOTS.max(theirs.room()?))?,
    };
    // SAFETY: the lock is held; the head does not point into `array`: it would not be adopted.
    let mut ours = unsafe { Editor::private(head, array) };
    bring(&store.keep, &mut ours, &theirs)?;
    ours.publish(first)?;
    Ok(ours)
}

/// Edits `ours`, a private list in an array large enough, into `theirs`. Readers may still be in it: ordinary moves only. Under
/// the update lock. Compares about as many hashes as the square of the number of entries, 64 at a time, and few names.
///
/// What is in `ours` was in the environment once. A string of somebody else's may have been freed since, so it is looked at
/// only if it is in their list, too. Otherwise it goes, unread, and that is the one thing a reader can notice who is still in this
/// array, since before the program assigned `environ`: a variable that both lists hold, each in another string of somebody else's.
pub(crate) fn bring(keep: &Keep, ours: &mut Editor<'_>, theirs: &Theirs) -> Result<(), Stop> {
    let len = theirs.len;
    let (their_hashes, our_hashes) = keep.scratch(len + ours.array().capacity())?.split_at(len);
    let theirs = Hashed { theirs, hashes: their_hashes };
    for (i, hash) in their_hashes.iter().enumerate() {
        hash.set(theirs.theirs.entry(i).map_or(0, |entry| hash_of(entry)));
    }
    // The slots behind an early end (`environ[i] = NULL`) are needed.
    // mutant survives: done after step 1, other entries move up, and as safely
    ours.compact()?;
    let mut ours = Ours { list: ours, hashes: our_hashes };
    let mut place = 0;
    for (slot, entry) in ours.list.slots() {
        // Mostly the next one.
        let found = (place..len).chain(0..place).find(|&i| theirs.theirs.entry(i) == Some(entry));
        place = found.map_or(place, |i| i + 1);
        match found {
            Some(i) => ours.hash(slot).set(their_hashes[i].get()),
            None if keep.owns(entry) => ours.hash(slot).set(hash_of(entry)),
            None => ours.remove(slot)?,
        }
    }

    // 1. Entries that are not in their list go, and duplicates. From then on ours is at most as long as theirs. Upwards: what
    // takes the place of an entry was looked at before, and is the only one of its name up to there.
    for (slot, entry) in ours.list.slots() {
        let hash = ours.hash(slot).get();
        if !theirs.has(entry, hash, len) || ours.twin(entry, hash) != Some(slot) {
            ours.remove(slot)?;
        }
    }

    // 2. Entries that are only in theirs come, last one first, so that a fresh array has them in their order.
    for i in (0..len).rev() {
        let hash = their_hashes[i].get();
        let Some(entry) = theirs.theirs.entry(i) else { continue };
        if theirs.has(entry, hash, i) {
            continue; // only the first of a name
        }
        match ours.twin(entry, hash) {
            Some(slot) => {
                ours.list.replace(slot, entry);
            }
            None if ours.list.room() > 0 => ours.add(entry, hash)?,
            // Only if the owner of a string renamed it since step 1.
            None => return Err(Stop::Moved),
        }
    }
    Ok(())
}

/// The hash of an entry's name, or of no name.
fn hash_of(entry: *const c_char) -> u32 {
    // SAFETY: entries of proper lists.
    entry::hash(&[unsafe { entry::name_of(entry) }.unwrap_or_default()]) as u32
}

/// The numbers below `hashes.len()` whose hash is `hash`.
fn equal(hashes: &[Cell<u32>], hash: u32) -> impl Iterator<Item = usize> {
    const STEP: usize = 64; // a length that compilers turn into a few wide comparisons
    let steps = hashes.chunks(STEP).enumerate();
    let hits =
        steps.filter(move |(_, step)| step.iter().fold(false, |any, other| any | (other.get() == hash)));
    hits.flat_map(|(i, step)| (i * STEP..).zip(step))
        .filter(move |(_, other)| other.get() == hash)
        .map(|(i, _)| i)
}

/// The list to adopt, as long as it was when it was counted. Its owner may shorten it meanwhile.
pub(crate) struct Theirs {
    first: *const Slot,
    pub(crate) len: usize,
}

impl Theirs {
    /// The list that starts at `first`.
    ///
    /// # Safety
    /// - `first` is null or points into a proper list, which stays while this is used.
    pub(crate) unsafe fn new(first: *const Slot) -> Theirs {
        // SAFETY: the caller's promise.
        Theirs { first, len: unsafe { slots(first) }.count() }
    }

    /// Slots for an array that will hold this list and then grow.
    fn room(&self) -> Result<usize, Stop> {
        self.len.checked_add(2).and_then(|least| least.checked_mul(2)).ok_or(Stop::Memory(usize::MAX))
    }

    fn entry(&self, i: usize) -> Option<*mut c_char> {
        // SAFETY: `i` is less than the length that was counted.
        let entry = unsafe { &*self.first.add(i) }.load();
        (!entry.is_null()).then_some(entry)
    }
}

/// The list to adopt, with the hash of each entry's name.
struct Hashed<'a> {
    theirs: &'a Theirs,
    hashes: &'a [Cell<u32>],
}

impl Hashed<'_> {
    /// True if one of the first `end` entries has the name of `entry`, whose hash is `hash`.
    fn has(&self, entry: *const c_char, hash: u32, end: usize) -> bool {
        equal(&self.hashes[..end], hash).any(|i| {
            // SAFETY: entries of proper lists.
            self.theirs.entry(i).is_some_and(|theirs| unsafe { entry::same_name(theirs, entry) })
        })
    }
}

/// The list that becomes theirs, with the hash of the name in each slot of the array.
struct Ours<'a, 'b> {
    list: &'a mut Editor<'b>,
    hashes: &'a [Cell<u32>],
}

impl<'a> Ours<'a, '_> {
    fn hash(&self, slot: *const Slot) -> &'a Cell<u32> {
        &self.hashes[self.list.index(slot)]
    }

    /// The first slot with the name of `entry`, whose hash is `hash`.
    fn twin(&self, entry: *const c_char, hash: u32) -> Option<*const Slot> {
        let first = self.list.room();
        equal(&self.hashes[first..], hash).find_map(|i| {
            let (slot, other) = self.list.slot(first + i);
            // SAFETY: entries of proper lists.
            (!other.is_null() && unsafe { entry::same_name(other, entry) }).then_some(slot)
        })
    }

    fn remove(&mut self, slot: *const Slot) -> Result<(), Moved> {
        self.hash(slot).set(self.hashes[self.list.room()].get()); // of what takes its place
        self.list.remove(slot)?;
        Ok(())
    }

    fn add(&mut self, entry: *mut c_char, hash: u32) -> Result<(), Moved> {
        self.list.add(entry)?;
        self.hashes[self.list.room()].set(hash);
        Ok(())
    }
}
