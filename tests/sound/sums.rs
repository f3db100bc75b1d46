//! Sums that the compiler keeps in wide registers, beside what a read does in between, inlined. They come out wrong if that changes
//! registers without saying so. On the core's own file: in a whole program it depends on what is inlined whether the fault shows.

#[allow(dead_code, unreachable_pub, unused_imports)]
#[path = "../../src/core/machine/mod.rs"]
mod machine;

/// What that file has from the core.
mod sync {
    pub(crate) use core::sync::atomic::{AtomicPtr, AtomicU16};
}
mod system {
    /// The processor is asked.
    pub(crate) fn has_avx2() -> Option<bool> {
        None
    }
}

use machine::{GROUP, Groups, Side, WINDOW, are_alike, candidates, has_wider, window_ends, words};
use std::array::from_fn;
use std::ptr::null_mut;
use sync::{AtomicPtr, AtomicU16};

/// One group that has no candidate for tag 1.
#[repr(align(64))]
struct Memory {
    slots: [AtomicPtr<i8>; GROUP],
    shadows: [AtomicPtr<i8>; GROUP],
    tags: [AtomicU16; GROUP],
}

/// Columns: as many as fill most of the registers.
const COLUMNS: usize = 40;

#[inline(never)]
fn sums(rows: &[[f64; COLUMNS]], groups: Groups, text: &[u8; WINDOW]) -> [f64; COLUMNS] {
    let mut sums = [0.0; COLUMNS];
    for row in rows {
        for (sum, number) in sums.iter_mut().zip(row) {
            *sum += number;
        }
        let (at, len) = (text.as_ptr(), row[1] as usize % WINDOW);
        // SAFETY: so many slots, shadows and tags there are; and a window.
        unsafe {
            let found = candidates(groups, 0, 1, Side::Reader) != (0, GROUP);
            if found || window_ends(at) != 0 || words(at, len) == [1; 4] || !are_alike(at, at, len) {
                break;
            }
        }
    }
    sums
}

fn main() {
    let memory = Memory {
        slots: from_fn(|_| AtomicPtr::new(null_mut())),
        shadows: from_fn(|_| AtomicPtr::new(null_mut())),
        tags: from_fn(|_| AtomicU16::new(2)),
    };
    let rows: Vec<[f64; COLUMNS]> = (0..64).map(|i| from_fn(|column| (i * column) as f64)).collect();
    let right = from_fn(|column| (64 * 63 / 2 * column) as f64);
    assert!(has_wider(true));
    for wider in [false, true] {
        let [slots, shadows] = [&memory.slots, &memory.shadows].map(|pointers| pointers.as_ptr().cast());
        let groups = Groups { slots, shadows, tags: memory.tags.as_ptr(), end: GROUP, wider };
        assert_eq!(sums(&rows, groups, &[b'N'; WINDOW]), right, "wider: {wider}");
    }
}
