//! The free functions, where the executable has `interpose!`. `tests/refused.rs` is without.

#![cfg(all(target_os = "linux", feature = "std", not(loom), not(miri)))]

use mtsafe_env::{Batch, Reason, Scope};
use std::env::VarError;
use std::ffi::{CStr, OsStr};
use std::os::unix::ffi::OsStrExt;
use std::panic::catch_unwind;
use std::process::Command;
use std::thread;

mtsafe_env::interpose!();

// Each test has variables of its own: they share the process.

#[test]
fn everybody_sees_the_same() {
    mtsafe_env::set_var("FACE_SAME", "1");
    assert_eq!(mtsafe_env::var("FACE_SAME").as_deref(), Ok("1"));
    assert_eq!(std::env::var("FACE_SAME").as_deref(), Ok("1"));
    assert_eq!(mtsafe_env::with_var("FACE_SAME", CStr::to_owned).as_deref(), Some(c"1"));
    assert_eq!(mtsafe_env::process::get(b"FACE_SAME"), Ok(Some(c"1")));
    assert_eq!(mtsafe_env::snapshot().get("FACE_SAME"), Some("1".as_ref()));
    assert!(mtsafe_env::vars().any(|variable| variable == ("FACE_SAME".into(), "1".into())));
    assert!(std::env::vars_os().any(|variable| variable == ("FACE_SAME".into(), "1".into())));
    // SAFETY: a C string; the value is not changed.
    let c = unsafe { CStr::from_ptr(libc::getenv(c"FACE_SAME".as_ptr())) };
    assert_eq!(c, c"1");
    mtsafe_env::remove_var("FACE_SAME");
    assert_eq!(mtsafe_env::var("FACE_SAME"), Err(VarError::NotPresent));
    assert_eq!(std::env::var_os("FACE_SAME"), None);
}

#[test]
fn bytes_that_are_not_unicode() {
    let value = OsStr::from_bytes(b"\xff\xfe");
    mtsafe_env::set_var("FACE_BYTES", value);
    assert_eq!(mtsafe_env::var("FACE_BYTES"), Err(VarError::NotUnicode(value.to_owned())));
    assert_eq!(mtsafe_env::var_os("FACE_BYTES").as_deref(), Some(value));
    assert!(mtsafe_env::vars_os().any(|(name, _)| name == "FACE_BYTES"));
    assert!(!mtsafe_env::vars().any(|(name, _)| name == "FACE_BYTES")); // and no panic
}

const BAD: [(&str, &str, Reason); 6] = [
    ("", "x", Reason::NameEmpty),
    ("FACE_BAD=", "x", Reason::NameHasEquals),
    ("=FACE_BAD", "x", Reason::NameHasEquals),
    ("FACE_\0BAD", "x", Reason::NameHasNul),
    ("FACE_BAD", "\0", Reason::ValueHasNul),
    ("FACE_BAD", "x\0y", Reason::ValueHasNul),
];

#[test]
fn bad_input_is_named_and_changes_nothing() {
    let ours = || mtsafe_env::vars_os().any(|(name, _)| name.as_encoded_bytes().starts_with(b"FACE_BAD"));
    for (name, value, reason) in BAD {
        let error = mtsafe_env::try_set_var(name, value).unwrap_err();
        assert_eq!((error.name(), error.reason()), (OsStr::new(name), reason));
        assert!(error.to_string().contains(&format!("{name:?}: {reason}")), "{error}");
        assert_eq!(std::io::Error::from(error.clone()).kind(), std::io::ErrorKind::InvalidInput);
        assert_eq!(Batch::new().set(name, value).unwrap_err(), error);
        assert_eq!(Scope::new().set(name, value).unwrap_err(), error);
        assert!(catch_unwind(|| mtsafe_env::set_var(name, value)).is_err());
        if reason != Reason::ValueHasNul {
            assert_eq!(mtsafe_env::try_remove_var(name).unwrap_err(), error);
            assert_eq!(Batch::new().remove(name).unwrap_err(), error);
            assert_eq!(Scope::new().remove(name).unwrap_err(), error);
            assert!(catch_unwind(|| mtsafe_env::remove_var(name)).is_err());
            assert_eq!(mtsafe_env::var_os(name), None);
        }
        assert!(!ours(), "after {name:?}={value:?}");
    }
}

