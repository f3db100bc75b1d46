//! Each change by itself, and random ones against a plain table.

use super::*;
use crate::arrays::MIN_SLOTS;
#[cfg(not(miri))]
use crate::testing::kernels_list;
use crate::testing::{entries, entries_at, foreign, random, store, store_at};
use core::ffi::CStr;
use std::collections::BTreeMap;
use std::ffi::CString;
use std::format;
use std::string::{String, ToString};
use std::vec;
use std::vec::Vec;

mod common;
mod parked;
mod rare;

struct Env {
    head: Head,
    store: std::boxed::Box<Store>,
}

impl Default for Env {
    fn default() -> Env {
        Env { head: Head::new(), store: store() }
    }
}

impl Env {
    fn of(list: &[&CStr]) -> Env {
        let env = Env::default();
        // SAFETY: a proper list that is never freed.
        unsafe { env.head.assign(foreign(list)) };
        env
    }

    /// A process that never had a second thread.
    fn alone(list: &[&CStr]) -> Env {
        let mut env = Env::default();
        env.store.one_thread = true;
        // SAFETY: as above.
        unsafe { env.head.assign(foreign(list)) };
        env
    }

    fn capacity(&self) -> usize {
        self.store.arrays.latest().unwrap().capacity()
    }

    fn try_set(&self, name: &str, value: &str, overwrite: bool) -> Result<(), Error> {
        // SAFETY: proper lists throughout, here and below.
        unsafe { self.store.set(&self.head, name.as_bytes(), value.as_bytes(), overwrite) }
    }

    fn set(&self, name: &str, value: &str) {
        self.try_set(name, value, true).unwrap();
    }

    fn put(&self, string: &CStr) -> Result<(), Error> {
        // SAFETY: never freed.
        unsafe { self.store.put(&self.head, string.to_owned().into_raw()) }
    }

    fn unset(&self, name: &str) -> Result<(), Error> {
        // SAFETY: as above.
        unsafe { self.store.unset(&self.head, name.as_bytes()) }
    }

    fn clear(&self) {
        // SAFETY: as above.
        unsafe { self.store.clear(&self.head) }.unwrap();
    }

    fn at(&self, name: &str) -> Option<*const c_char> {
        // SAFETY: as above.
        unsafe { self.head.get(name.as_bytes()) }
    }

    fn get(&self, name: &str) -> Option<String> {
        // SAFETY: as above.
        self.at(name).map(|at| unsafe { CStr::from_ptr(at) }.to_str().unwrap().into())
    }

    fn snapshot(&self) -> Vec<String> {
        let mut found = [ptr::null(); 1_000];
        // SAFETY: as above.
        let count = unsafe { self.store.snapshot(&self.head, &mut found) };
        // SAFETY: as above.
        let text = |&entry: &*const c_char| unsafe { CStr::from_ptr(entry) }.to_str().unwrap().into();
        found[..count].iter().map(text).collect()
    }
}

#[test]
fn bad_names_and_values_are_refused() {
    let env = Env::of(&[c"A=1"]);
    for name in ["", "=", "A=", "=A", "A\0"] {
        assert_eq!(env.try_set(name, "1", true), Err(Error::InvalidName), "{name:?}");
        assert_eq!(env.unset(name), Err(Error::InvalidName), "{name:?}");
    }
    assert_eq!(env.try_set("A", "1\0", true), Err(Error::InvalidValue));
    for string in [c"", c"=", c"=x", c"A"] {
        assert_eq!(env.put(string), Err(Error::InvalidName), "{string:?}");
    }
    assert_eq!((env.store.retained(), entries(&env.head)), (0, ["A=1".to_string()].into()));
}

/// With threads additions come first; with one, last, as in every libc.
#[test]
fn set_replaces_in_place_and_adds_where_the_process_may() {
    let list = [c"A=1", c"B=1"];
    for (env, after) in
        [(Env::of(&list), ["D=", "C==3=", "A=1", "B=2"]), (Env::alone(&list), ["A=1", "B=2", "C==3=", "D="])]
    {
        env.set("C", "=3=");
        env.set("B", "2");
        env.set("D", "");
        assert_eq!(entries(&env.head), after);
        assert_eq!((env.get("C").as_deref(), env.get("D").as_deref()), (Some("=3="), Some("")));
    }
}

/// With threads readers may be in it: it is copied before any change, and left as it is.
#[test]
fn a_list_of_the_programs_own_is_copied_beside_threads() {
    for change in 0..3 {
        let env = Env::of(&[c"A=1", c"B=1", c"A=2", c"C=1"]);
        let list = env.head.load();
        match change {
            0 => env.set("A", "3"),
            1 => env.unset("B").unwrap(),
            _ => env.put(c"C=3").unwrap(),
        }
        assert_ne!(env.head.load(), list);
        assert_eq!(entries_at(list), ["A=1", "B=1", "A=2", "C=1"]);
    }
}

/// As libc does it: the program counts its list, and frees what is in it.
#[test]
fn a_list_of_the_programs_own_is_changed_in_place() {
    let env = Env::alone(&[c"A=1", c"B=1", c"A=2", c"C=1"]);
    {
        let list = env.head.load();
        env.set("A", "3");
        assert_eq!(entries(&env.head), ["A=3", "B=1", "C=1"]);
        assert!(!env.store.strings.owns(env.at("A").unwrap()), "from malloc");
        env.put(c"C=4").unwrap();
        env.unset("B").unwrap();
        assert_eq!((entries(&env.head), env.head.load()), (vec!["A=3".to_string(), "C=4".into()], list));
        env.unset("A").unwrap();
        env.unset("C").unwrap();
        assert_eq!((entries(&env.head).len(), env.head.load()), (0, list));
        env.set("N", "1");
        assert_ne!(env.head.load(), list, "an addition adopts");
    }
}

/// Each value replaced there is memory that only the program can free: not without end.
#[test]
fn values_replaced_in_the_programs_list_are_bounded() {
    let env = Env::alone(&[c"A=1", c"B=1"]);
    let list = env.head.load();
    for i in 0..10_000 {
        env.set("A", &i.to_string());
    }
    assert_ne!(env.head.load(), list);
    assert_eq!(entries(&env.head), ["A=9999", "B=1"]);
}

/// Order and what pointers kept into the list meet, with one thread.
#[test]
fn a_remove_keeps_the_order_with_one_thread() {
    let env = Env::alone(&[c"A=1"]);
    for name in ["B", "C", "D", "E"] {
        env.set(name, "1");
    }
    let start = env.head.load();
    env.unset("C").unwrap();
    assert_eq!(entries(&env.head), ["A=1", "B=1", "D=1", "E=1"]);
    let head = env.head.load();
    env.unset("E").unwrap();
    assert_eq!(env.head.load(), head, "nothing moves when the last one goes");
    env.set("F", "1");
    env.set("C", "2");
    assert_eq!(entries(&env.head), ["A=1", "B=1", "D=1", "F=1", "C=2"]);
    env.unset("A").unwrap();
    assert_eq!(entries(&env.head), ["B=1", "D=1", "F=1", "C=2"]);
    // From where the list was first: no name that is not set, and all that are.
    let mut kept = entries_at(start);
    kept.sort();
    kept.dedup();
    assert_eq!(kept, ["B=1", "C=2", "D=1", "F=1"]);
    env.set("D", "3");
    assert!(entries_at(start).iter().all(|entry| entry != "D=1"));
}

