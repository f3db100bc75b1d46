//! The owned list against a plain map, and under threads.

#![cfg(all(feature = "epoch", not(loom)))]

use mtsafe_env::{Environ, Reason};
use std::collections::HashMap;
use std::ffi::{CStr, OsStr, OsString};
use std::hash::{BuildHasher, RandomState};
use std::thread;

/// What C sees: the live list up to its null.
fn walk(environ: &Environ) -> Vec<String> {
    let guard = environ.pin();
    let list = guard.as_ptr();
    let entries = (0..).map(|i| {
        // SAFETY: the list ends in null, and `take_while` stops there; the guard is alive.
        unsafe { *list.add(i) }
    });
    let strings = entries.take_while(|entry| !entry.is_null());
    // SAFETY: entries are C strings, and the guard is alive.
    strings.map(|entry| unsafe { CStr::from_ptr(entry) }.to_str().unwrap().to_owned()).collect()
}

fn assert_equal(environ: &Environ, model: &HashMap<String, String>) {
    let mut expected: Vec<_> = model.iter().map(|(name, value)| format!("{name}={value}")).collect();
    expected.sort();
    let mut listed = walk(environ);
    listed.sort();
    assert_eq!(listed, expected, "the list");
    let mut iterated: Vec<_> = environ
        .vars_os()
        .into_iter()
        .map(|(n, v)| format!("{}={}", n.to_str().unwrap(), v.to_str().unwrap()))
        .collect();
    iterated.sort();
    assert_eq!(iterated, expected, "iteration");
    let mut envp: Vec<_> = environ.as_envp().iter().map(|entry| entry.to_str().unwrap().to_owned()).collect();
    envp.sort();
    assert_eq!(envp, expected, "envp");
    assert_eq!(environ.len(), model.len());
    let guard = environ.pin();
    for (name, value) in model {
        assert_eq!(guard.get(name), Some(OsStr::new(value)), "the index: {name}");
    }
}

#[test]
fn random_operations_equal_a_map() {
    let seed = RandomState::new().hash_one(0);
    println!("seed {seed}");
    let mut state = seed | 1;
    let mut random = move |below: u64| {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state % below
    };
    let (mut environ, mut model) = (Environ::new(), HashMap::new());
    for step in 0..20_000 {
        // Few names at times, many at others, so that both structures grow and shrink.
        let names = if step / 2_000 % 2 == 0 { 300 } else { 5 };
        let name = format!("N{}", random(names));
        match random(100) {
            0..50 => {
                let digits = random(40);
                let value = format!("{:x}", random(1 << digits));
                environ.set(&name, &value).unwrap();
                model.insert(name, value);
            }
            50..90 => assert_eq!(environ.remove(&name).unwrap(), model.remove(&name).is_some()),
            90..98 => {
                environ.put(format!("{name}=put")).unwrap();
                model.insert(name, "put".to_owned());
            }
            98 if random(20) == 0 => {
                environ.clear();
                model.clear();
            }
            _ => {
                let copy = environ.clone();
                environ.set("LATER", "").unwrap();
                assert_equal(&copy, &model);
                environ = copy;
            }
        }
        assert_eq!(environ.var("N1").ok().as_ref(), model.get("N1"));
        if step % 100 == 0 {
            assert_equal(&environ, &model);
        }
    }
    assert_equal(&environ, &model);
}

#[test]
fn bad_input_is_named_and_changes_nothing() {
    let environ = Environ::try_from([("A", "1")]).unwrap();
    for (name, value, reason) in [
        ("", "x", Reason::NameEmpty),
        ("B=", "x", Reason::NameHasEquals),
        ("=B", "x", Reason::NameHasEquals),
        ("B\0", "x", Reason::NameHasNul),
        ("B", "x\0", Reason::ValueHasNul),
    ] {
        let error = environ.set(name, value).unwrap_err();
        assert_eq!((error.name(), error.reason()), (OsStr::new(name), reason));
        assert_eq!(environ.try_extend([("C", "1"), (name, value)]).unwrap_err(), error);
        assert_eq!(Environ::try_from([("C", "1"), (name, value)]).unwrap_err(), error);
        assert_eq!(Environ::try_from(vec![("C", "1"), (name, value)]).unwrap_err(), error);
        assert_eq!(Environ::try_from(HashMap::from([(name, value)])).unwrap_err(), error);
        assert_eq!(Environ::try_from_iter([(name, value)]).unwrap_err(), error);
        if reason != Reason::ValueHasNul {
            assert_eq!(environ.remove(name).unwrap_err(), error);
        }
    }
    for entry in ["", "=x", "B=x\0", "B\0"] {
        assert!(environ.put(entry).is_err(), "{entry:?}");
    }
    assert_eq!(environ.var_os(""), None);
    assert_eq!(environ.var_os("A=1"), None);
    assert_eq!(environ.vars_os(), [(OsString::from("A"), OsString::from("1"))]);
}

