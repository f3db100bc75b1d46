//! Strings are made once.

use super::*;
use crate::store::Store;
use crate::testing::assert_spread;
use std::collections::HashMap;
use std::format;

fn string(store: &Store, strings: &Strings, name: &str, value: &str) -> *mut c_char {
    let keys = store.inherited.keys.get();
    let name = name.as_bytes();
    loop {
        match strings.string(Key::new(&name, keys).unwrap(), value.as_bytes(), keys) {
            Ok(string) => return string,
            Err(Stop::Memory(bytes)) => strings.link(strings.map(bytes).unwrap()),
            Err(stop) => panic!("{stop:?}"),
        }
    }
}

fn table(strings: &Strings) -> &Table {
    // SAFETY: K3.
    unsafe { sync::own(&strings.table).as_ref() }.unwrap()
}

/// However many there are; a table that is outgrown can be given back, once.
#[test]
fn a_string_is_made_once() {
    let (store, strings) = (crate::testing::store(), Strings::new());
    let mut made = HashMap::new();
    let (mut size, mut at) = (PLACES, 0);
    for i in 0..if cfg!(miri) { 100 } else { 5_000 } {
        let (name, value) = (format!("N{}", i % 70), format!("{}", i / 70));
        let string = string(&store, &strings, &name, &value);
        assert_eq!(crate::testing::text(string), format!("{name}={value}"));
        assert!(made.insert(string.addr(), (name, value)).is_none());
        let table = table(&strings);
        assert_eq!(table.len.get(), made.len());
        // At most three quarters of the places are taken, and the table grows no sooner.
        let litter = strings.litter();
        assert_eq!(litter.is_some(), table.size > size);
        if let Some(litter) = litter {
            assert_eq!(
                (litter.start, litter.len()),
                (at + size_of::<Table>(), size * (size_of::<usize>() + 4))
            );
            assert_eq!(table.size, 2 * size);
            assert_eq!(table.len.get(), size * 3 / 4 + 1);
            assert!(strings.owns(ptr::without_provenance(litter.start)));
            strings.discard(litter);
            size = table.size;
        }
        at = ptr::from_ref(table).addr();
        assert!(strings.litter().is_none());
    }
    for (&addr, (name, value)) in &made {
        assert_eq!(string(&store, &strings, name, value).addr(), addr);
    }
    assert_eq!(table(&strings).len.get(), made.len());
    strings.forget();
    assert!(made.iter().all(|(&addr, (name, value))| string(&store, &strings, name, value).addr() != addr));
}

/// A program may write into a string that it got from `getenv`: then another one is made, which takes its place. That takes no room in the table.
#[test]
fn a_string_that_was_edited_is_made_anew() {
    let (store, strings) = (crate::testing::store(), Strings::new());
    let mut edited = string(&store, &strings, "A", "1");
    for i in (0..1_000).map(|i| (i % 2) as u8) {
        // SAFETY: a string of ours, four bytes long; not in any list.
        unsafe { edited.add(2).write((b'2' + i) as c_char) };
        let anew = string(&store, &strings, "A", "1");
        assert_ne!(anew, edited);
        assert_eq!(string(&store, &strings, "A", "1"), anew);
        edited = anew;
    }
    assert_eq!((table(&strings).len.get(), table(&strings).size), (1, PLACES));
}

/// From that of its hash on, upwards, and on from the first.
#[test]
fn places_are_looked_at_in_order() {
    let (store, strings) = (crate::testing::store(), Strings::new());
    string(&store, &strings, "A", "1");
    let (table, last) = (table(&strings), PLACES - 1);
    assert!(table.probe(5).take(3).eq([5, 6, 7]) && table.probe(last as u32).take(3).eq([last, 0, 1]));
    assert_eq!(table.probe(5).count(), PLACES);
}

/// What lies inside of a string of ours is not one of ours, nor is any once the program gave one of ours to `putenv`.
#[test]
fn whose_string_it_is_is_known() {
    let (store, strings) = (crate::testing::store(), Strings::new());
    let keys = store.inherited.keys.get();
    let ours = string(&store, &strings, "A", "B=1");
    let (copy, inside) = (c"A=B=1".to_owned(), ours.wrapping_add(2));
    let theirs = copy.as_ptr().cast_mut();
    string(&store, &strings, "B", "1");
    // SAFETY: strings that stay.
    let made = |entry| unsafe { strings.made(entry, keys) };
    assert!(strings.owns(ours) && strings.owns(inside) && !strings.owns(theirs));
    assert_eq!((made(ours), made(inside), made(theirs)), (true, false, false));
    assert!(!strings.note_put(theirs) && !strings.some_were_put() && made(ours));
    assert!(strings.note_put(inside) && strings.some_were_put() && !made(ours));
    // One of the kernel's, as well.
    let (other, kernel) = (Strings::new(), sync::initial_strings());
    assert!(!other.note_put(ptr::without_provenance(kernel.end)) && !other.some_were_put());
    if !kernel.is_empty() {
        assert!(other.note_put(ptr::without_provenance(kernel.start)) && other.some_were_put());
    }
}

#[test]
fn a_text_is_compared_to_its_end() {
    let (store, strings) = (crate::testing::store(), Strings::new());
    let keys = store.inherited.keys.get();
    let long = "x".repeat(100);
    for len in [0, 1, 7, 8, 9, 31, 32, 33, 99] {
        let ours = string(&store, &strings, "N", &long[..len]);
        // SAFETY: a string of ours (K4), and its value.
        let is = |value: &str| unsafe { is(ours.add(2), value.as_bytes(), keys) };
        assert!(is(&long[..len]) && !is(&long[..len + 1]) && (len == 0 || !is(&long[..len - 1])), "{len}");
        let other = format!("{}y", &long[..len.max(1) - 1]);
        assert!(!is(&other), "{len}");
    }
}

/// Whether names differ, or values, or which belongs to which.
#[test]
fn hashes_of_strings_are_spread() {
    let keys = Keyed::of_tests();
    let hash = |name: &str, value: &str| {
        let name = name.as_bytes();
        super::hash(Key::new(&name, keys).unwrap(), value.as_bytes(), keys)
    };
    let number = |i: u32| format!("{i}");
    let hashes = |hash: &dyn Fn(u32) -> u32| (0..1_000).map(hash).collect::<std::vec::Vec<_>>();
    assert_spread(&hashes(&|i| hash(&number(i), "1")));
    assert_spread(&hashes(&|i| hash("N", &number(i))));
    assert_spread(&hashes(&|i| hash(&number(i / 30), &number(i % 30))));
    // (The same text twice.)
    assert_spread(&hashes(&|i| hash(&number(i), &number(i))));
}

/// Memory of which whole pages are given back is zero.
#[cfg(all(target_os = "linux", not(miri)))]
#[test]
fn what_is_discarded_is_zero() {
    const BYTES: usize = 1 << 18;
    let strings = Strings::new();
    strings.link(strings.map(BYTES).unwrap());
    let at = strings.take(BYTES, ALIGN).unwrap();
    // SAFETY: as many bytes, nobody else's.
    unsafe { at.write_bytes(1, BYTES) };
    strings.discard(at.addr().get()..at.addr().get() + BYTES);
    // SAFETY: as above.
    let bytes = unsafe { core::slice::from_raw_parts(at.as_ptr(), BYTES) };
    assert!(bytes.iter().filter(|&&byte| byte == 0).count() > BYTES / 3);
}
