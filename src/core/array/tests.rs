//! What an array knows of itself, counted again.

use super::*;
use crate::entry::Key;
use crate::testing::strings;
use crate::text::{Keyed, Keys};
use std::alloc::{Layout as Memory, alloc_zeroed};
use std::ffi::CStr;

impl Array {
    /// Fails unless what is counted and noted is so, for an array into which the program itself has not stored. `is_fixed` tells whose strings
    /// they are.
    pub(crate) fn assert_in_order(&self, is_fixed: impl Fn(*mut c_char) -> bool, keys: Keyed) {
        let (first, capacity) = (self.index(self.first.get()), self.capacity);
        let entry = |i: usize| self.slot(i).own();
        let end = (first..capacity).find(|&i| entry(i).is_null()).expect("a null at the end (L1)");
        assert_eq!((self.end(), self.count()), (end, end), "where the list ends");
        assert!(self.is_sound() && entry(capacity - 1).is_null());
        let mut held = [0; 2];
        for i in (0..capacity).filter(|&i| !entry(i).is_null()) {
            let text = crate::testing::text(entry(i));
            let Some(hint) = self.noted(i, entry(i)) else {
                // With one thread the program's list was copied as it is; but of our strings it is known that they are.
                assert!(self.may_repeat.get() && !is_fixed(entry(i)), "{text} is not noted");
                held[1] += 1;
                continue;
            };
            // SAFETY: the tests' entries are never freed.
            let hash = unsafe { Key::of(entry(i), keys) }.unwrap().hash;
            // Below a list that was emptied is what its owner may have renamed since.
            if hint.fixed || i >= first || !self.stand_in.get().0.is_null() {
                assert_eq!(hint, Hint { hash, fixed: is_fixed(entry(i)) }, "{text} in slot {i}");
                assert_eq!((self.noted_last(i), self.is_noted(i)), (Some(hash), hint.fixed));
            }
            held[usize::from(!hint.fixed)] += 1;
        }
        assert_eq!(self.held.get(), held, "fixed entries, and others");
        assert_eq!(self.hints.is_loose(), held[1] > held[0]);
        assert!((first..end).all(|i| matches!(self.state(i), State::Plain)));
        assert!((0..self.index(self.lowest.get())).all(|i| entry(i).is_null()), "A3");
        let (stand_in, hint) = self.stand_in.get();
        if !stand_in.is_null() {
            assert!(self.below().all(|i| self.is_copy(i)));
            // SAFETY: as above.
            let hash = unsafe { Key::of(stand_in, keys) }.unwrap().hash;
            let known = Hint { hash, fixed: is_fixed(stand_in) };
            assert!(hint == Some(known) || hint.is_none() && self.may_repeat.get());
        }
    }
}

/// Zeroed memory for an array of `capacity` slots, never freed.
fn memory(capacity: usize, ours: bool) -> NonNull<u8> {
    let bytes = Array::bytes(capacity, ours).unwrap();
    // SAFETY: not of no bytes.
    NonNull::new(unsafe { alloc_zeroed(Memory::from_size_align(bytes, align_of::<Array>()).unwrap()) })
        .unwrap()
}

/// An empty array, never freed.
pub(crate) fn array(capacity: usize) -> &'static Array {
    // SAFETY: fresh memory of that size.
    unsafe { Array::place(memory(capacity, true), capacity, usize::MAX) }
}

/// A header for the list of `len` entries there, never freed.
pub(crate) fn over(slots: NonNull<Slot>, len: usize) -> &'static Array {
    // SAFETY: fresh memory of that size; the callers have whole groups there.
    unsafe { Array::over(memory(len + 1, false), slots, len, usize::MAX) }
}

fn entry(text: &'static CStr) -> *mut c_char {
    text.as_ptr().cast_mut()
}

/// What is to be noted of an entry.
pub(crate) fn hint_of(entry: *mut c_char, fixed: bool) -> Option<Hint> {
    // SAFETY: the tests' entries have a name and its `=`, and are never freed.
    let key = unsafe { Key::of(entry, Keys::new().get()) };
    Some(Hint { hash: key.unwrap().hash, fixed })
}

fn hint(text: &'static CStr, fixed: bool) -> Option<Hint> {
    hint_of(entry(text), fixed)
}