/// A pointer that stays where it is after a removal, as programs do that throw out what they do not know.
#[test]
fn a_loop_with_one_pointer_ends() {
    let names = ["BAD1", "KEEP1", "BAD2", "BAD3", "KEEP2", "BAD4"];
    for threads in [false, true] {
        let env = if threads { Env::of(&[]) } else { Env::alone(&[]) };
        names.iter().for_each(|name| env.set(name, "1"));
        let mut at = env.head.load();
        for steps in 0.. {
            assert!(steps < 100, "stuck");
            // SAFETY: null, or an entry of the list.
            let entry: *const c_char = unsafe { *at.cast::<*const c_char>() };
            if entry.is_null() {
                break;
            }
            let name = crate::testing::text(entry);
            match name.strip_suffix("=1").filter(|name| name.starts_with("BAD")) {
                Some(name) => env.unset(name).unwrap(),
                None => at = at.wrapping_add(1),
            }
        }
        let mut left = entries(&env.head);
        left.sort();
        assert_eq!(left, ["KEEP1=1", "KEEP2=1"]);
    }
}

/// Save, change, restore: copies that moves left are not entries; what the program stored is.
#[test]
fn a_head_put_back_collects_no_copies() {
    for env in [Env::of(&[]), Env::alone(&[])] {
        for name in ["C", "B", "A"] {
            env.set(name, "1");
        }
        for _ in 0..1_000 {
            let saved = env.head.load();
            env.unset("A").unwrap();
            // SAFETY: a list of ours.
            unsafe { env.head.assign(saved) };
            env.set("A", "1");
            assert_eq!(entries(&env.head).len(), 3, "{:?}", entries(&env.head));
        }
        let saved = env.head.load();
        for name in ["A", "B"] {
            env.unset(name).unwrap();
        }
        // SAFETY: as above.
        unsafe { env.head.assign(saved) };
        if entries(&env.head).len() > 1 {
            store_at(&env.head, 0, Some(c"MINE=1"));
        }
        env.set("N", "1");
        let mut left = entries(&env.head);
        left.sort();
        let mut twins = left.clone();
        twins.dedup();
        assert_eq!(left, twins);
        assert!(left.contains(&"C=1".to_string()) && left.contains(&"N=1".into()));
    }
}

/// Lists saved while others are the environment, three deep, with many changes at each depth.
#[test]
fn saved_lists_stay_whole_three_deep() {
    for env in [Env::of(&[]), Env::alone(&[])] {
        env.set("DEPTH", "0");
        let mut saved = Vec::new();
        for depth in 1..4 {
            saved.push((env.head.load(), entries(&env.head)));
            // SAFETY: a proper list that is never freed.
            unsafe { env.head.assign(foreign(&[c"X=1", c"Y=1"])) };
            for round in 0..300 {
                env.set("DEPTH", &depth.to_string());
                env.set(&format!("N{}", round % 7), "1");
                env.unset(&format!("N{}", (round + 3) % 7)).unwrap();
                env.unset("X").unwrap();
                env.set("X", "2");
                is_in_order(&env, false);
            }
        }
        while let Some((head, list)) = saved.pop() {
            // SAFETY: a list of ours.
            unsafe { env.head.assign(head) };
            assert_eq!(entries(&env.head), list);
        }
        let retained = env.store.retained();
        for _ in 0..300 {
            let saved = env.head.load();
            // SAFETY: as above.
            unsafe { env.head.assign(foreign(&[c"X=1"])) };
            env.set("DEPTH", "1");
            // SAFETY: as above.
            unsafe { env.head.assign(saved) };
            env.set("DEPTH", "0");
            assert_eq!(entries(&env.head), ["DEPTH=0"]);
        }
        assert!(env.store.retained() - retained < 64 << 10);
    }
}

/// What the program stored over, and freed, is met by no pointer into the list, and nor is what it cut off.
#[test]
fn a_stand_in_that_the_program_removed_stands_in_no_more() {
    for alone in [false, true] {
        for cut in [false, true] {
            let env = if alone { Env::alone(&[]) } else { Env::of(&[]) };
            for i in 0..9 {
                env.set(&format!("N{i}"), "1");
            }
            let start = env.head.load();
            // Something stands in from now on, below the head.
            let first = |env: &Env| entries(&env.head)[0].strip_suffix("=1").unwrap().to_string();
            env.unset(&first(&env)).unwrap();
            let stands = entries_at(start)[0].clone();
            let at = entries(&env.head).iter().position(|entry| *entry == stands).unwrap();
            store_at(&env.head, at, if cut { None } else { Some(c"MINE=1") });
            env.unset(&first(&env)).unwrap();
            assert!(!entries_at(start).contains(&stands), "{:?}", entries_at(start));
            // SAFETY: a list of ours.
            unsafe { env.head.assign(start) };
            env.set("ONE", "1");
            assert!(!entries(&env.head).contains(&stands));
        }
    }
}

/// What the program cut off does not come back, whatever is appended.
#[test]
fn what_was_cut_off_stays_gone() {
    for env in [Env::of(&[]), Env::alone(&[])] {
        for i in 0..6 {
            env.set(&format!("N{i}"), "1");
        }
        store_at(&env.head, 2, None);
        let left = entries(&env.head);
        assert_eq!(left.len(), 2);
        env.set("X", "1");
        env.set("Y", "1");
        let mut now = entries(&env.head);
        now.retain(|entry| !left.contains(entry));
        now.sort();
        assert_eq!(now, ["X=1", "Y=1"]);
    }
}

/// Entries that the program appends over the terminator are the truth at once, also over the last slot of an array.
#[test]
fn what_the_program_appends_is_there() {
    for alone in [false, true] {
        let env = if alone { Env::alone(&[]) } else { Env::of(&[]) };
        env.set("A", "1");
        let more = MIN_SLOTS - 2;
        for i in 1..more {
            // (The padding of an array of ours is as long as the array.)
            store_at(&env.head, i, Some(c"MORE=1"));
        }
        // SAFETY: proper lists throughout.
        let value = |name: &str| unsafe { env.store.value(&env.head, name.as_bytes()) };
        assert!(value("MORE").is_some() && value("ABSENT").is_none() && value("A").is_some());
        env.set("B", "1");
        let mut left = entries(&env.head);
        left.sort();
        // With one thread the list is copied as libc copies it, duplicates and all.
        assert_eq!(left.len(), if alone { more + 1 } else { 3 });
        left.dedup();
        assert_eq!(left, ["A=1", "B=1", "MORE=1"]);
    }
}

#[test]
fn set_without_overwrite_changes_nothing_that_is_there() {
    let env = Env::of(&[c"A=1"]);
    env.try_set("A", "2", false).unwrap();
    // Not even the list: it is still theirs, and nothing was allocated.
    assert_eq!((env.get("A").as_deref(), env.store.retained()), (Some("1"), 0));
    env.try_set("B", "2", false).unwrap();
    env.try_set("B", "3", false).unwrap();
    assert_eq!(entries(&env.head), ["B=2", "A=1"]);
}

#[test]
fn an_equal_value_of_ours_is_left_alone() {
    let env = Env::of(&[c"A=1"]);
    let theirs = env.at("A");
    env.set("A", "1");
    assert_ne!(env.at("A"), theirs, "their owner may edit it later: a copy takes its place");
    env.set("B", "1"); // now the list is ours
    env.set("A", "1");
    let ours = env.at("A");
    let retained = env.store.retained();
    env.set("A", "1");
    assert_eq!((env.at("A"), env.store.retained()), (ours, retained));
    env.set("A", "2");
    env.set("A", "1");
    assert_eq!((env.at("A"), env.store.retained()), (ours, retained + 4), "interned");
}