/// No memory of the kernel's: an error that says so, and the environment as it was. In a child, whose memory is limited.
#[test]
fn out_of_memory_is_an_error() {
    const LARGE: usize = 256 << 20;
    if std::env::var_os("FACE_NO_MEMORY").is_none() {
        return again("out_of_memory_is_an_error", "FACE_NO_MEMORY");
    }
    mtsafe_env::set_var("FACE_MEMORY", "before");
    let value = "x".repeat(LARGE);
    let mut batch = Batch::new();
    batch.set("FACE_MEMORY", "after").unwrap().set("FACE_LARGE", &value).unwrap();
    let limit = libc::rlimit { rlim_cur: 0, rlim_max: libc::RLIM_INFINITY };
    // SAFETY: a limit for this process alone. Nothing more can be mapped from here on.
    assert_eq!(unsafe { libc::setrlimit(libc::RLIMIT_AS, &limit) }, 0);
    let set = mtsafe_env::try_set_var("FACE_MEMORY", &value).unwrap_err();
    let published = batch.publish().unwrap_err();
    let after = mtsafe_env::process::get(b"FACE_MEMORY").unwrap();
    let limit = libc::rlimit { rlim_cur: libc::RLIM_INFINITY, rlim_max: libc::RLIM_INFINITY };
    // SAFETY: as above.
    assert_eq!(unsafe { libc::setrlimit(libc::RLIMIT_AS, &limit) }, 0);
    assert_eq!((set.name(), set.reason()), (OsStr::new("FACE_MEMORY"), Reason::OutOfMemory));
    assert_eq!(published.reason(), Reason::OutOfMemory);
    assert_eq!(after, Some(c"before"));
    assert_eq!(mtsafe_env::var_os("FACE_LARGE"), None);
}

#[test]
fn a_scope_restores_in_reverse() {
    mtsafe_env::set_var("FACE_SCOPE", "before");
    {
        let scope = Scope::new().set("FACE_SCOPE", "1").unwrap().remove("FACE_SCOPE").unwrap();
        let _scope = scope.set("FACE_SCOPE", "2").unwrap().set("FACE_SCOPE_NEW", "1").unwrap();
        assert_eq!(mtsafe_env::var("FACE_SCOPE").as_deref(), Ok("2"));
    }
    let restored = || {
        mtsafe_env::var("FACE_SCOPE").as_deref() == Ok("before")
            && mtsafe_env::var_os("FACE_SCOPE_NEW").is_none()
    };
    assert!(restored());
    // A change that is refused takes those before it back.
    let refused = Scope::new().set("FACE_SCOPE", "4").unwrap().set("", "");
    assert_eq!(refused.unwrap_err().reason(), Reason::NameEmpty);
    assert!(restored());
    let found = Scope::new().set("FACE_SCOPE", "5").unwrap().run(|| mtsafe_env::var("FACE_SCOPE"));
    assert_eq!(found.as_deref(), Ok("5"));
    assert!(restored());
    // Also when a test fails.
    let failed = catch_unwind(|| {
        let _scope = Scope::new().set("FACE_SCOPE", "3").unwrap();
        panic!("as a failing test");
    });
    assert!(failed.is_err() && restored());
    let scope = Scope::new().set("FACE_SCOPE_NEW", "3").unwrap();
    assert!(catch_unwind(|| scope.run(|| panic!("as a failing test"))).is_err() && restored());
}

/// One of many threads sets it, and all see what that one set.
#[test]
fn set_if_absent_is_one_step() {
    for round in 0..200 {
        let name = format!("FACE_ABSENT{}", round % 3);
        mtsafe_env::remove_var(&name);
        let one = |value: usize| {
            mtsafe_env::set_var_if_absent(&name, value.to_string());
            mtsafe_env::var(&name).unwrap()
        };
        let one = &one;
        let found: Vec<_> = thread::scope(|threads| {
            let threads: Vec<_> = (0..4).map(|value| threads.spawn(move || one(value))).collect();
            threads.into_iter().map(|thread| thread.join().unwrap()).collect()
        });
        assert!(found.iter().all(|value| *value == found[0]), "{found:?}");
    }
    assert_eq!(mtsafe_env::try_set_var_if_absent("A=B", "").unwrap_err().reason(), Reason::NameHasEquals);
    assert_eq!(mtsafe_env::try_set_var_if_absent("A", "\0").unwrap_err().reason(), Reason::ValueHasNul);
}