/// Puts these into the slots from `first` on, as the list.
fn fill(array: &Array, first: usize, texts: &[&'static CStr]) {
    let _change = array.change();
    array.first.set(array.slot(first));
    array.lowest.set(array.slot(first));
    for (i, text) in texts.iter().enumerate() {
        array.put(first + i, entry(text), hint(text, true));
    }
}

/// The program may write over every terminator there is, but for the last slot, which is the end whatever is in it.
#[test]
fn the_last_slot_is_the_end() {
    let array = array(GROUP);
    fill(array, 3, &[c"A=1", c"B=1"]);
    assert_eq!((array.count(), array.end()), (5, 5));
    (5..GROUP).for_each(|i| array.slot(i).store(entry(c"X=1")));
    assert!(!array.is_sound());
    assert_eq!((array.end(), array.count()), (GROUP - 1, GROUP - 1));
}

/// The bits of a hash that a tag holds, and those beside it, are together the whole.
#[test]
fn a_hash_is_noted_whole() {
    let array = array(GROUP);
    for hash in [0, 1, 1 << 13, 1 << 14, 1 << 29, crate::text::HASH, 0x2AAA_AAAA, 0x1555_5555] {
        for fixed in [true, false] {
            let _change = array.change();
            let noted = Some(Hint { hash, fixed });
            array.put(0, entry(c"A=1"), noted);
            for state in [State::Left, State::Idle, State::Free, State::Plain] {
                array.mark(0, state);
                assert_eq!((array.state(0), array.noted(0, entry(c"A=1"))), (state, noted));
                assert_eq!((array.noted_last(0), array.is_noted(0)), (Some(hash), fixed));
            }
        }
    }
    assert_eq!(array.noted(0, entry(c"B=1")), None);
    assert_eq!((array.noted_last(1), array.noted(1, entry(c"A=1"))), (None, None));
}

#[test]
fn two_slots_agree_if_the_same_is_known_of_the_same_entry() {
    let (here, there) = (array(GROUP), array(GROUP));
    let (a, b) = (entry(c"A=1"), entry(c"B=1"));
    let put = |array: &Array, entry, hint| {
        let _change = array.change();
        array.put(2, entry, hint);
    };
    let known = [hint(c"A=1", true), hint(c"A=1", false), hint(c"B=1", false), None];
    for ours in known {
        for theirs in known {
            put(here, a, ours);
            put(there, a, theirs);
            let is_fixed = ours.is_some_and(|hint| hint.fixed);
            assert_eq!(here.agrees(2, there, 2), (is_fixed, ours == theirs), "{ours:?} {theirs:?}");
            put(there, b, theirs);
            assert_eq!(here.agrees(2, there, 2), (is_fixed, false));
        }
    }
    // What the program stored over one of ours.
    put(here, a, hint(c"A=1", true));
    put(there, a, hint(c"A=1", true));
    here.slot(2).store(b);
    assert_eq!(here.agrees(2, there, 2), (false, false));
    there.slot(2).store(b);
    assert!(!here.agrees(2, there, 2).0);
}

/// Of the slots below a list, all must be copies of what is in it, as moves left them; and they must not be many different ones.
#[test]
fn what_the_program_stored_below_a_list_is_no_copy() {
    const MANY: usize = 200;
    // SAFETY: strings that are never freed.
    let texts: Vec<&'static CStr> =
        strings(MANY).into_iter().map(|string| unsafe { CStr::from_ptr(string) }).collect();
    let list = |many: usize, state: State| {
        let array = array(512);
        fill(array, MANY, &texts);
        let _change = array.change();
        for i in MANY - many..MANY {
            let text = if state == State::Left { texts[i] } else { texts[0] };
            array.put(i, entry(text), hint(text, true));
            array.mark(i, state);
        }
        array.stand_in.set((entry(texts[0]), hint(texts[0], true)));
        let is_copied = move |first: usize| array.is_copied(array.slot(first), array.slot(MANY));
        (array, is_copied)
    };
    for state in [State::Left, State::Free, State::Idle] {
        let (array, is_copied) = list(10, state);
        assert!(is_copied(MANY) && is_copied(MANY - 1) && is_copied(MANY - 10), "{state:?}");
        assert!(!is_copied(MANY - 11), "nothing is there");
        array.mark(MANY - 5, State::Plain);
        assert!(is_copied(MANY - 4) && !is_copied(MANY - 5) && !is_copied(MANY - 10));
        array.mark(MANY - 5, state);
        array.slot(MANY - 5).store(entry(c"MINE=1"));
        assert!(!is_copied(MANY - 5));
        // One of the list's own entries, stored by hand over a copy of another, is a copy no more.
        array.slot(MANY - 5).store(entry(texts[1]));
        assert!(!is_copied(MANY - 5));
    }
    // One that is in the list no more.
    let (array, is_copied) = list(10, State::Left);
    let _change = array.change();
    array.put(MANY + MANY - 5, entry(c"OTHER=1"), hint(c"OTHER=1", true));
    assert!(is_copied(MANY - 4) && !is_copied(MANY - 5));
    // Many copies of one are few, many different ones are not looked for.
    assert!(list(100, State::Free).1(MANY - 100));
    let (_, is_copied) = list(100, State::Left);
    assert!(is_copied(MANY - 64) && !is_copied(MANY - 65));
}

/// Wherever the string is, also below the list; and nothing else is another one's.
#[test]
fn a_string_that_is_given_back_is_fixed_nowhere() {
    const TEXTS: [&CStr; 4] = [c"A=1", c"B=1", c"C=1", c"D=1"];
    for text in TEXTS {
        let array = array(GROUP);
        fill(array, 4, &TEXTS);
        {
            let _change = array.change();
            for (i, state, text) in [(2, State::Left, TEXTS[1]), (3, State::Free, TEXTS[2])] {
                array.put(i, entry(text), hint(text, true));
                array.mark(i, state);
            }
            array.lowest.set(array.slot(2));
            array.stand_in.set((entry(TEXTS[2]), hint(TEXTS[2], true)));
        }
        let string = entry(text);
        array.give_back(string, hint(text, true).unwrap().hash);
        array.assert_in_order(|entry| entry != string, Keys::new().get());
        assert_eq!((array.state(2), array.state(3)), (State::Left, State::Free));
        assert!(array.hints().is_at_rest());
    }
}
