//! What an editor decides: where a list is written, what stands in, what is tidied up and when.

use super::*;
use crate::array::tests::{array, hint_of, over};
use crate::testing::strings;
use std::vec::Vec;

const CAPACITY: usize = 1_024;

/// An array whose list, of these entries, begins in slot `first`, and has been so far down as `lowest`. What is in between holds the last entry.
fn holding(entries: &[*mut c_char], first: usize, lowest: usize) -> &'static Array {
    let array = array(CAPACITY);
    array.first.set(array.slot(first));
    array.lowest.set(array.slot(lowest));
    let _change = array.change();
    let below = entries.last().into_iter().flat_map(|last| (lowest..first).map(|i| (i, *last)));
    let list = entries.iter().enumerate().map(|(i, entry)| (first + i, *entry));
    below.chain(list).for_each(|(i, entry)| array.put(i, entry, hint_of(entry, true)));
    array
}

fn editor<'a>(head: &'a Head, array: &'a Array, moves: Moves) -> Editor<'a> {
    // SAFETY: nobody else is there.
    unsafe { Editor::private(head, array, moves) }
}

#[test]
fn a_plain_scan_is_made_where_hints_are_of_no_use() {
    let (head, entries) = (Head::new(), strings(3));
    let array = holding(&entries, 500, 500);
    let mut list = editor(&head, array, Moves::Beside);
    list.take_up(Moves::Apart);
    assert_eq!(list.moves(), Moves::Apart);
    for (fixed, plain) in [(2, false), (1, true), (0, true), (2, false)] {
        {
            let _change = array.change();
            (0..3).for_each(|i| array.put(500 + i, entries[i], hint_of(entries[i], i < fixed)));
        }
        assert_eq!(list.is_plain(), plain || !hints::ENABLED, "{fixed} of 3 are fixed");
    }
}

#[test]
fn much_below_a_short_list_is_clutter() {
    let head = Head::new();
    for (len, below, cluttered) in [
        (10, 256, false),
        (10, 257, true),
        (128, 257, true),
        (129, 258, false),
        (129, 259, true),
        (0, 257, true),
    ] {
        let array = holding(&strings(len), 500, 500 - below);
        let is_cluttered = |moves| editor(&head, array, moves).is_cluttered();
        assert!(!is_cluttered(Moves::Beside), "nothing is left there");
        array.left.set(1);
        assert_eq!(is_cluttered(Moves::Beside), cluttered, "{len} above {below}");
        assert!(!is_cluttered(Moves::Alone) && !is_cluttered(Moves::Apart));
    }
}

/// States of the slots below the list, from the head down.
fn states(array: &Array) -> Vec<State> {
    array.below().rev().map(|i| array.state(i)).collect()
}

fn marked(states: &[State]) -> &'static Array {
    let entries = strings(5);
    let array = holding(&entries, 500, 500 - states.len());
    states.iter().enumerate().for_each(|(i, &state)| array.mark(499 - i, state));
    array.left.set(states.iter().filter(|&&state| state == State::Left).count());
    array.stand_in.set((entries[4], hint_of(entries[4], true)));
    array
}

#[test]
fn what_is_much_is_tidied_up() {
    use State::{Free, Idle, Left, Plain};
    let before = [Left, Free, Idle, Plain];
    for (most, after, below) in
        [(4, &before[..], 4), (3, &[][..], 0), (0, &[Idle, Idle, Idle, Idle][..], 4), (100, &before[..], 4)]
    {
        let (head, array) = (Head::new(), marked(&before));
        editor(&head, array, Moves::Beside).tidy(most);
        assert_eq!((states(array), array.below().len()), (after.to_vec(), below), "{most}");
        assert_eq!(array.left.get(), usize::from(below > 0 && most > 0));
        // Whatever is below: what stands in is in the list.
        let (entry, _) = array.stand_in.get();
        assert!((496..500).all(|i| array.slot(i).own() == entry));
    }
}

/// What was free before an edit is idle afterwards; where the slot for an addition is not to be had otherwise, all is.
#[test]
fn after_an_edit_there_is_a_place_for_an_addition() {
    use State::{Free, Idle, Left, Plain};
    let all = [Idle, Idle, Idle];
    for (before, adding, moves, after) in [
        ([Free, Left, Free], false, Moves::Beside, [Idle, Left, Idle]),
        ([Free, Left, Free], true, Moves::Beside, [Idle, Left, Idle]),
        ([Idle, Left, Free], true, Moves::Beside, [Idle, Left, Idle]),
        ([Left, Left, Free], false, Moves::Beside, [Left, Left, Idle]),
        ([Left, Left, Free], true, Moves::Beside, all),
        ([Plain, Left, Free], true, Moves::Beside, all),
        ([Plain, Left, Free], false, Moves::Beside, [Plain, Left, Idle]),
        ([Free, Left, Plain], false, Moves::Apart, all),
    ] {
        let (head, array) = (Head::new(), marked(&before));
        editor(&head, array, moves).settle(adding);
        assert_eq!(states(array), after, "{before:?} {adding}");
        assert_eq!(array.left.get(), after.iter().filter(|&&state| state == Left).count());
    }
    // A slot that is kept for it is place enough.
    let (head, array) = (Head::new(), marked(&[Left, Free, Free]));
    let mut list = editor(&head, array, Moves::Beside);
    let (slot, entry) = list.slots().nth(2).unwrap();
    assert!(list.reserve(slot, entry));
    list.settle(true);
    assert_eq!(states(array), [Left, Idle, Idle]);
    // And so is one that was in no list.
    let (head, array) = (Head::new(), marked(&[]));
    editor(&head, array, Moves::Beside).settle(true);
    assert_eq!((states(array), array.lowest.get()), (Vec::new(), array.first.get()));
}