#[test]
fn put_stores_the_string_itself() {
    let env = Env::default();
    let string = c"A=1".to_owned().into_raw();
    // SAFETY: never freed.
    unsafe { env.store.put(&env.head, string) }.unwrap();
    assert_eq!(env.at("A"), Some(string.wrapping_add(2).cast_const()));
    // SAFETY: ours to edit.
    unsafe { string.add(2).write(b'2' as c_char) };
    assert_eq!(env.get("A").as_deref(), Some("2"));
    env.set("A", "2");
    assert_ne!(env.at("A"), Some(string.wrapping_add(2).cast_const()));
    env.put(c"A=3").unwrap();
    assert_eq!(entries(&env.head), ["A=3"]);
}

#[test]
fn unset_removes_every_duplicate() {
    let env = Env::of(&[c"A=1", c"B=1", c"C=1"]);
    env.set("D", "1");
    store_at(&env.head, 2, Some(c"A=2"));
    store_at(&env.head, 3, Some(c"A=3"));
    env.unset("A").unwrap();
    assert_eq!(entries(&env.head), ["D=1"]);
    // Nothing to do: nothing is taken over, nothing allocated.
    let env = Env::of(&[c"A=1"]);
    env.unset("B").unwrap();
    assert_eq!(env.store.retained(), 0);
}

#[test]
fn set_drops_duplicates() {
    for at in [0, 2, 3] {
        let env = Env::of(&[c"A=1", c"B=1", c"C=1"]);
        env.set("D", "1");
        store_at(&env.head, at, Some(c"A=2"));
        let array = env.store.arrays.latest().unwrap();
        env.set("A", "3");
        assert!(array.holds(env.head.load()), "what is there is replaced: nothing is added");
        let found = entries(&env.head);
        assert_eq!(found.iter().filter(|entry| entry.starts_with("A=")).count(), 1, "{found:?}");
        assert_eq!(env.get("A").as_deref(), Some("3"));
    }
}

/// The first entry must not come to lie behind a duplicate of itself.
#[test]
fn a_remove_changes_no_other_variable() {
    let env = Env::of(&[c"A=1", c"B=1", c"C=1", c"D=1"]);
    env.set("E", "1");
    // E=1 A=1 E=2 C=1 D=1
    store_at(&env.head, 2, Some(c"E=2"));
    env.unset("D").unwrap();
    assert_eq!(env.get("E").as_deref(), Some("1"));
    // A duplicate behind the victim does not matter, and stays.
    let env = Env::of(&[c"A=1", c"B=1", c"C=1", c"D=1"]);
    env.set("E", "1");
    store_at(&env.head, 4, Some(c"E=2"));
    env.unset("A").unwrap();
    assert_eq!(entries(&env.head), ["E=1", "B=1", "C=1", "E=2"]);
    // Nor does one of the first entry when that is the victim: it is removed anyway.
    env.unset("E").unwrap();
    let mut left = entries(&env.head);
    left.sort();
    assert_eq!(left, ["B=1", "C=1"]);
}

#[test]
fn clear_empties_every_list() {
    let env = Env::default();
    env.clear();
    assert_eq!(entries(&env.head).len(), 0);
    assert!(!env.head.load().is_null(), "a list of ours");
    env.set("A", "1");
    env.clear();
    assert_eq!(entries(&env.head).len(), 0);
    // SAFETY: as above.
    unsafe { env.head.assign(foreign(&[c"B=1"])) };
    env.clear();
    assert_eq!(entries(&env.head).len(), 0);
    let round = || {
        env.set("A", "1");
        env.clear();
    };
    (0..10).for_each(|_| round());
    let retained = env.store.retained();
    (0..1_000).for_each(|_| round());
    assert_eq!(env.store.retained(), retained);
}

#[test]
fn arrays_double_and_are_filled_to_the_last_slot() {
    let env = Env::default();
    for i in 0..MIN_SLOTS - 1 {
        env.set(&format!("N{i}"), "1");
    }
    assert_eq!(env.capacity(), MIN_SLOTS);
    env.set("ONE_MORE", "1");
    assert_eq!(env.capacity(), 2 * MIN_SLOTS);
    assert_eq!(env.snapshot().len(), MIN_SLOTS);
    for i in 0..MIN_SLOTS - 1 {
        assert_eq!(env.get(&format!("N{i}")).as_deref(), Some("1"));
    }
}

/// Lists of every length have room for one more, whatever array they come into.
#[test]
fn there_is_always_room_for_one_more() {
    for alone in [false, true] {
        for len in 0..3 * MIN_SLOTS {
            let env = if alone { Env::alone(&[]) } else { Env::of(&[]) };
            let list: Vec<CString> = (0..len).map(|i| CString::new(format!("N{i}=1")).unwrap()).collect();
            let list: Vec<&CStr> = list.iter().map(CString::as_c_str).collect();
            // SAFETY: a proper list that is never freed.
            unsafe { env.head.assign(foreign(&list)) };
            env.set("A", "1");
            // SAFETY: as above.
            unsafe { env.head.assign(foreign(&list)) };
            is_in_order(&env, false);
            env.set("B", "1");
            assert_eq!(entries(&env.head).len(), len + 1);
            is_in_order(&env, false);
        }
    }
}

/// Toggling takes no memory once the arrays are there, whichever variable, whichever way.
#[test]
fn toggles_take_no_memory() {
    for alone in [false, true] {
        let env = if alone { Env::alone(&[]) } else { Env::of(&[]) };
        for i in 0..40 {
            env.set(&format!("N{i}"), "1");
        }
        let toggle = |names: &[usize]| {
            for i in names {
                env.unset(&format!("N{i}")).unwrap();
                env.set(&format!("N{i}"), "1");
            }
        };
        let all: Vec<usize> = (0..40).collect();
        for _ in 0..20 {
            toggle(&all);
        }
        let retained = env.store.retained();
        for _ in 0..100 {
            toggle(&[39]);
            toggle(&[20, 21]);
            toggle(&all);
            env.clear();
            all.iter().for_each(|i| env.set(&format!("N{i}"), "1"));
        }
        assert_eq!(env.store.retained(), retained);
        assert_eq!(entries(&env.head).len(), 40);
    }
}

#[test]
fn a_snapshot_tells_how_much_there_is() {
    let env = Env::of(&[c"A=1", c"B=1", c"C=1"]);
    let mut few = [ptr::null(); 2];
    // SAFETY: as above.
    assert_eq!(unsafe { env.store.snapshot(&env.head, &mut few) }, 3);
    assert_eq!(env.snapshot(), ["A=1", "B=1", "C=1"]);
    assert_eq!(Env::default().snapshot().len(), 0);
}

/// The first value of each name, and the entries without one.
fn plain(entries: Vec<String>) -> (BTreeMap<String, String>, Vec<String>) {
    let (mut variables, mut rest) = (BTreeMap::new(), Vec::new());
    for entry in entries {
        match entry.split_once('=') {
            Some((name, value)) if !name.is_empty() => {
                variables.entry(name.to_string()).or_insert_with(|| value.to_string());
            }
            _ => rest.push(entry),
        }
    }
    rest.sort();
    (variables, rest)
}