/// A panic is told at the line of the program that called.
#[test]
fn a_panic_names_the_caller() {
    use std::panic::{set_hook, take_hook};
    use std::sync::{Arc, Mutex};
    // In a process of its own: the hook is everybody's, and `clear` clears.
    if std::env::var_os("FACE_PANIC").is_none() {
        return again("a_panic_names_the_caller", "FACE_PANIC");
    }
    let lines = Arc::new(Mutex::new(Vec::new()));
    let seen = lines.clone();
    set_hook(Box::new(move |info| seen.lock().unwrap().push(info.location().unwrap().file().to_owned())));
    let calls: [fn(); 3] = [
        || mtsafe_env::set_var("", ""),
        || mtsafe_env::set_var_if_absent("", ""),
        || mtsafe_env::remove_var(""),
    ];
    let failed = calls.map(|call| catch_unwind(call).is_err());
    let _ = take_hook();
    assert_eq!(failed, [true; 3]);
    assert_eq!(*lines.lock().unwrap(), [file!(); 3]);
    mtsafe_env::clear();
    assert_eq!(mtsafe_env::vars_os().count(), 0);
}

/// Runs one test again, in a process of its own that has the variable `mark`.
fn again(test: &str, mark: &str) {
    let this = std::env::current_exe().unwrap();
    let output = Command::new(this).args(["--exact", test, "--nocapture"]).env(mark, "1").output().unwrap();
    assert!(output.status.success(), "{output:?}");
}

#[test]
fn a_snapshot_is_a_collection() {
    let before = mtsafe_env::snapshot();
    assert_eq!(before.len(), before.iter().count());
    assert_eq!((&before).into_iter().count(), before.iter().rev().count());
    let value = OsStr::from_bytes(b"\xff");
    let now = Scope::new()
        .set("FACE_SNAP", "1")
        .unwrap()
        .set("FACE_SNAP_BYTES", value)
        .unwrap()
        .run(mtsafe_env::snapshot);
    assert_eq!(now.var("FACE_SNAP").as_deref(), Ok("1"));
    assert_eq!(now.var("FACE_SNAP_NONE"), Err(VarError::NotPresent));
    assert_eq!(now.var("FACE_SNAP_BYTES"), Err(VarError::NotUnicode(value.to_owned())));
    assert!(now != before && now == now.clone() && !now.is_empty());
    // The order does not count, and what has no name neither.
    let environ = mtsafe_env::Environ::from(&now);
    assert_eq!(environ.len(), now.len());
    assert_eq!(environ.var("FACE_SNAP").as_deref(), Ok("1"));
    let output = Command::new("/usr/bin/env").env_clear().envs(&now).output().unwrap();
    assert!(output.stdout.split(|byte| *byte == b'\n').any(|line| line == b"FACE_SNAP=1"));
}

/// Pairs that an iterator brings are all set or none, and a bad one is told.
#[test]
fn a_batch_of_an_iterator_tells_of_bad_pairs() {
    let batch: Batch = [("FACE_ITER_A", "1"), ("FACE_ITER_B", "2")].into_iter().collect();
    batch.publish().unwrap();
    assert_eq!(mtsafe_env::var("FACE_ITER_B").as_deref(), Ok("2"));
    for (name, value, reason) in BAD {
        let mut batch: Batch = [("FACE_ITER_A", "3"), (name, value)].into_iter().collect();
        batch.extend([("=", "later")]);
        let error = batch.publish().unwrap_err();
        assert_eq!((error.name(), error.reason()), (OsStr::new(name), reason));
        assert_eq!(mtsafe_env::var("FACE_ITER_A").as_deref(), Ok("1"));
    }
}

/// `use mtsafe_env as env` and `use mtsafe_env::env` do for std's module, generic parameters and types included.
#[test]
fn it_is_a_drop_in_for_std() {
    mod root {
        use mtsafe_env as env;
        pub(super) fn go() -> Result<String, env::VarError> {
            env::set_var::<&str, String>("FACE_DROP_IN", "1".into());
            let all: env::Vars = env::vars();
            let os: env::VarsOs = env::vars_os();
            assert!(all.count() <= os.count());
            assert!(env::var_os::<&std::path::Path>("FACE_DROP_IN".as_ref()).is_some());
            env::var::<&str>("FACE_DROP_IN")
        }
    }
    mod whole {
        use mtsafe_env::env::{self, VarError};
        pub(super) fn go() -> Result<String, VarError> {
            let _: (env::Args, env::ArgsOs) = (env::args(), env::args_os());
            let joined = env::join_paths(env::split_paths("/a:/b")).unwrap();
            assert_eq!(joined, "/a:/b");
            assert!(env::temp_dir().is_absolute() && env::current_exe().is_ok());
            env::remove_var::<&str>("FACE_DROP_IN");
            env::var("FACE_DROP_IN")
        }
    }
    assert_eq!(root::go().as_deref(), Ok("1"));
    assert_eq!(whole::go(), Err(VarError::NotPresent));
}