/// One in the middle stands in: if that may be stored over, the next one that may not.
#[test]
fn what_stands_in_is_in_the_middle() {
    let (head, entries) = (Head::new(), strings(9));
    for len in 0..9 {
        let array = holding(&entries[..len], 500, 500);
        let (entry, hint) = editor(&head, array, Moves::Beside).new_stand_in();
        let middle = entries[..len].get(len / 2).copied();
        assert_eq!(
            (entry, hint),
            (middle.unwrap_or(ptr::null_mut()), middle.and_then(|entry| hint_of(entry, true)))
        );
    }
    let array = holding(&entries, 500, 500);
    let list = editor(&head, array, Moves::Beside);
    for (i, expected) in [(4, 5), (5, 6), (6, 7), (7, 8), (8, 4)] {
        array.put(500 + i, entries[i], hint_of(entries[i], false));
        assert_eq!(list.new_stand_in(), (entries[expected], hint_of(entries[expected], i < 8)));
    }
}

/// As long as it is in the list, and whatever else goes.
#[test]
fn what_stands_in_stays() {
    let (head, entries) = (Head::new(), strings(9));
    let array = holding(&entries, 500, 500);
    let mut list = editor(&head, array, Moves::Beside);
    let hash = |entry| hint_of(entry, true).unwrap().hash;
    let remove = |list: &mut Editor<'_>, entry: *mut c_char| {
        let (slot, _) = list.slots().find(|&(_, listed)| listed == entry).unwrap();
        list.remove(slot, hash(entry)).unwrap();
    };
    remove(&mut list, entries[0]);
    let stands_in = || array.stand_in.get().0;
    assert_eq!(stands_in(), entries[5]);
    for gone in [1, 8, 2] {
        remove(&mut list, entries[gone]);
        assert_eq!(stands_in(), entries[5], "{gone} has gone");
    }
    assert!(list.stands_in(entries[5], None) && list.stands_in(ptr::dangling_mut(), Some(hash(entries[5]))));
    assert!(!list.stands_in(entries[6], Some(hash(entries[6]))) && !list.stands_in(entries[6], None));
    remove(&mut list, entries[5]);
    assert_ne!(stands_in(), entries[5]);
    array.stand_in.set((ptr::null_mut(), None));
    assert!(!list.stands_in(ptr::null_mut(), None) && !list.stands_in(entries[6], Some(hash(entries[6]))));
}

/// With one thread there is room above for as much as below, or more, and the list begins with a group if it can; with more it ends the
/// array. What was there before is not met again.
#[test]
fn a_list_is_written_where_additions_come() {
    let (head, entries) = (Head::new(), strings(1_023));
    for len in [0, 1, 15, 16, 500, 800, 958, 959, 960, 990, 1_000, 1_022, 1_023] {
        for moves in [Moves::Alone, Moves::Beside] {
            let array = holding(&entries[..200], 300, 100);
            array.left.set(3);
            array.stand_in.set((entries[0], None));
            let mut list = editor(&head, array, moves);
            list.write(len, entries[..len].iter().map(|&entry| (entry, hint_of(entry, true))));
            let (first, free) = (array.index(list.first()), CAPACITY - 1 - len);
            if moves == Moves::Alone {
                let group = first % GROUP == 0 && first >= free / 4 && first < free / 4 + GROUP;
                assert!(group && 2 * first <= free || first == free / 4, "{len}: {first} of {free}");
                assert!(group || free / 2 < GROUP * 5, "{len}: {first} of {free}");
            } else {
                assert_eq!(first, free);
            }
            assert_eq!(list.slots().map(|(_, entry)| entry).collect::<Vec<_>>(), &entries[..len]);
            let outside = (0..first).chain(first + len..CAPACITY);
            assert!(outside.clone().all(|i| array.slot(i).own().is_null()), "{len}");
            assert_eq!((array.left.get(), array.stand_in.get().0), (0, ptr::null_mut()));
            assert_eq!((array.lowest.get(), array.first.get()), (list.first(), list.first()));
            array.assert_in_order(|_| true, crate::text::Keys::new().get());
        }
    }
}

/// The kernel's list has no room around it, whatever was removed from it.
#[test]
fn nothing_is_added_to_the_kernels_list() {
    let (head, entries) = (Head::new(), strings(5));
    for moves in [Moves::Alone, Moves::Beside] {
        let slots: Vec<*mut c_char> = entries[..4].iter().copied().chain([ptr::null_mut(); GROUP]).collect();
        let slots = core::ptr::NonNull::new(slots.leak().as_mut_ptr()).unwrap().cast::<Slot>();
        let array = over(slots, 4);
        {
            let _change = array.change();
            (0..4).for_each(|i| array.note(i, entries[i], hint_of(entries[i], true)));
            array.count_all();
        }
        let mut list = editor(&head, array, moves);
        for left in (0..=4).rev() {
            let end = list.slots().last().map_or(list.first(), |(slot, _)| slot.wrapping_add(1));
            assert_eq!((list.slots().count(), list.is_empty()), (left, left == 0));
            assert!(!list.add(entries[4], hint_of(entries[4], true), end).unwrap());
            if left > 0 {
                let (slot, entry) = list.slots().nth(left / 2).unwrap();
                list.remove(slot, hint_of(entry, true).unwrap().hash).unwrap();
            }
        }
    }
}