/// A static, equality whatever the order, and loops over a reference.
#[test]
fn it_is_a_collection() {
    static SHARED: Environ = Environ::new();
    assert!(!SHARED.contains("A"));
    SHARED.try_extend([("A", "1"), ("B", "2")]).unwrap();
    assert!(SHARED.contains("A") && !SHARED.contains("C") && !SHARED.contains(""));
    let other = Environ::try_from([("B", "2"), ("A", "1")]).unwrap();
    assert_eq!(SHARED, other);
    assert_eq!(SHARED, SHARED.clone());
    assert_eq!(Environ::new(), Environ::new());
    for (name, value) in [("A", "2"), ("C", "3")] {
        let changed = other.clone();
        changed.set(name, value).unwrap();
        assert_ne!(SHARED, changed);
    }
    assert_ne!(SHARED, Environ::new());
    let mut pairs: Vec<_> = (&SHARED).into_iter().collect();
    pairs.sort();
    assert_eq!(pairs, [("A".into(), "1".into()), ("B".into(), "2".into())]);
    // Of several values for one name the last counts.
    let last = Environ::try_from([("A", "1"), ("A", "2")]).unwrap();
    assert_eq!((last.len(), last.var("A").as_deref()), (1, Ok("2")));
}

#[cfg(unix)]
#[test]
fn a_command_takes_a_reference() {
    let environ = Environ::try_from([("A", "1")]).unwrap();
    let mut command = std::process::Command::new("/usr/bin/env");
    assert_eq!(command.env_clear().envs(&environ).output().unwrap().stdout, b"A=1\n");
}

#[test]
fn an_empty_list_is_one() {
    let environ = Environ::new();
    assert!(walk(&environ).is_empty());
    assert_eq!(environ.as_envp().iter().count(), 0);
    assert!(!environ.remove("A").unwrap());
    environ.clear();
    environ.set("A", "1").unwrap();
    environ.remove("A").unwrap();
    assert!(walk(&environ).is_empty());
}

#[cfg(unix)]
#[test]
fn any_bytes_are_a_value() {
    use std::os::unix::ffi::OsStrExt;
    let bytes: Vec<u8> = (1..=255).collect();
    let environ = Environ::new();
    environ.set("BYTES", OsStr::from_bytes(&bytes)).unwrap();
    assert_eq!(environ.pin().get("BYTES").unwrap().as_bytes(), bytes);
    assert!(matches!(environ.var("BYTES"), Err(std::env::VarError::NotUnicode(_))));
    let output = environ.apply(std::process::Command::new("/usr/bin/env").arg("-0")).output().unwrap();
    assert_eq!(output.stdout, [b"BYTES=", &bytes[..], b"\0"].concat());
}

/// Readers by name, by iteration and as C reads, beside two writers: a variable nobody touches is always found, with its value;
/// a value never goes back; iteration shows one moment.
#[test]
fn threads_agree() {
    const ROUNDS: usize = if cfg!(miri) { 20 } else { 20_000 };
    let environ = Environ::try_from([("STAYS", "here"), ("COUNT", "00000000")]).unwrap();
    thread::scope(|threads| {
        let counting = threads.spawn(|| {
            for round in 1..=ROUNDS {
                environ.set("COUNT", format!("{round:08}")).unwrap();
            }
        });
        let churning = threads.spawn(|| {
            for round in 0..ROUNDS {
                let name = format!("C{}", round % 40);
                // One of the two is there at each moment, and both only in between.
                environ.set("LEFT", "").unwrap();
                environ.set(&name, "x").unwrap();
                environ.remove("RIGHT").unwrap();
                environ.set("RIGHT", "").unwrap();
                environ.remove("LEFT").unwrap();
                if round % 7 == 0 {
                    environ.remove(&name).unwrap();
                }
            }
        });
        environ.set("RIGHT", "").unwrap();
        let mut last = OsString::new();
        while !(counting.is_finished() && churning.is_finished()) {
            let guard = environ.pin();
            assert_eq!(guard.get("STAYS"), Some("here".as_ref()));
            let count = guard.get("COUNT").unwrap();
            assert!(count >= last.as_os_str(), "{count:?} after {last:?}");
            last = count.to_owned();
            let mut names: Vec<_> = guard.iter().map(|(name, _)| name).collect();
            names.sort();
            let before = names.len();
            names.dedup();
            assert_eq!(names.len(), before, "a variable twice in {names:?}");
            assert!(names.contains(&"STAYS".as_ref()));
            assert!(walk(&environ).iter().any(|entry| entry == "STAYS=here"));
        }
    });
    assert_eq!(environ.var("COUNT").unwrap(), format!("{ROUNDS:08}"));
}
