//! What is taken for the kernel's list, and how far its strings can be read.

use super::*;
use crate::testing::text;
use std::vec::Vec;

/// The list of this process, which no test changes, and its length.
fn list() -> (*const Slot, usize) {
    unsafe extern "C" {
        static environ: *const Slot;
    }
    // SAFETY: the test harness and the tests only read it.
    unsafe { (environ, slots(environ).count()) }
}

/// A list of the program's with these entries; never freed.
fn list_of(entries: &[*mut c_char]) -> *const Slot {
    entries.iter().copied().chain([ptr::null_mut()]).collect::<Vec<_>>().leak().as_ptr().cast()
}

#[test]
fn the_list_of_this_process_is_the_kernels() {
    let (first, len) = list();
    assert!(len > 2);
    // SAFETY: a proper list, here and below.
    unsafe {
        assert!(is_initial(first, len) && is_whole(first, len));
        assert!(!is_initial(first, len - 1), "its end is somewhere else");
        assert!(!is_initial(ptr::null(), 0));
        let mut entries: Vec<_> = slots(first).map(|(_, entry)| entry).collect();
        let copy = list_of(&entries);
        assert!(!is_initial(copy, len), "another list of its strings");
        assert!(is_whole(copy, len));
        assert!(is_whole(list_of(&entries[1..]), len - 1), "a part that goes on to its end");
        assert!(!is_whole(list_of(&entries[..len - 1]), len - 1), "the last one is not there");
        assert!(!is_whole(list_of(&[]), 0));
        entries.swap(0, 1);
        assert!(!is_whole(list_of(&entries), len), "in another order");
        entries.swap(0, 1);
        entries[0] = entries[0].add(1);
        assert!(!is_whole(list_of(&entries), len), "not from its start");
    }
}

/// On a stack, just below the strings, a list looks as the kernel's does. Its auxiliary vector is not behind it.
#[test]
fn a_list_near_the_strings_is_not_the_kernels() {
    let (first, len) = list();
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
    let (first, len) = list();
    let store = crate::testing::store();
    let describe = |first| {
        let mut array = None;
        let done = store.locked(|| {
            // SAFETY: a proper list of that length.
            array = unsafe { store.inherited.describe(&store.strings, first, len) }?;
            Ok(())
        });
        assert!(done.is_ok());
        array
    };
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
    assert!(describe(list_of(&entries)).is_none());
}
