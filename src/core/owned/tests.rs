//! A list in memory that is given back.

use super::*;
use std::alloc::{alloc_zeroed, dealloc};
use std::vec::Vec;

/// All in the memory that the owner gave, and that memory comes back as it was given.
#[test]
fn a_list_is_in_the_memory_that_it_was_given() {
    let mut list = Owned::new();
    let entry = |i: usize| ptr::without_provenance_mut::<c_char>(8 * i);
    let (mut expected, mut before, mut next) = (Vec::new(), None, 1);
    // SAFETY: one thread; entries that nobody looks at; memory as it must be.
    unsafe {
        assert_eq!((list.first(), list.room(), list.entries().count()), (ptr::null(), (0, 0), 0));
        for capacity in [3, 5, 16, 100] {
            let layout = Memory::layout(capacity).unwrap();
            let at = NonNull::new(alloc_zeroed(layout)).unwrap();
            expected.insert(0, entry(next));
            let left = list.grow(at, capacity, entry(next));
            next += 1;
            assert_eq!(left.map(|memory| (memory.at, memory.layout)), before);
            left.into_iter().for_each(|Memory { at, layout }| dealloc(at.as_ptr(), layout));
            before = Some((at, layout));
            let slots = at.addr().get() + layout.size() - capacity * size_of::<Slot>();
            loop {
                let found: Vec<_> = list.entries().collect();
                assert_eq!(found.iter().map(|&(_, entry)| entry).collect::<Vec<_>>(), expected);
                assert_eq!(list.room(), (capacity, capacity - 1 - found.len()), "all room is below");
                let first = slots + list.room().1 * size_of::<Slot>();
                assert_eq!(
                    (list.first().addr(), first >= at.addr().get() + size_of::<usize>()),
                    (first, true)
                );
                if list.room().1 == 0 {
                    break;
                }
                assert_eq!(list.add(entry(next)), list.first());
                expected.insert(0, entry(next));
                next += 1;
            }
            // The first one takes the place of one that goes; one that is first just goes.
            let slot = list.first().add(1);
            assert_eq!(list.remove(slot), Some(expected[0]));
            expected.remove(1);
            list.replace(slot, entry(next));
            expected[0] = entry(next);
            next += 1;
            assert_eq!(list.remove(list.first()), None);
            expected.remove(0);
            if capacity == 16 {
                list.clear();
                expected.clear();
            }
        }
        let Memory { at, layout } = list.memory().unwrap();
        assert_eq!(Some((at, layout)), before);
        dealloc(at.as_ptr(), layout);
    }
    assert!(Memory::layout(usize::MAX / 8).is_none());
}