#[test]
fn a_batch_is_in_order_and_may_be_repeated() {
    let mut batch = Batch::new();
    batch.set("FACE_ORDER", "1").unwrap().remove("FACE_ORDER").unwrap().set("FACE_ORDER", "2").unwrap();
    batch.set("FACE_GONE", "1").unwrap().remove("FACE_GONE").unwrap();
    for _ in 0..3 {
        batch.publish().unwrap();
        assert_eq!(mtsafe_env::var("FACE_ORDER").as_deref(), Ok("2"));
        assert_eq!(mtsafe_env::var_os("FACE_GONE"), None);
        mtsafe_env::set_var("FACE_ORDER", "other");
    }
    // Duplicates, and other people's variables, survive as they should.
    assert_eq!(mtsafe_env::vars_os().filter(|(name, _)| name == "FACE_ORDER").count(), 1);
}

/// Readers through the crate see all of a batch or none; snapshots, too; others are not hidden by it.
#[test]
fn a_batch_is_all_or_nothing() {
    const ROUNDS: u32 = if cfg!(debug_assertions) { 2_000 } else { 50_000 };
    mtsafe_env::set_var("FACE_STAYS", "here");
    let publish = |round: u32| {
        let value = format!("{round:08}");
        let mut batch = Batch::new();
        // One of FACE_ODD and FACE_EVEN is there, never both.
        let (come, go) = if round % 2 == 1 { ("FACE_ODD", "FACE_EVEN") } else { ("FACE_EVEN", "FACE_ODD") };
        batch.set("FACE_FIRST", &value).unwrap().remove(go).unwrap();
        batch.set(come, &value).unwrap().set("FACE_LAST", &value).unwrap();
        batch.publish().unwrap();
    };
    publish(0);
    thread::scope(|threads| {
        let writer = threads.spawn(|| {
            (1..ROUNDS).for_each(publish);
        });
        threads.spawn(|| {
            (0..ROUNDS)
                .for_each(|round| mtsafe_env::set_var("FACE_OTHER", if round % 2 == 0 { "a" } else { "b" }));
        });
        while !writer.is_finished() {
            let first = mtsafe_env::process::get(b"FACE_FIRST").unwrap().unwrap();
            let last = mtsafe_env::process::get(b"FACE_LAST").unwrap().unwrap();
            assert!(last >= first, "FACE_LAST={last:?} was read after FACE_FIRST={first:?}");
            let now = mtsafe_env::snapshot();
            assert_eq!(now.get("FACE_FIRST"), now.get("FACE_LAST"));
            assert!(now.get("FACE_ODD").is_some() != now.get("FACE_EVEN").is_some());
            assert_eq!(mtsafe_env::process::get(b"FACE_STAYS"), Ok(Some(c"here")));
            // SAFETY: a C string; nobody takes the variable away.
            assert!(!unsafe { libc::getenv(c"FACE_STAYS".as_ptr()) }.is_null());
            assert_eq!(now.iter().filter(|(name, _)| *name == "FACE_STAYS").count(), 1);
        }
    });
}

/// Endless batches over the same values need no more memory.
#[test]
fn batches_are_bounded() {
    if std::env::var_os("FACE_BATCHES").is_none() {
        return again("batches_are_bounded", "FACE_BATCHES");
    }
    let publish = |round: usize| {
        let mut batch = Batch::new();
        for i in 0..20 {
            let name = format!("FACE_BOUND{i}");
            if (round + i) % 3 == 0 {
                batch.remove(name).unwrap()
            } else {
                batch.set(name, (round % 5).to_string()).unwrap()
            };
        }
        batch.publish().unwrap();
    };
    (0..100).for_each(publish);
    let before = mtsafe_env::process::retained_bytes();
    (0..2_000).for_each(publish);
    assert_eq!(mtsafe_env::process::retained_bytes(), before);
}
