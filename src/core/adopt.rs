//! Taking over a list that is not ours: the kernel's at first, or what the program assigned to `environ`.
//!
//! The list is only read: it may be constant, on a stack, or freed later. Its entries, the first of each name, are brought into
//! an array of ours, and the head is moved there.
//!
//! If the array we published last is large enough, it is used again, and so a program that assigns `environ` in a loop does not
//! cost an array per round. Readers may still be in that array. So it is not overwritten: the list in it is *edited* into the
//! new one by the ordinary moves of [`list`](crate::list), while the head points elsewhere. A variable that is in both lists is
//! found by such a reader as it is beside any other writer.

use crate::entry::{self, HASH};
use crate::hints::{Hint, Hints};
use crate::inherited;
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

    // Twice what is needed, terminator included: growth that comes at once would copy again. (So also more than twice the array
    // that did not fit.)
    let fits = |capacity: usize| capacity > theirs.len + 1;
    let array = match store.array() {
        Some(array) if fits(array.capacity()) => array,
        _ => store.new_array(MIN_SLOTS.max(theirs.room()?))?,
    };
    // SAFETY: the lock is held; the head does not point into `array`: it would not be adopted.
    let mut ours = unsafe { Editor::private(head, array) };
    bring(store, &mut ours, &theirs, None)?;
    ours.publish(first)?;
    Ok(ours)
}

/// Edits `ours`, a private list in an array large enough, into `theirs`. Readers may still be in it: ordinary moves only. Under
/// the update lock. Compares about as many hashes as the square of the number of entries, 64 at a time, and few names.
///
/// What is in `ours` was in the environment once. A string of somebody else's may have been freed since, so it is looked at
/// only if it is in their list, too. Otherwise the note on its slot tells the hash of its name, and an entry of theirs with that hash
/// takes its place (with another name, if two names have one hash: then it is as good a place as any). What the program itself
/// stored into our array has no note, and goes.
/// `hints` are those of the array that their list is in, if that is ours.
pub(crate) fn bring(
    store: &Store,
    ours: &mut Editor<'_>,
    theirs: &Theirs,
    hints: Option<&Hints>,
) -> Result<(), Stop> {
    let (len, keep) = (theirs.len, &store.keep);
    // SAFETY: a proper list of that length.
    let initial = unsafe { store.inherited.strings(theirs.first, len) };
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
        let hash = match found {
            Some(i) => their_hashes[i].get(),
            None if keep.owns(entry) => hash_of(entry),
            None => match ours.list.noted(ours.list.index(slot)) {
                Some(hint) => hint.hash | UNREAD,
                None => {
                    ours.remove(slot)?;
                    continue;
                }
            },
        };
        ours.hash(slot).set(hash);
    }

    // 1. Entries that are not in their list go, and duplicates. From then on ours is at most as long as theirs. Upwards: what
    // takes the place of an entry was looked at before, and is the only one of its name up to there.
    // mutant survives: after step 2 the same entries go; only there may be no room for it then (`what_goes_makes_room`)
    for (slot, entry) in ours.list.slots() {
        let hash = ours.hash(slot).get();
        let stays = if hash & UNREAD == 0 {
            theirs.has(entry, hash, len) && ours.twin(entry, hash) == Some(slot)
        } else {
            equal(their_hashes, hash & HASH).next().is_some() && ours.first_of(hash & HASH) == Some(slot)
        };
        if !stays {
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
        // SAFETY: an entry of a proper list.
        let made = || keep.made(entry) || unsafe { inherited::is_fixed(&initial, entry) };
        let fixed = hints.and_then(|hints| hints.knows(theirs.theirs.slot(i), entry)).unwrap_or_else(made);
        let hint = Hint { hash, fixed };
        match ours.twin(entry, hash) {
            Some(slot) => {
                ours.list.replace(slot, entry, Some(hint));
                ours.hash(slot).set(hash);
            }
            None if ours.list.room() > 0 => ours.add(entry, hint)?,
            // Only if the owner of a string renamed it since step 1.
            None => return Err(Stop::Moved),
        }
    }

    // 3. What is still unread had the hash of a name in their list, but another name.
    for (slot, _) in ours.list.slots() {
        if ours.hash(slot).get() & UNREAD != 0 {
            ours.remove(slot)?;
        }
    }
    Ok(())
}

/// Beside the hash of what is in a slot: it came from the note, the entry must not be looked at.
const UNREAD: u32 = 1 << 31;

/// The hash of an entry's name, or of no name.
fn hash_of(entry: *const c_char) -> u32 {
    // SAFETY: entries of proper lists.
    unsafe { entry::name_hash(entry) }
}