/// Random operations, also a program's direct ones, against a plain table.
#[test]
fn random_operations_do_what_they_do_to_a_table() {
    let seed: u64 = std::env::var("SEED").map_or(20_251_121, |seed| seed.parse().unwrap());
    std::println!("SEED={seed}");
    let mut below = random(seed);
    for round in 0..if cfg!(miri) { 2 } else { 32 } {
        let env = if round % 2 == 0 { Env::default() } else { Env::alone(&[]) };
        // Of many, arrays hold the same in another order.
        let names = if round % 8 == 0 { 200 } else { 1 + below(60) };
        // Without the program's own strings and stores, a list that moves on is mostly found in the next array.
        let kinds = if round % 4 < 2 { 32 } else { 22 };
        for step in 0..if cfg!(miri) { 60 } else { 1_000 } {
            let (mut table, mut rest) = plain(entries(&env.head));
            let (name, value) = (format!("N{}", below(names)), below(50).to_string());
            let what = below(kinds);
            match what {
                0..12 => {
                    env.set(&name, &value);
                    table.insert(name.clone(), value.clone());
                }
                12..14 => {
                    env.try_set(&name, &value, false).unwrap();
                    table.entry(name.clone()).or_insert(value.clone());
                }
                14..22 => {
                    env.unset(&name).unwrap();
                    table.remove(&name);
                }
                22..26 => {
                    env.put(&CString::new(format!("{name}={value}")).unwrap()).unwrap();
                    table.insert(name.clone(), value.clone());
                }
                26 if below(10) == 0 => {
                    env.clear();
                    table.clear();
                    rest.clear();
                }
                // What programs do without us: the table is read anew.
                27 | 28 => {
                    let len = entries(&env.head).len();
                    if len > 0 {
                        let entry = CString::new(format!("{name}={value}")).unwrap().into_raw();
                        // SAFETY: never freed.
                        let entry: &'static CStr = unsafe { CStr::from_ptr(entry) };
                        store_at(&env.head, below(len), if below(20) == 0 { None } else { Some(entry) });
                    }
                    continue;
                }
                29 => {
                    let len = if below(10) == 0 { below(250) } else { below(30) };
                    let list: Vec<CString> = (0..len)
                        .map(|_| match below(10) {
                            0 => CString::new(format!("JUNK{}", below(9))).unwrap(),
                            _ => CString::new(format!("N{}={}", below(names), below(50))).unwrap(),
                        })
                        .collect();
                    let list: Vec<&CStr> = list.iter().map(CString::as_c_str).collect();
                    // SAFETY: a proper list, never freed.
                    unsafe { env.head.assign(foreign(&list)) };
                    continue;
                }
                30 if !entries(&env.head).is_empty() => {
                    // SAFETY: `environ++`.
                    unsafe { env.head.assign(env.head.load().add(1)) };
                    continue;
                }
                _ => {}
            }
            let found = plain(entries(&env.head));
            assert_eq!(found, (table, rest), "after step {step}, {what} {name}={value}");
            assert_eq!(env.get(&name), found.0.get(&name).cloned());
            assert_eq!(plain(env.snapshot()), found);
            is_in_order(&env, kinds == 32);
        }
    }
}

/// The bystanders that a scan upwards meets from `at` on.
fn upwards(at: *const Slot) -> u32 {
    entries_at(at)
        .iter()
        .filter_map(|entry| entry.strip_prefix("BY")?.split('=').next()?.parse().ok())
        .fold(0, |seen, i: u32| seen | 1 << i)
}

/// A list of the program's own was copied with one thread. Readers that are in it when threads begin find what nobody removes, however often the
/// list moves on meanwhile.
#[test]
fn a_list_copied_with_one_thread_is_not_edited_under_readers() {
    let list: Vec<CString> = (0..32)
        .map(|i| CString::new(if i % 2 == 0 { format!("BY{}=1", i / 2) } else { format!("V{i}=1") }).unwrap())
        .collect();
    let list: Vec<&CStr> = list.iter().map(CString::as_c_str).collect();
    let mut env = Env::alone(&list);
    env.set("NEW", "1");
    env.store.one_thread = false;
    let first = env.head.load();
    let len = env.snapshot().len();
    // What a reader has met that is about to load slot `i`.
    let met: Vec<u32> = (0..len).map(|i| upwards(first) & !upwards(first.wrapping_add(i))).collect();
    for _ in 0..50 {
        env.unset("V3").unwrap();
        env.set("V3", "1");
        for (i, met) in met.iter().enumerate() {
            assert_eq!(met | upwards(first.wrapping_add(i)), 0xffff, "a reader in slot {i}");
        }
    }
}

/// What a removal leaves below such a list is known for a copy, too.
#[test]
fn copies_below_a_list_copied_with_one_thread_are_dropped() {
    let mut env = Env::alone(&[c"A=1", c"B=1", c"C=1", c"D=1"]);
    env.set("NEW", "1");
    env.store.one_thread = false;
    let saved = env.head.load();
    env.unset("C").unwrap();
    // SAFETY: a list in an array of ours.
    unsafe { env.head.assign(saved) };
    env.set("Z", "1");
    let mut found = entries(&env.head);
    found.sort();
    assert_eq!(found, ["A=1", "B=1", "D=1", "NEW=1", "Z=1"]);
}

/// A string of ours that the program gives to `put` is the program's from then on: in a list of its own, when that is copied, and in the list that
/// it saved before.
#[test]
fn a_string_that_was_put_is_not_ours_in_any_list() {
    for restored in [false, true] {
        for alone in [false, true] {
            let mut env = Env::alone(&[]);
            env.store.one_thread = alone;
            (0..20).for_each(|i| env.set(&format!("V{i}"), "1"));
            let saved = env.head.load();
            let entry = env.at("V7").unwrap().wrapping_sub(3).cast_mut();
            let mut list: Vec<*const c_char> = vec![ptr::null(); 21];
            // SAFETY: proper lists; strings of ours, which stay.
            unsafe {
                env.store.snapshot(&env.head, &mut list[..20]);
                env.head.assign(list.leak().as_ptr().cast());
                env.store.put(&env.head, entry).unwrap();
                if restored {
                    env.head.assign(saved);
                } else {
                    env.set("NEW", "1");
                }
                entry.cast::<u8>().write(b'W');
                let value = |name: &str| env.store.value(&env.head, name.as_bytes());
                assert_eq!((value("W7"), value("V7")), (Some(entry.wrapping_add(3).cast_const()), None));
            }
        }
    }
}

/// An empty list moves on to an array that was left full: who is still in that meets no null where an entry was.
#[test]
fn an_empty_list_moves_on_to_an_array_that_was_full() {
    let env = Env::default();
    (0..5).for_each(|i| env.set(&format!("V{i}"), "1"));
    let first = env.head.load();
    env.clear();
    for _ in 0..20 {
        env.set("X", "1");
        assert_eq!(entries_at(first).len(), 5);
        if (first.addr() - 8 * size_of::<Slot>()..first.addr() + 64 * size_of::<Slot>())
            .contains(&env.head.load().addr())
        {
            return;
        }
        env.unset("X").unwrap();
    }
    panic!("the array was not used again");
}

/// Threads begin in a list that one thread made, whose end is in the middle of its array. It never gets longer, whatever comes into the array.
#[test]
fn a_list_that_one_thread_made_never_gets_longer() {
    let mut env = Env::alone(&[c"A=1"]);
    env.clear();
    (0..5).for_each(|i| env.set(&format!("V{i}"), "1"));
    env.store.one_thread = false;
    let first = env.head.load();
    for _ in 0..20 {
        env.clear();
        for i in 0..MIN_SLOTS - 18 {
            env.set(&format!("N{i}"), "1");
            assert!(entries_at(first).len() <= 5);
        }
        (9..MIN_SLOTS - 18).for_each(|i| env.unset(&format!("N{i}")).unwrap());
    }
}

