//! What is known of slots, and what a search makes of it.

use super::*;
use crate::array::Array;
use crate::array::tests::{array, hint_of};
use std::ffi::CStr;

const NO_ENTRY: *mut c_char = ptr::null_mut();

fn put(array: &Array, i: usize, text: &'static CStr, fixed: bool) {
    let entry = text.as_ptr().cast_mut();
    let _change = array.change();
    array.put(i, entry, hint_of(entry, fixed));
}

/// While a change is going on, and where most entries are not fixed, no search counts; each change has another number.
#[test]
fn a_generation_is_told_outside_of_changes() {
    let array = array(GROUP);
    let hints = array.hints();
    let mut before = hints.generation().unwrap();
    for _ in 0..10 {
        let change = hints.change();
        assert_eq!((hints.generation(), hints.is_at_rest()), (None, false));
        {
            let _inner = hints.change();
        }
        drop(change);
        assert!(hints.is_at_rest());
        let now = hints.generation().unwrap();
        assert!(now != before && !hints.is_still(before) && hints.is_still(now));
        before = now;
    }
    for loose in [true, false] {
        {
            let _change = hints.change();
            hints.set_loose(loose);
        }
        assert_eq!(
            (hints.generation().is_none(), hints.is_loose(), hints.is_at_rest()),
            (loose, loose, true)
        );
    }
    hints.retire();
    assert!(hints.generation().is_none());
}

/// Near the end of the kernel's stack entries are compared byte by byte, whatever is known of them.
#[test]
fn only_what_is_below_the_limit_is_compared_at_once() {
    const TEXTS: [&CStr; 2] = [c"A=1", c"B=1"];
    let array = array(GROUP);
    put(array, 3, TEXTS[0], true);
    put(array, 4, TEXTS[1], false);
    let (hints, [a, b]) = (array.hints(), TEXTS.map(|text| text.as_ptr().cast_mut()));
    assert!(hints.is_fixed(3, a) && !hints.is_fixed(3, b) && !hints.is_fixed(4, b) && !hints.is_fixed(4, a));
    assert!(!hints.is_fixed(5, NO_ENTRY));
    for (limit, fixed) in [(a.addr(), false), (a.addr() + 1, true), (a.addr() - 1, false)] {
        // SAFETY: the array's own slots, shadows and tags.
        let limited = unsafe { ptr::read(hints) };
        let limited = Hints { limit, ..limited };
        assert_eq!(limited.is_fixed(3, a), fixed, "the limit itself is not below it");
    }
}

#[test]
fn hints_know_how_wide_a_step_is() {
    for slots in [GROUP, 2 * WIDE] {
        let array = array(slots);
        assert_eq!(array.hints().are_wider(), machine::has_wider(slots >= WIDE));
    }
}
