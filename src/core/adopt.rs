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

    // Twice what is needed, terminator included: growth that comes at once would copy again. (So also more than twice the array
    // that did not fit.)
    let fits = |capacity: usize| capacity > theirs.len + 1;
    let array = match store.array() {
        Some(array) if fits(array.capacity()) => array,
        _ => store.new_array(MIN_SLOTS.max(theirs.room()?))?,
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

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;
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
        let env = Env::of(&[c"A=1", c"B=1", c"C=1", c"D=1"]);
        env.set("E", "1");
        env.assign(&[c"D=2", c"C=2", c"A=2", c"F=2"]);
        env.set("G", "2");
        // E was first and went; B's slot was taken by what was first then.
        assert_eq!(entries(&env.head), ["G=2", "F=2", "A=2", "C=2", "D=2"]);
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
        assert_eq!(after(0, MIN_SLOTS - 2), (MIN_SLOTS, MIN_SLOTS));
        assert_eq!(after(0, MIN_SLOTS - 1), (MIN_SLOTS, 2 * (MIN_SLOTS + 1)));
        assert_eq!(after(0, 3 * MIN_SLOTS), (MIN_SLOTS, 2 * (3 * MIN_SLOTS + 2)));
        assert_eq!(after(MIN_SLOTS, 3 * MIN_SLOTS).1, 2 * (3 * MIN_SLOTS + 2));
        assert_eq!(after(2 * MIN_SLOTS, 3 * MIN_SLOTS), (4 * MIN_SLOTS + 4, 4 * MIN_SLOTS + 4));
    }
}