/// What must hold of the array between two changes (A2, L6, H1), whatever the list was before. With `by_hand` the program has stored into the
/// list itself.
fn is_in_order(env: &Env, by_hand: bool) {
    use crate::array::State;
    let first = env.head.load();
    let Some(array) = env.store.arrays.holding(first).filter(|array| array.first.get() == first) else {
        return;
    };
    // SAFETY: a proper list.
    let listed: Vec<_> = unsafe { slots(first) }.collect();
    assert!(array.lowest.get() <= first);
    let left = array.below().filter(|&i| array.state(i) == State::Left).count();
    assert_eq!(array.left.get(), left, "what is left is counted");
    if by_hand {
        return;
    }
    array.assert_in_order(|entry| env.store.strings.owns(entry), env.store.inherited.keys.get());
    let free = |i: usize| matches!(array.state(i), State::Free | State::Idle);
    // (Below a list that was emptied all is as it was, until something stands in.)
    let stand_in = array.stand_in.get().0;
    for i in array.below().filter(|&i| !free(i) || !stand_in.is_null()) {
        let entry = array.slot(i).own();
        assert!(!free(i) || entry == stand_in, "a free slot holds {}", crate::testing::text(entry));
        let is_listed = listed.iter().any(|&(_, listed)| listed == entry);
        assert!(is_listed || listed.is_empty(), "below the list is {}", crate::testing::text(entry));
    }
}

/// Random changes of few names, in turn by `setenv` and by `putenv`, now and then by hand; and what a pointer kept into the list meets.
#[test]
fn nothing_below_the_list_has_left_it() {
    for round in 0..if cfg!(miri) { 2 } else { 60 } {
        let (alone, by_hand) = (round % 2 == 0, round % 3 == 0);
        let env = if alone { Env::alone(&[]) } else { Env::of(&[]) };
        let mut below = random(20_261_126 + round);
        for step in 0..if cfg!(miri) { 40 } else { 400 } {
            let name = format!("N{}", below(9));
            match below(10) {
                0..5 => env.set(&name, &step.to_string()),
                5 => env.put(&CString::new(format!("{name}=put{step}")).unwrap()).unwrap(),
                6 if by_hand && entries(&env.head).len() > 1 => {
                    // Another value in the variable's own slot.
                    let at = below(entries(&env.head).len());
                    let own = entries(&env.head)[at].split('=').next().unwrap().to_string();
                    let stored = CString::new(format!("{own}=hand{step}")).unwrap();
                    let string: &CStr = std::boxed::Box::leak(stored.into_boxed_c_str());
                    store_at(&env.head, at, Some(string));
                    continue;
                }
                7 if step % 40 == 0 => env.clear(),
                _ => env.unset(&name).unwrap(),
            }
            is_in_order(&env, by_hand);
            // No old value of that name, and none at all if it is not set.
            let now = env.at(&name);
            let Some(array) = env.store.arrays.holding(env.head.load()) else { continue };
            // SAFETY: a proper list.
            let mut listed = unsafe { slots(env.head.load()) };
            assert!(by_hand || listed.all(|(slot, entry)| array.noted(array.index(slot), entry).is_some()));
            for i in array.below().filter(|_| !array.stand_in.get().0.is_null()) {
                // SAFETY: entries are never freed here.
                let value = unsafe { entry::value_if(array.slot(i).own(), name.as_bytes()) };
                assert!(value.is_none() || value == now, "{name} in slot {i}");
            }
        }
    }
}

/// X=1 has moved up, and left a copy; then the program stores another X over it, and removes that.
#[test]
fn what_left_the_list_by_hand_is_swept_by_name() {
    for first_too in [false, true] {
        let env = Env::of(&[]);
        for name in ["C", "B", "A", "X"] {
            env.set(name, "1");
        }
        let start = env.head.load();
        if first_too {
            store_at(&env.head, 0, Some(c"X=2"));
        }
        env.unset("C").unwrap(); // X fills the gap
        assert_eq!(entries_at(start)[0], if first_too { "X=2" } else { "X=1" });
        if !first_too {
            let at = entries(&env.head).iter().position(|entry| entry == "X=1").unwrap();
            store_at(&env.head, at, Some(c"X=2"));
        }
        env.unset("X").unwrap();
        assert!(entries_at(start).iter().all(|entry| !entry.starts_with("X=")), "{:?}", entries_at(start));
    }
}

/// An owner's memory is used again, for a variable of another name, and comes to lie where the one before was.
#[test]
fn a_string_that_comes_back_with_another_name_is_a_new_one() {
    let env = Env::default();
    let string = vec![0_u8; 8].leak().as_mut_ptr();
    let put = |text: &CStr| {
        // SAFETY: eight bytes, in no list at this moment; proper lists.
        unsafe {
            ptr::copy_nonoverlapping(text.as_ptr().cast(), string, 4);
            env.store.put(&env.head, string.cast()).unwrap();
        }
    };
    let again = || {
        env.unset("A").unwrap();
        env.set("A", "1");
    };
    put(c"X=1");
    env.set("G", "1");
    env.set("A", "1");
    (0..3).for_each(|_| again());
    env.unset("X").unwrap();
    put(c"Y=1");
    env.unset("A").unwrap();
    let mut parked = Vec::new();
    for i in 0..60 {
        env.set("A", "1");
        let first = env.head.load();
        // About to load the slot that holds it.
        let at = entries_at(first).iter().position(|entry| entry == "Y=1").unwrap();
        parked.push(first.wrapping_add(at));
        if i == 20 {
            env.unset("G").unwrap();
        }
        assert!(parked.iter().all(|&slot| entries_at(slot).contains(&"Y=1".into())), "round {i}");
        env.unset("A").unwrap();
    }
}

fn look_for<'a>(hints: &'a hints::Hints, head: &Head, key: &Key<'_>) -> Look<'a> {
    let mut look = Look::default();
    // SAFETY: a proper list.
    assert_eq!(unsafe { hints.look(head, key, &|_| false, &mut look) }, Some(false));
    look
}

/// What a writer found without the lock counts under it only if all that it rests on is as it was.
#[test]
fn a_look_counts_only_if_nothing_changed() {
    let [env, other] = [0; 2].map(|_| {
        let env = Env::of(&[]);
        ["D", "C", "B", "A"].iter().for_each(|name| env.set(name, "1"));
        env
    });
    let hints = env.store.arrays.latest().unwrap().hints();
    let first = env.head.load();
    let name: &[u8] = b"A";
    let key = Key::new(&name, env.store.inherited.keys.get()).unwrap();
    let look = || look_for(hints, &env.head, &key);
    let still = |mut look: Look<'_>, hints, first| look.still(hints, first);
    let here = |look: &Look<'_>| still(*look, hints, first);
    let (one, stored) = (look(), c"A=1");
    assert!(here(&one));
    assert!(!still(one, hints, first.wrapping_add(1)), "another head");
    assert!(!still(one, other.store.arrays.latest().unwrap().hints(), first), "another array");
    let mut once = one;
    assert!(once.still(hints, first) && !once.still(hints, first), "it counts once");
    store_at(&env.head, 2, Some(stored));
    let two = look();
    assert!(here(&one) && here(&two), "what was found is there");
    store_at(&env.head, 2, Some(c"C=1"));
    assert!(here(&one) && !here(&two), "the last one was stored over");
    store_at(&env.head, 4, Some(stored));
    assert!(!here(&one), "the program appended");
    store_at(&env.head, 4, None);
    assert!(here(&one));
    env.set("B", "2");
    assert!(!here(&one), "a change");
    let change = |found: Option<_>| {
        found.iter().for_each(|_| env.set("B", "3"));
        false
    };
    // SAFETY: a proper list.
    let beside = unsafe { hints.look(&env.head, &key, &change, &mut Look::default()) };
    assert!(beside.is_none(), "a change beside it");
    let one = look();
    assert!(here(&one));
    store_at(&env.head, 0, Some(c"X=1"));
    assert!(!here(&one), "it was stored over");
}

