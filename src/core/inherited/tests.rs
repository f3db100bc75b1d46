//! What is taken for the kernel's list, and how far its strings can be read.

use super::*;
use crate::testing::{kernels_list, list_of, locked, text};
use std::vec::Vec;

#[test]
fn the_list_of_this_process_is_the_kernels() {
    let Some((first, len)) = kernels_list() else { return };
    // SAFETY: a proper list, here and below.
    unsafe {
        assert!(is_initial(first, len) && is_whole(first, len));
        assert!(!is_initial(first, len - 1), "its end is somewhere else");
        assert!(!is_initial(ptr::null(), 0));
        let mut entries: Vec<_> = slots(first).map(|(_, entry)| entry).collect();
        let copy = list_of(entries.iter().copied());
        assert!(!is_initial(copy, len), "another list of its strings");
        assert!(is_whole(copy, len));
        assert!(is_whole(list_of(entries[1..].iter().copied()), len - 1), "a part that goes on to its end");
        assert!(!is_whole(list_of(entries[..len - 1].iter().copied()), len - 1), "the last one is not there");
        assert!(!is_whole(list_of([]), 0));
        entries.swap(0, 1);
        assert!(!is_whole(list_of(entries.iter().copied()), len), "in another order");
        entries.swap(0, 1);
        entries[0] = entries[0].add(1);
        assert!(!is_whole(list_of(entries.iter().copied()), len), "not from its start");
    }
}

/// On a stack, just below the strings, a list looks as the kernel's does. Its auxiliary vector is not behind it.
#[test]
fn a_list_near_the_strings_is_not_the_kernels() {
    let Some((first, len)) = kernels_list() else { return };
    for at in 0..=len {
        // SAFETY: the end of a proper list.
        unsafe {
            assert!(is_initial(first.add(at), len - at), "a part that goes on to its end");
            assert!(at == len || !is_initial(first, at), "{at} of {len}");
        }
    }
}

/// Strings as the kernel lays them out, one behind the other up to a file name and a word.
#[test]
fn strings_near_the_end_of_the_stack_are_compared_byte_by_byte() {
    for (strings, file) in [
        (&["A=1", "LONGER_NAME=2", "", "NO_NAME_IN_IT", "=C:=x", "B="][..], "/f"),
        (
            &["A=1", "B=2"],
            "/a/longer/path/to/some/program/that/is/started/from/far/away/in/the/tree/of/folders",
        ),
        (&["A=1234567890123456789012345678901234567890123456789012345678901234567890", "B=2"], "f"),
        (&["A=1"], "f"),
        (&[], "f"),
    ] {
        for between in 0..BEYOND + 2 {
            let mut memory: Vec<u8> = std::vec![b'x'; between];
            let mut starts = Vec::new();
            memory.push(0);
            let begin = memory.len();
            for string in strings {
                starts.push(memory.len());
                memory.extend_from_slice(string.as_bytes());
                memory.push(0);
            }
            let over = memory.len();
            memory.extend_from_slice(file.as_bytes());
            memory.extend_from_slice(&[0; 1 + size_of::<usize>()]);
            let memory = memory.leak();
            let base = memory.as_ptr().expose_provenance();
            for end in over + file.len() + 1..=memory.len() {
                // SAFETY: as said.
                let limit = unsafe { limit_in(&(base + begin..base + over), base + end) } - base;
                let enough = |&&at: &&usize| {
                    let entry = text(memory[at..].as_ptr().cast());
                    at + entry.find('=').unwrap_or(entry.len()) + BEYOND <= end
                };
                // The last one of which so much can be read, and all before it, count as such.
                let next = starts.iter().rposition(|at| enough(&at)).map_or(0, |last| last + 1);
                assert_eq!(limit, starts.get(next).copied().unwrap_or(over), "{strings:?} {file}");
            }
        }
    }
}

/// What a reader noted of the kernel's list is what is in it.
#[test]
fn the_kernels_list_is_described_as_it_is() {
    let Some((first, len)) = kernels_list() else { return };
    let store = crate::testing::store();
    // SAFETY: a proper list of that length.
    let describe = |first| locked(&store, || unsafe { store.inherited.describe(&store.strings, first, len) });
    let array = describe(first).unwrap();
    assert_eq!((array.base(), array.capacity(), array.is_ours()), (first, len + 1, false));
    array.assert_in_order(|_| true, store.inherited.keys.get());
    // SAFETY: the terminator, and what is behind it.
    unsafe { assert!(array.holds(first.add(len)) && !array.holds(first.add(len + 1))) };
    store.arrays.set_kernel(array);
    assert!(store.arrays.kernel().is_some_and(|kernel| ptr::eq(kernel, array)));
    assert!(store.arrays.holding(first).is_some_and(|holding| ptr::eq(holding, array)));
    // SAFETY: as above.
    let entries: Vec<_> = unsafe { slots(first) }.map(|(_, entry)| entry).collect();
    assert!(describe(list_of(entries.iter().copied())).is_none());
}