/// The numbers below `hashes.len()` whose hash is `hash`, read or unread.
fn equal(hashes: &[Cell<u32>], hash: u32) -> impl Iterator<Item = usize> {
    const STEP: usize = 64; // a length that compilers turn into a few wide comparisons
    let same = move |other: &Cell<u32>| other.get() & HASH == hash;
    let steps = hashes.chunks(STEP).enumerate();
    let hits = steps.filter(move |(_, step)| step.iter().fold(false, |any, other| any | same(other)));
    hits.flat_map(|(i, step)| (i * STEP..).zip(step)).filter(move |(_, other)| same(other)).map(|(i, _)| i)
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

    fn slot(&self, i: usize) -> *const Slot {
        self.first.wrapping_add(i)
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

    /// The slots of the list that hold `hash`. (What lies behind the list, in the last slot, holds nothing.)
    fn holding(&self, hash: u32) -> impl Iterator<Item = (*const Slot, *mut c_char)> {
        let first = self.list.room();
        let slots = equal(&self.hashes[first..], hash).map(move |i| self.list.slot(first + i));
        slots.filter(|(_, entry)| !entry.is_null())
    }

    fn first_of(&self, hash: u32) -> Option<*const Slot> {
        self.holding(hash).next().map(|(slot, _)| slot)
    }

    /// The first slot with the name of `entry`, whose hash is `hash`; if there is none, one that is unread, of which the hash decides.
    fn twin(&self, entry: *const c_char, hash: u32) -> Option<*const Slot> {
        let unread = |slot: *const Slot| self.hash(slot).get() & UNREAD != 0;
        // SAFETY: what is not unread is an entry of theirs, or ours for ever.
        let same = |other| unsafe { entry::same_name(other, entry) };
        let mut named = self.holding(hash).filter(|&(slot, other)| !unread(slot) && same(other));
        let mut others = self.holding(hash).filter(|&(slot, _)| unread(slot));
        named.next().or_else(|| others.next()).map(|(slot, _)| slot)
    }

    fn remove(&mut self, slot: *const Slot) -> Result<(), Moved> {
        self.hash(slot).set(self.hashes[self.list.room()].get()); // of what takes its place
        self.list.remove(slot)?;
        Ok(())
    }

    fn add(&mut self, entry: *mut c_char, hint: Hint) -> Result<(), Moved> {
        self.list.add(entry, Some(hint))?;
        self.hashes[self.list.room()].set(hint.hash);
        Ok(())
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;
    use crate::hints::GROUP;
    use crate::list::tests::{entries, foreign, store_at};
    use core::ffi::CStr;
    use std::ffi::CString;
    use std::format;
    use std::vec::Vec;

    struct Env {
        head: Head,
        store: Store,
    }

    impl Env {
        fn of(list: &[&CStr]) -> Env {
            let env = Env { head: Head::new(), store: Store::new() };
            env.assign(list);
            env
        }

        fn assign(&self, list: &[&CStr]) {
            // SAFETY: a proper list that is never freed.
            unsafe { self.head.assign(foreign(list)) };
        }

        fn set(&self, name: &str, value: &str) {
            // SAFETY: proper lists throughout.
            unsafe { self.store.set(&self.head, name.as_bytes(), value.as_bytes(), true) }.unwrap();
        }
    }

    #[test]
    fn the_order_stays_and_the_first_of_each_name() {
        let env = Env::of(&[c"A=1", c"B=1", c"A=2", c"C=1", c"B=2"]);
        env.set("D", "1");
        assert_eq!(entries(&env.head), ["D=1", "A=1", "B=1", "C=1"]);
    }

    #[test]
    fn entries_without_a_name_are_carried_along() {
        let env = Env::of(&[c"JUNK", c"", c"A=1", c"=x", c"JUNK"]);
        env.set("A", "2");
        assert_eq!(entries(&env.head), ["JUNK", "", "A=2", "=x", "JUNK"]);
    }

    #[test]
    fn their_list_is_only_read() {
        let env = Env::of(&[c"A=1", c"B=1", c"A=2"]);
        let theirs = env.head.load();
        env.set("B", "2");
        env.set("C", "2");
        let stale = Head::new();
        // SAFETY: never freed.
        unsafe { stale.assign(theirs) };
        assert_eq!(entries(&stale), ["A=1", "B=1", "A=2"]);
        assert_ne!(env.head.load(), theirs);
    }

    #[test]
    fn an_empty_list_and_none_at_all() {
        for list in [Head::new(), Env::of(&[]).head] {
            let env = Env { head: list, store: Store::new() };
            env.set("A", "1");
            assert_eq!(entries(&env.head), ["A=1"]);
            // Room for growth, not only for the one.
            assert_eq!(env.store.array().unwrap().capacity(), MIN_SLOTS);
        }
    }

    /// Our array, edited from what was in it last to what the program assigned.
    #[test]
    fn our_array_is_used_again() {
        let env = Env::of(&[c"A=1", c"B=1", c"C=1"]);
        env.set("D", "1");
        let array = env.store.array().unwrap();
        for round in 0..1_000 {
            let (a, e) = (CString::new(format!("A={}", round % 7)), CString::new(format!("E={}", round % 5)));
            let (a, e) = (a.unwrap(), e.unwrap());
            env.assign(&[&e, c"C=2", &a, c"E=9"]);
            env.set("F", "1");
            let mut found = entries(&env.head);
            found.sort();
            let (a, e) = (a.to_str().unwrap(), e.to_str().unwrap());
            assert_eq!(found, [a, "C=2", e, "F=1"]);
            assert!(core::ptr::eq(env.store.array().unwrap(), array) && array.holds(env.head.load()));
        }
    }

    /// What is in both lists stays in its slot: a reader in our array finds it there.
    #[test]
    fn what_both_lists_have_stays_where_it_is() {
        let env = Env::of(&[]);
        for name in ["A", "B", "C", "D", "E"] {
            env.set(name, "1");
        }
        env.assign(&[c"D=2", c"C=2", c"A=2", c"F=2"]);
        env.set("G", "2");
        // E was first and went; B's slot was taken by what was first then.
        assert_eq!(entries(&env.head), ["G=2", "F=2", "C=2", "D=2", "A=2"]);
    }

    /// A string of somebody else's that is not in their list any more may have been freed.
    #[test]
    fn a_string_that_left_is_not_looked_at() {
        let env = Env::of(&[]);
        env.set("A", "1");
        env.assign(&[c"B=1", c"C=1"]);
        env.set("D", "1");
        // SAFETY: in the place of a freed string: an address that cannot be read.
        unsafe { env.head.load().add(1).cast_mut().cast::<usize>().write(1) };
        env.assign(&[c"C=1"]);
        env.set("E", "1");
        assert_eq!(entries(&env.head), ["E=1", "C=1"]);
    }

    /// Duplicates that the program stored into our array do not come back, nor does what it cut off.
    #[test]
    fn what_the_program_did_to_our_array_is_cleaned_up() {
        let env = Env::of(&[c"A=1", c"B=1", c"C=1", c"D=1"]);
        env.set("E", "1");
        store_at(&env.head, 1, Some(c"B=0"));
        store_at(&env.head, 3, Some(c"E=0"));
        store_at(&env.head, 4, None);
        env.assign(&[c"E=5", c"B=5"]);
        env.set("F", "1");
        let mut found = entries(&env.head);
        found.sort();
        assert_eq!(found, ["B=5", "E=5", "F=1"]);
    }

    /// A gap takes the room that the assigned list needs.
    #[test]
    fn a_gap_in_our_array_is_closed() {
        let env = Env::of(&[]);
        for i in 0..MIN_SLOTS - 1 {
            env.set(&format!("N{i}"), "1");
        }
        assert_eq!(env.store.array().unwrap().capacity(), MIN_SLOTS);
        store_at(&env.head, 1, None);
        let list: Vec<CString> = (0..100).map(|i| CString::new(format!("M{i}=1")).unwrap()).collect();
        env.assign(&list.iter().map(CString::as_c_str).collect::<Vec<_>>());
        env.set("F", "1");
        assert_eq!(entries(&env.head).len(), 101);
        assert_eq!(env.store.array().unwrap().capacity(), MIN_SLOTS);
    }

    #[test]
    fn what_goes_makes_room() {
        let env = Env::of(&[]);
        for i in 0..100 {
            env.set(&format!("N{i}"), "1");
        }
        let list: Vec<CString> = (0..100).map(|i| CString::new(format!("M{i}=1")).unwrap()).collect();
        env.assign(&list.iter().map(CString::as_c_str).collect::<Vec<_>>());
        env.set("F", "1");
        assert_eq!((entries(&env.head).len(), env.store.array().unwrap().capacity()), (101, MIN_SLOTS));
    }

    /// An array is used again for a list that leaves at least one slot free besides the terminator.
    #[test]
    fn a_list_too_long_gets_a_larger_array() {
        let list: Vec<CString> =
            (0..3 * MIN_SLOTS).map(|i| CString::new(format!("N{i}=1")).unwrap()).collect();
        let list: Vec<&CStr> = list.iter().map(CString::as_c_str).collect();
        let after = |first: usize, second: usize| {
            let env = Env::of(&list[..first]);
            env.set("X", "1");
            let before = env.store.array().unwrap().capacity();
            env.assign(&list[..second]);
            env.set("Y", "1");
            assert_eq!(entries(&env.head).len(), second + 1);
            (before, env.store.array().unwrap().capacity())
        };
        let rounded = |slots: usize| slots.next_multiple_of(GROUP);
        assert_eq!(after(0, MIN_SLOTS - 2), (MIN_SLOTS, MIN_SLOTS));
        assert_eq!(after(0, MIN_SLOTS - 1), (MIN_SLOTS, rounded(2 * (MIN_SLOTS + 1))));
        let large = rounded(2 * (3 * MIN_SLOTS + 2));
        assert_eq!(after(0, 3 * MIN_SLOTS), (MIN_SLOTS, large));
        assert_eq!(after(MIN_SLOTS, 3 * MIN_SLOTS).1, large);
        let half = rounded(2 * (2 * MIN_SLOTS + 2));
        assert_eq!(after(2 * MIN_SLOTS, 3 * MIN_SLOTS), (half, half));
    }
}