/// The list leaves an array and comes back to it, to the very slot where it began, with other names: what a writer found there before does not count.
#[test]
fn a_look_does_not_outlive_an_edit() {
    const MANY: usize = 80;
    let env = Env::default();
    let name = |round: usize, i: usize| format!("R{round}N{i}").into_bytes();
    let mut looks = Vec::new();
    let mut met = 0;
    for round in 0..30_usize {
        let names: Vec<_> =
            (0..MANY).flat_map(|i| [(round, i, true), (round.wrapping_sub(1), i, false)]).collect();
        let names: Vec<_> =
            names.into_iter().map(|(round, i, set)| (name(round, i), set.then_some(&b"1"[..]))).collect();
        let changes: Vec<_> = names.iter().map(|(name, value)| (name.as_slice(), *value)).collect();
        // SAFETY: proper lists.
        unsafe { env.store.batch(&env.head, &changes) }.unwrap();
        let (hints, first) = (env.store.arrays.latest().unwrap().hints(), env.head.load());
        for (wanted, at, look) in &looks {
            let mut look: Look<'_> = *look;
            if *wanted == round && *at == (ptr::from_ref(hints), first) {
                met += 1;
                assert!(!look.still(hints, first), "round {round}: a name that is there was not found");
            }
        }
        for later in round + 1..round + 12 {
            let name = name(later, 0);
            let name = name.as_slice();
            let key = Key::new(&name, env.store.inherited.keys.get()).unwrap();
            looks.push((later, (ptr::from_ref(hints), first), look_for(hints, &env.head, &key)));
        }
    }
    assert!(met > 0, "no array was used again");
}

/// One that was made after the list had moved on, and before the addition that it moved on for.
#[test]
fn a_look_does_not_outlive_an_addition_into_a_kept_slot() {
    let env = Env::default();
    (0..8).for_each(|i| env.set(&format!("V{i}"), "1"));
    let name: &[u8] = b"V3";
    let keys = env.store.inherited.keys.get();
    let key = Key::new(&name, keys).unwrap();
    let mut kept = 0;
    for round in 0..40 {
        // Some of the arrays that the list leaves hold one entry more than the list has when it comes back.
        if round % 3 == 0 {
            env.set("ONCE", "1");
        }
        env.unset("V3").unwrap();
        let added = env.store.locked(|| {
            let Where::Ours(list) = env.store.place(&env.head)? else { panic!("not ours") };
            let string = env.store.strings.string(key, b"1", keys)?;
            let end = list.found(&key, &mut Look::default()).end;
            let mut list = env.store.move_on(&env.head, &list, end, true)?;
            let (hints, first) = (list.array().hints(), list.first());
            let look = look_for(hints, &env.head, &key);
            let still = |mut look: Look<'_>, first| look.still(hints, first);
            assert!(still(look, first) && look.found.places().is_none());
            assert!(list.add(string, Some(Hint { hash: key.hash, fixed: true }), look.found.end)?);
            kept += usize::from(list.first() == first);
            assert!(!still(look, list.first()));
            Ok(())
        });
        added.unwrap();
        env.unset("ONCE").unwrap();
    }
    assert!(kept > 0, "no slot was kept");
}

/// What stands in is a string that stays, if there is one: the program may store over its own, and free it, without our knowledge.
#[test]
fn no_string_of_the_programs_stands_in() {
    for env in [Env::of(&[]), Env::alone(&[])] {
        for i in 0..8 {
            if (2..6).contains(&i) {
                env.put(&CString::new(format!("PUT{i}=1")).unwrap()).unwrap();
            } else {
                env.set(&format!("V{i}"), "1");
            }
        }
        let start = env.head.load();
        let first = entries(&env.head)[0].strip_suffix("=1").unwrap().to_string();
        env.unset(&first).unwrap();
        assert!(entries_at(start)[0].starts_with('V'), "{:?}", entries_at(start));
    }
}

/// After a mass removal changes do not look at all that it left.
#[test]
fn a_short_list_does_not_stay_above_much_that_was_left() {
    let env = Env::default();
    (0..1_000).for_each(|i| env.set(&format!("N{i}"), "1"));
    (0..990).for_each(|i| env.unset(&format!("N{i}")).unwrap());
    env.set("N995", "2");
    let array = env.store.arrays.latest().unwrap();
    assert!(array.left.get() == 0 || array.below().len() < 300, "{:?}", array.below());
    assert_eq!(entries(&env.head).len(), 10);
}

/// A string of the program's lies inside of one of ours. What is set to what that reads is ours all the same.
#[test]
fn a_string_inside_of_ours_that_was_put_is_replaced() {
    for env in [Env::of(&[]), Env::alone(&[])] {
        env.set("A", "B=1");
        let inside = env.at("A").unwrap().cast_mut();
        // SAFETY: it is never freed.
        unsafe { env.store.put(&env.head, inside) }.unwrap();
        assert_eq!(env.at("B"), Some(inside.wrapping_add(2).cast_const()));
        env.set("B", "1");
        assert_ne!(env.at("B"), Some(inside.wrapping_add(2).cast_const()));
        assert_eq!((env.get("A").as_deref(), env.get("B").as_deref()), (Some("B=1"), Some("1")));
    }
}

/// The program assigns a list, and the first change of that is one of these. The list that it left is whole when it comes back.
#[test]
fn a_saved_list_stays_whole_whatever_comes_first() {
    for first in 0..3 {
        for env in [Env::of(&[]), Env::alone(&[])] {
            (0..5).for_each(|i| env.set(&format!("V{i}"), "1"));
            let (saved, list) = (env.head.load(), entries(&env.head));
            // SAFETY: a proper list that is never freed.
            unsafe { env.head.assign(foreign(&[c"X=1", c"Y=1"])) };
            match first {
                0 => env.clear(),
                // SAFETY: proper lists.
                1 => unsafe { env.store.batch(&env.head, &[(b"Z", Some(b"1"))]) }.unwrap(),
                _ => env.set("Z", "1"),
            }
            for round in 0..100 {
                env.set("A", &round.to_string());
                env.set("B", "1");
                env.unset("A").unwrap();
                env.clear();
            }
            // SAFETY: a list of ours.
            unsafe { env.head.assign(saved) };
            assert_eq!(entries(&env.head), list);
        }
    }
}

/// Of the kernel's list, once a writer has looked at it, no hints that readers built are believed, nor is what they noted.
#[cfg(not(miri))]
#[test]
fn hints_that_readers_built_are_retired_by_the_first_change() {
    if !hints::ENABLED {
        return; // readers build none
    }
    let Some((list, _)) = kernels_list() else { return };
    let env = Env::default();
    // SAFETY: it is adopted before it would be changed.
    unsafe { env.head.assign(list) };
    let inherited = &env.store.inherited;
    // SAFETY: a proper list.
    let absent = || unsafe { env.store.value(&env.head, b"ABSENT_NAME".as_slice()) }.is_none();
    (0..20_000).for_each(|_| assert!(absent()));
    let built = inherited.built().expect("the kernel's list");
    let name: &[u8] = b"ABSENT_NAME";
    let key = Key::new(&name, inherited.keys.get()).unwrap();
    // SAFETY: a proper list.
    let look = || unsafe { built.look(&env.head, &key, &|_| false, &mut Look::default()) }.is_some();
    assert!(look());
    let list = env.head.load();
    env.set("ADDED_NAME", "1");
    assert!(inherited.built().is_none());
    // SAFETY: as above.
    unsafe { env.head.assign(list) };
    assert!(!look());
}

