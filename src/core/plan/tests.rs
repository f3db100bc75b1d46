//! Plans against plain lists.

use super::*;
use crate::store::Store;
use crate::testing::locked;
use std::boxed::Box;
use std::ffi::CString;
use std::vec::Vec;

fn plan<'a>(store: &'a Store, scratch: &'a Scratch, len: usize) -> Plan<'a> {
    locked(store, || scratch.plan(&store.strings, len, store.inherited.keys.get()))
}

/// An entry, never freed.
fn entry(text: &str) -> *mut c_char {
    CString::new(text).unwrap().into_raw()
}

fn all(plan: &Plan<'_>) -> Vec<(*mut c_char, Hint)> {
    plan.list().map(|(entry, hint)| (entry, hint.unwrap())).collect()
}

/// As many as were asked for, of any hashes, also of one; and nothing of the plan before, nor of what memory is taken later.
#[test]
fn a_plan_holds_as_many_as_it_is_for() {
    let (store, scratch) = (crate::testing::store(), Scratch::new());
    let mut largest = 64;
    for len in [0, 1, 3, 4, 5, 63, 64, 65, 200, 128, 7, 1_024, 500] {
        let before = store.retained();
        plan(&store, &scratch, len);
        // For each an entry, its mark and two places, and a header.
        let bytes = len.next_power_of_two() * (size_of::<usize>() + 12) + size_of::<usize>();
        assert!(
            store.retained() - before
                <= if len > largest || before == 0 { bytes.max(64 * 20 + 8) } else { 0 }
        );
        largest = largest.max(len.next_power_of_two());
        for hashes in [1, 3, 1 << 29] {
            let mut plan = plan(&store, &scratch, len);
            assert_eq!((plan.len(), plan.numbers(), all(&plan).len()), (0, 0..0, 0));
            assert!(plan.table.len() >= 2 * len, "half of the places are free");
            assert!((0..3).all(|hash| plan.alike(hash).next().is_none()));
            let behind = locked(&store, || store.strings.take(64, 64));
            // SAFETY: 64 bytes that nobody else knows.
            unsafe { behind.write_bytes(0xff, 64) };
            let mut expected = Vec::new();
            for i in 0..len {
                let hint = Hint { hash: (i as u32).wrapping_mul(0x1234_5671) % hashes, fixed: i % 2 == 0 };
                let entry = ptr::without_provenance_mut(8 * (i + 1));
                plan.push(entry, hint);
                expected.push((entry, hint));
            }
            assert_eq!((plan.len(), plan.numbers()), (len, 0..len));
            assert_eq!(all(&plan), expected);
            assert!((0..len).all(|i| plan.get(i) == expected[i]));
            for &(_, Hint { hash, .. }) in &expected {
                let mut alike: Vec<_> = plan.alike(hash).collect();
                alike.sort();
                let same: Vec<_> = (0..len).filter(|&i| expected[i].1.hash == hash).collect();
                assert_eq!(alike, same);
            }
            // SAFETY: as above.
            assert_eq!(unsafe { behind.cast::<[u8; 64]>().read() }, [0xff; 64]);
        }
    }
}

/// The first of each name, also where names have one hash; those without a name each for itself.
#[test]
fn the_first_entry_of_each_name_is_collected() {
    let (store, scratch) = (crate::testing::store(), Scratch::new());
    let keys = store.inherited.keys.get();
    let mut plan = plan(&store, &scratch, 20);
    let texts = ["A=1", "B=1", "A=2", "JUNK", "JUNK", "=x", "C=1", "B="];
    let entries: Vec<_> = texts.iter().map(|text| entry(text)).collect();
    entries.iter().for_each(|&entry| plan.collect(entry, None));
    plan.collect(entries[3], None);
    let collected: Vec<_> = all(&plan).into_iter().map(|(entry, _)| entry).collect();
    assert_eq!(collected, [0, 1, 3, 4, 5, 6].map(|i| entries[i]));
    let find = |plan: &Plan<'_>, name: &'static str| {
        let name: &'static &[u8] = Box::leak(Box::new(name.as_bytes()));
        plan.find(Key::new(name, keys).unwrap())
    };
    assert_eq!(
        ["A", "B", "C", "JUNK", "D"].map(|name| find(&plan, name)),
        [Some(0), Some(1), Some(5), None, None]
    );
    // What is known of a fixed one is believed, and its text not looked at.
    let fixed = Hint { hash: 7, fixed: true };
    plan.collect(entry("D=1"), Some(fixed));
    assert_eq!((plan.get(6).1, find(&plan, "D")), (fixed, None));
    // Of one that its owner may have renamed it is not.
    plan.collect(entry("E=1"), Some(Hint { hash: 7, fixed: false }));
    assert_eq!((plan.get(7).1.fixed, find(&plan, "E")), (false, Some(7)));
    plan.remove(0);
    assert_eq!((plan.len(), plan.numbers(), find(&plan, "A")), (7, 0..8, None));
    assert_eq!(all(&plan).len(), 7);
    plan.set(1, entry("B=3"), fixed);
    assert_eq!(plan.get(1).1, fixed);
    plan.learn(entries[6], plan.get(5).1.hash);
    plan.learn(entries[0], plan.get(5).1.hash);
    assert!(plan.get(5).1.fixed && !plan.get(7).1.fixed && !plan.get(0).1.fixed);
}

/// Each entry has one seat: its own slot, or one of its name; a string that its owner may have freed is known by its hash.
#[test]
fn what_is_seated_is_not_missing() {
    let (store, scratch) = (crate::testing::store(), Scratch::new());
    for fixed in [true, false] {
        let mut plan = plan(&store, &scratch, 10);
        let entries = ["A=1", "B=1", "C=1", "D=1"].map(entry);
        // All have one hash.
        let hint = Hint { hash: 5, fixed: true };
        entries.iter().for_each(|&entry| plan.push(entry, hint));
        plan.remove(3);
        let missing = |plan: &Plan<'_>| plan.missing().map(|(entry, _)| entry).collect::<Vec<_>>();
        assert_eq!(missing(&plan), [entries[2], entries[1], entries[0]]);
        let known = Hint { hash: 5, fixed };
        let old = entry("C=0");
        assert_eq!(plan.seat(old, known), Some(if fixed { 2 } else { 0 }), "of that name, or of that hash");
        assert_eq!(plan.seat(entries[1], Hint { hash: 5, fixed: true }), Some(1), "itself");
        assert_eq!(plan.seat(entries[1], Hint { hash: 5, fixed: true }), None, "once");
        assert_eq!(plan.seat(entries[0], Hint { hash: 6, fixed: true }), None, "another hash");
        assert_eq!(plan.seat(entry("D=1"), known).is_some(), !fixed, "what was removed has no seat");
        let left = if fixed { Vec::from([entries[0]]) } else { Vec::new() };
        assert_eq!(missing(&plan), left);
        assert!((0..3).all(|i| plan.get(i) == (entries[i], hint)));
    }
}