/// Readers who had no hints have scanned so many slots that hints would have cost no more: not before.
#[test]
fn hints_are_built_when_they_are_worth_it() {
    let Some((first, len)) = kernels_list() else { return };
    for step in [1, 7, 100, 1_000_000] {
        let store = crate::testing::store();
        let inherited = &store.inherited;
        let worth = 2_048.max(32 * len);
        let mut scanned = 0;
        while scanned < worth {
            assert!(!inherited.is_done() && inherited.hints().is_none(), "{scanned} of {worth}");
            // SAFETY: a proper list.
            unsafe { inherited.scanned(first, step) };
            scanned += step;
        }
        assert!(inherited.is_done());
        let built = inherited.built().unwrap();
        assert!(inherited.hints().is_some_and(|hints| ptr::eq(hints, built)));
        assert_eq!(built.slots_in_groups(), (len + 1).next_multiple_of(GROUP));
        // SAFETY: as above.
        let noted =
            unsafe { slots(first) }.enumerate().all(|(i, (_, entry))| built.noted(i, entry) == Some(true));
        assert!(noted);
        // Once.
        let before = ptr::from_ref(built);
        // SAFETY: as above.
        unsafe { inherited.scanned(first, usize::MAX) };
        assert!(ptr::eq(inherited.built().unwrap(), before) && built.generation().is_some());
        inherited.give_back();
        assert!(built.generation().is_none());
    }
    // Of a list that is not the kernel's none are made, and no more is counted.
    let store = crate::testing::store();
    // SAFETY: as above.
    let copy = list_of(unsafe { slots(first) }.map(|(_, entry)| entry));
    // SAFETY: as above.
    unsafe { store.inherited.scanned(copy, usize::MAX) };
    assert!(store.inherited.is_done() && store.inherited.hints().is_none());
}

/// Those of an array take the place of those that a reader built, and of others.
#[test]
fn the_hints_that_are_shown_are_those_of_the_newest_array() {
    let Some((first, _)) = kernels_list() else { return };
    let store = crate::testing::store();
    let inherited = &store.inherited;
    // SAFETY: a proper list.
    unsafe { inherited.scanned(first, usize::MAX) };
    let built = ptr::from_ref(inherited.built().unwrap());
    for _ in 0..2 {
        let array = crate::array::tests::array(GROUP);
        for _ in 0..2 {
            inherited.show(array.hints());
            assert!(inherited.hints().is_some_and(|hints| ptr::eq(hints, array.hints())));
            assert!(inherited.built().is_none());
            // SAFETY: built for ever.
            assert!(unsafe { &*built }.generation().is_none() && array.hints().generation().is_some());
        }
    }
}

/// Up to where it found what it looked for, or to the end.
#[test]
fn a_scan_counts_the_slots_that_it_looked_at() {
    if !crate::hints::ENABLED {
        return; // nothing is counted for
    }
    let Some((first, _)) = kernels_list() else { return };
    // SAFETY: a proper list, here and below.
    let entries: Vec<_> = unsafe { slots(first) }.map(|(_, entry)| text(entry)).collect();
    let count = |name: &str| {
        let (store, head) = (crate::testing::store(), crate::slot::Head::new());
        // SAFETY: as above.
        unsafe {
            head.assign(first);
            assert_eq!(store.value(&head, name.as_bytes()).is_some(), name != "ABSENT_NAME");
        }
        store.inherited.scanned.load(Ordering::Relaxed)
    };
    assert_eq!(count("ABSENT_NAME"), entries.len());
    for (i, entry) in entries.iter().enumerate() {
        let name = entry.split('=').next().unwrap();
        let at = entries.iter().position(|entry| entry.split('=').next() == Some(name)).unwrap();
        assert_eq!(count(name), at + 1, "{name} in slot {i}");
    }
}

#[test]
fn the_limit_is_that_of_this_process() {
    let (store, strings) = (crate::testing::store(), sync::initial_strings());
    if strings.is_empty() {
        return assert_eq!(store.inherited.limit(), usize::MAX);
    }
    // SAFETY: the kernel's strings, and where its stack ends.
    let limit = unsafe { limit_in(&strings, sync::initial_end(&strings)) };
    assert_eq!((store.inherited.limit(), store.inherited.limit()), (limit, limit));
}