/// The program puts an older head back, and stores over one of the copies that lie there: the others are not entries for all that.
#[test]
fn copies_beside_what_the_program_stored_are_dropped() {
    for env in [Env::of(&[]), Env::alone(&[])] {
        ["E", "D", "C", "B", "A"].iter().for_each(|name| env.set(name, "1"));
        let saved = env.head.load();
        let first: Vec<String> = entries(&env.head)[..3].iter().map(|entry| entry[..1].to_string()).collect();
        first.iter().for_each(|name| env.unset(name).unwrap());
        // SAFETY: a list of ours.
        unsafe { env.head.assign(saved) };
        store_at(&env.head, 1, Some(c"MINE=1"));
        env.set("N", "1");
        let mut left = entries(&env.head);
        left.sort();
        let twins = left.clone();
        left.dedup();
        assert_eq!(left, twins);
        assert_eq!(left.len(), 4, "{left:?}");
    }
}

/// A list that was saved and came back is one of ours as before: when it moves on, it stays whole for who is still in it.
#[test]
fn a_list_that_came_back_is_not_used_again_too_soon() {
    let env = Env::of(&[]);
    (0..6).for_each(|i| env.set(&format!("V{i}"), "1"));
    let toggle = || {
        env.unset("V3").unwrap();
        env.set("V3", "1");
    };
    for _ in 0..20 {
        toggle();
        let saved = env.head.load();
        // SAFETY: proper lists, here and below.
        unsafe { env.head.assign(foreign(&[c"X=1"])) };
        env.set("Y", "1");
        // SAFETY: as above.
        unsafe { env.head.assign(saved) };
        env.set("V1", "2");
    }
    for _ in 0..20 {
        let (array, first) = (env.store.arrays.latest().unwrap(), env.head.load());
        while ptr::eq(array, env.store.arrays.latest().unwrap()) {
            toggle();
        }
        let before = entries_at(first);
        let mut moves = 0;
        let mut live = env.store.arrays.latest().unwrap();
        while moves < 5 {
            toggle();
            let now = env.store.arrays.latest().unwrap();
            moves += usize::from(!ptr::eq(now, live));
            live = now;
            assert!(!ptr::eq(now, array), "used again after {moves} moves");
        }
        assert_eq!(entries_at(first), before);
    }
}

/// The program has left as many lists as are kept. The last three, saved one inside of the other, are whole all the same.
#[test]
fn lists_saved_in_each_other_stay_whole_after_many_others() {
    for env in [Env::of(&[]), Env::alone(&[])] {
        for i in 0..20 {
            // SAFETY: proper lists that are never freed, here and below.
            unsafe { env.head.assign(foreign(&[c"X=1", c"Y=1"])) };
            env.set("N", &i.to_string());
        }
        let mut saved = Vec::new();
        for depth in 0..3 {
            saved.push((env.head.load(), entries(&env.head)));
            // SAFETY: as above.
            unsafe { env.head.assign(foreign(&[c"X=1", c"Y=1"])) };
            env.set("DEPTH", &depth.to_string());
        }
        for (head, list) in saved.into_iter().rev() {
            // SAFETY: as above.
            unsafe { env.head.assign(head) };
            assert_eq!(entries(&env.head), list);
            env.set("BACK", "1");
        }
    }
}

#[test]
fn a_batch_of_what_holds_already_changes_nothing() {
    let env = Env::of(&[]);
    env.set("A", "1");
    env.set("B", "1");
    let (head, retained) = (env.head.load(), env.store.retained());
    // SAFETY: proper lists.
    unsafe { env.store.batch(&env.head, &[(b"A", Some(b"1")), (b"ABSENT", None)]) }.unwrap();
    assert_eq!((env.head.load(), env.store.retained()), (head, retained));
}

/// The program puts an entry in front itself. What that leaves when it fills a gap keeps its name, as all that moves.
#[test]
fn what_the_program_put_in_front_leaves_its_name() {
    let env = Env::of(&[]);
    ["C", "B", "A"].iter().for_each(|name| env.set(name, "1"));
    let start = env.head.load().wrapping_sub(1);
    // SAFETY: a list in an array of ours, once the entry is there.
    unsafe { env.head.assign(start) };
    store_at(&env.head, 0, Some(c"X=1"));
    assert_eq!(entries(&env.head), ["X=1", "A=1", "B=1", "C=1"]);
    env.unset("C").unwrap();
    env.set("D", "1");
    assert_eq!(entries_at(start)[0], "X=1");
}

/// Whose strings they are is known of a list that the program made of them, however long ago they were in the environment: that keeps its reads fast.
#[test]
fn strings_of_ours_are_known_in_a_list_of_the_programs() {
    for (alone, cleared) in [(false, false), (false, true), (true, false), (true, true)] {
        let env = if alone { Env::alone(&[]) } else { Env::of(&[]) };
        ["A", "B", "C"].iter().for_each(|name| env.set(name, "1"));
        let mut list: Vec<*const c_char> = vec![ptr::null(); 4];
        // SAFETY: proper lists, which stay.
        unsafe { env.store.snapshot(&env.head, &mut list[..3]) };
        if cleared {
            (0..3).for_each(|_| env.clear());
            env.set("OTHER", "1");
        }
        // SAFETY: as above.
        unsafe { env.head.assign(list.leak().as_ptr().cast()) };
        env.set("NEW", "1");
        let array = env.store.arrays.latest().unwrap();
        // SAFETY: as above.
        for (slot, entry) in unsafe { slots(env.head.load()) } {
            assert!(
                array.noted(array.index(slot), entry).is_some_and(|hint| hint.fixed),
                "{}",
                crate::testing::text(entry)
            );
        }
    }
}

/// The same of the kernel's strings, of which a reader has noted them.
#[cfg(not(miri))]
#[test]
fn strings_of_the_kernels_are_known_in_a_list_of_the_programs() {
    if !hints::ENABLED {
        return; // readers build none
    }
    let Some((list, _)) = kernels_list() else { return };
    for alone in [false, true] {
        let env = if alone { Env::alone(&[]) } else { Env::of(&[]) };
        // SAFETY: as above.
        unsafe { env.head.assign(list) };
        (0..20_000).for_each(|_| {
            // SAFETY: a proper list.
            assert!(unsafe { env.store.value(&env.head, b"ABSENT_NAME".as_slice()) }.is_none())
        });
        let mut list: Vec<*const c_char> = vec![ptr::null(); entries(&env.head).len() + 1];
        let len = list.len() - 1;
        // SAFETY: proper lists, which stay.
        unsafe {
            env.store.snapshot(&env.head, &mut list[..len]);
            env.head.assign(list.leak().as_ptr().cast());
        }
        env.set("ADDED_NAME", "1");
        let array = env.store.arrays.latest().unwrap();
        // SAFETY: as above.
        let fixed = unsafe { slots(env.head.load()) }
            .filter(|&(slot, entry)| array.noted(array.index(slot), entry).is_some_and(|hint| hint.fixed));
        assert_eq!(fixed.count(), len + 1);
    }
}

