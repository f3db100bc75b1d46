//! Which array comes next.

use super::*;
use crate::store::Store;
use crate::testing::locked;
use std::collections::HashSet;
use std::vec::Vec;

/// The array for a list of that length that comes next.
fn next(store: &Store, len: usize, fits: bool) -> &Array {
    locked(store, || store.arrays.next(&store.strings, || usize::MAX, len, |_| fits))
}

#[test]
fn a_new_array_has_as_much_room_again() {
    let store = crate::testing::store();
    // In whole groups, of 16 slots at most, wherever this is.
    for (len, slots) in
        [(0, 128), (1, 128), (50, 128), (63, 128), (64, 144), (65, 144), (200, 416), (1_000, 2_016)]
    {
        let capacity = next(&store, len, false).capacity();
        assert!(capacity <= slots && capacity > slots - 16, "{len}: {capacity}");
    }
}

/// Those that the list left come again, the oldest one first, if it is large enough and what is in it leaves room.
#[test]
fn arrays_come_in_turn() {
    let store = crate::testing::store();
    let live = |array: &Array| store.arrays.is_live(array);
    let turn: Vec<_> = (0..TURN).map(|_| next(&store, 10, true)).inspect(|array| live(array)).collect();
    let different: HashSet<_> = turn.iter().map(|&array| ptr::from_ref(array)).collect();
    assert_eq!(different.len(), TURN);
    for array in &turn {
        let next = next(&store, 10, true);
        assert!(ptr::eq(next, *array));
        live(next);
    }
    let (oldest, capacity) = (turn[0], turn[0].capacity());
    assert!(ptr::eq(next(&store, capacity - 2, true), oldest));
    let larger = next(&store, capacity - 1, true);
    assert!(larger.capacity() > capacity && turn.iter().all(|&array| !ptr::eq(array, larger)));
    let other = next(&store, 10, false);
    assert!(turn.iter().all(|&array| !ptr::eq(array, other)), "what is in it leaves no room");
}

/// A list that the program left may come back: neither the oldest one nor one of the last few is given away as long as there are others, and never
/// the live one.
#[test]
fn lists_that_the_program_left_go_from_the_middle() {
    let store = crate::testing::store();
    let mut given = 0;
    for _ in 0..10 * ARRAYS {
        let all: Vec<_> = store.arrays.pool.iter().filter_map(array_at).collect();
        let newest = store.arrays.latest().map(ptr::from_ref);
        let mut away: Vec<_> =
            all.iter().copied().filter(|&array| Some(ptr::from_ref(array)) != newest).collect();
        away.sort_by_key(|array| core::cmp::Reverse(array.live_at.get()));
        let array = next(&store, 10, true);
        if all.len() == ARRAYS {
            assert!(ptr::eq(array, away[DEEP.min(away.len() - 1)]));
            given += 1;
        } else {
            assert!(all.iter().all(|&other| !ptr::eq(other, array)));
        }
        store.arrays.is_live(array);
        array.assigned_away.set(true);
    }
    assert!(given > ARRAYS);
}