#[test]
fn a_batch_may_change_a_name_twice() {
    let env = Env::of(&[]);
    env.set("A", "1");
    for after in [Some("2"), None] {
        let changes: [(&[u8], _); 2] = [(b"A", None), (b"A", after.map(str::as_bytes))];
        // SAFETY: proper lists.
        unsafe { env.store.batch(&env.head, &changes) }.unwrap();
        assert_eq!(env.get("A").as_deref(), after);
    }
}

/// Its owner has given it another name since it was put: that counts.
#[test]
fn a_batch_looks_at_strings_that_were_put() {
    let env = Env::of(&[]);
    env.set("A", "1");
    let string = c"X=1".to_owned().into_raw();
    // SAFETY: never freed; ours to edit; proper lists.
    unsafe {
        env.store.put(&env.head, string).unwrap();
        string.write(b'Y' as c_char);
        env.store.batch(&env.head, &[(b"Y", Some(b"2"))]).unwrap();
    }
    let mut found = entries(&env.head);
    found.sort();
    assert_eq!(found, ["A=1", "Y=2"]);
}

/// The list comes back to an array that it left long before, much shorter: no pointer into that meets what was removed.
#[test]
fn what_went_meanwhile_is_not_met_in_an_array_that_is_used_again() {
    let env = Env::of(&[]);
    (0..100).for_each(|i| env.set(&format!("N{i}"), "1"));
    let toggle = || {
        env.unset("N95").unwrap();
        env.set("N95", "1");
    };
    toggle();
    let (old, array) = (env.head.load(), env.store.arrays.latest().unwrap());
    while ptr::eq(array, env.store.arrays.latest().unwrap()) {
        toggle();
    }
    (0..90).for_each(|i| env.unset(&format!("N{i}")).unwrap());
    for moves in 0.. {
        assert!(moves < 100, "the array was not used again");
        toggle();
        if ptr::eq(array, env.store.arrays.latest().unwrap()) {
            break;
        }
    }
    let now = entries(&env.head);
    assert_eq!(now.len(), 10);
    assert!(entries_at(old).iter().all(|entry| now.contains(entry)), "{:?}", entries_at(old));
}

/// The program stored another one of a name into a list that is longer than what is in the array to which that moves on.
#[test]
fn a_name_that_the_program_stored_again_is_there_once_when_the_list_moves_on() {
    let env = Env::of(&[]);
    (0..8).for_each(|i| env.set(&format!("V{i}"), "1"));
    let toggle = || {
        env.unset("V3").unwrap();
        env.set("V3", "1");
    };
    (0..20).for_each(|_| toggle());
    ["E1", "E2", "E3"].iter().for_each(|name| env.set(name, "1"));
    let at = entries(&env.head).iter().position(|entry| entry == "E2=1").unwrap();
    let array = env.store.arrays.latest().unwrap();
    store_at(&env.head, at, Some(c"V5=hand"));
    toggle();
    assert!(!ptr::eq(array, env.store.arrays.latest().unwrap()));
    let found = entries(&env.head);
    assert_eq!(found.iter().filter(|entry| entry.starts_with("V5=")).count(), 1, "{found:?}");
    assert_eq!(env.get("V5").as_deref(), Some("hand"));
}

/// The same where nothing is noted of it any more.
#[test]
fn a_string_that_was_put_is_not_ours_when_it_comes_back() {
    for alone in [false, true] {
        let env = if alone { Env::alone(&[]) } else { Env::of(&[]) };
        (0..20).for_each(|i| env.set(&format!("V{i}"), "1"));
        let entry = env.at("V7").unwrap().wrapping_sub(3).cast_mut();
        let mut list: Vec<*const c_char> = vec![ptr::null(); 21];
        // SAFETY: proper lists; strings of ours, which stay.
        unsafe {
            env.store.snapshot(&env.head, &mut list[..20]);
            env.store.put(&env.head, entry).unwrap();
            env.clear();
            env.set("OTHER", "1");
            env.head.assign(list.leak().as_ptr().cast());
            env.set("NEW", "1");
            entry.cast::<u8>().write(b'W');
            let value = |name: &str| env.store.value(&env.head, name.as_bytes());
            assert_eq!((value("W7"), value("V7")), (Some(entry.wrapping_add(3).cast_const()), None));
        }
    }
}

/// Where a list ends is remembered, but not if the program appended, or cut the last one off.
#[test]
fn the_end_of_a_list_is_looked_for_again() {
    let env = Env::alone(&[]);
    (0..5).for_each(|i| env.set(&format!("V{i}"), "1"));
    let array = env.store.arrays.latest().unwrap();
    let len = || array.end() - array.index(env.head.load());
    assert_eq!((array.count() - array.index(env.head.load()), len()), (5, 5));
    store_at(&env.head, 5, Some(c"MORE=1"));
    assert_eq!(len(), 6);
    store_at(&env.head, 5, None);
    assert_eq!(len(), 5);
    store_at(&env.head, 4, None);
    assert_eq!(len(), 4);
}

/// The child of a process that was forked in the middle of a change: by a handler, which will return into that change, or by another thread.
#[test]
fn a_child_knows_who_was_in_the_middle_of_a_change() {
    let (this, other) = (sync::thread(), 4711);
    for (before, after) in [(0, 0), (this, this), (other, 0)] {
        let env = Env::of(&[]);
        (0..9).for_each(|i| env.set(&format!("V{i}"), "1"));
        let array = env.store.arrays.latest().unwrap();
        // What the interrupted change has in hand.
        // SAFETY: a list in that array; nobody else has the lock.
        let plan = unsafe { env.store.means().collect(env.head.load(), Some(array), 1) }.unwrap();
        let planned: Vec<_> = plan.numbers().map(|i| plan.get(i)).collect();
        env.store.wiped.known.store(0, Ordering::Relaxed);
        env.store.busy.store(before, Ordering::Relaxed);
        // SAFETY: a proper list, never freed.
        unsafe { env.head.assign(foreign(&[c"X=1", c"Y=1", c"Z=1"])) };
        env.set("Y", "2");
        assert_eq!(sync::own_count(&env.store.busy), after);
        if before != 0 {
            assert_eq!(plan.numbers().map(|i| plan.get(i)).collect::<Vec<_>>(), planned);
            assert!(!ptr::eq(env.store.arrays.latest().unwrap(), array));
        }
        assert_eq!(entries(&env.head), ["X=1", "Y=2", "Z=1"]);
    }
}

/// The program puts an older head back and cuts the list before the one that moves left: what it then sees is the list, copies or not.
#[test]
fn a_list_that_is_cut_among_copies_stays() {
    for alone in [false, true] {
        let env = if alone { Env::alone(&[]) } else { Env::of(&[]) };
        for name in ["A", "B", "C", "D", "E", "F"] {
            env.set(name, "1");
        }
        let saved = env.head.load();
        let first: Vec<String> = entries(&env.head)[..3].iter().map(|entry| entry[..1].into()).collect();
        first.iter().for_each(|name| env.unset(name).unwrap());
        // SAFETY: a list in an array of ours.
        unsafe { env.head.assign(saved) };
        store_at(&env.head, 1, None);
        let seen = entries(&env.head);
        assert_eq!(seen.len(), 1);
        env.set("NEW", "1");
        let mut now = entries(&env.head);
        now.retain(|entry| entry != "NEW=1");
        assert_eq!(now, seen);
    }
}
