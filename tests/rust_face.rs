//! The free functions, without `interpose!`: this process has libc's `setenv`.

#![cfg(all(target_os = "linux", feature = "std", not(loom)))]

mod builds;

use mtsafe_env::{Batch, Reason, Scope, Status};
use std::env::VarError;
use std::ffi::{CStr, OsStr};
use std::os::unix::ffi::OsStrExt;
use std::panic::catch_unwind;
use std::path::Path;
use std::process::Command;
use std::thread;

// Each test has variables of its own: they share the process.

#[test]
fn libc_is_not_interposed_here() {
    assert_eq!(mtsafe_env::status(), Status::NotInterposed);
    assert!(!mtsafe_env::interposed());
}

/// Runs one test of this binary again, with `library` preloaded.
fn again_with(library: &Path, test: &str) {
    let output = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", test, "--nocapture"])
        .env("LD_PRELOAD", library)
        .env("FACE_AGAIN", "1")
        .output()
        .unwrap();
    assert!(output.status.success(), "{output:?}");
}

/// Beside the preload library, the functions of the crate are its functions: one lock, whoever writes.
#[test]
fn under_the_preload_library() {
    const ROUNDS: u32 = 2_000;
    if std::env::var_os("FACE_AGAIN").is_none() {
        let args = ["build", "--quiet", "--release", "--package", "mtsafe-env-preload"];
        let target = builds::cargo(Path::new(env!("CARGO_MANIFEST_DIR")), "preload", &args, "");
        return again_with(&target.join("release/libmtsafe_env_preload.so"), "under_the_preload_library");
    }
    assert_eq!(mtsafe_env::status(), Status::Preloaded);
    assert!(mtsafe_env::interposed());
    let mut batch = Batch::new();
    batch.set("FACE_PRE_A", "1").unwrap().set("FACE_PRE_B", "1").unwrap().remove("FACE_PRE_A").unwrap();
    batch.publish().unwrap();
    assert_eq!(mtsafe_env::var_os("FACE_PRE_A"), None);
    assert_eq!(mtsafe_env::var("FACE_PRE_B").as_deref(), Ok("1"));
    assert_eq!(mtsafe_env::snapshot().get("FACE_PRE_B"), Some("1".as_ref()));
    thread::scope(|threads| {
        threads.spawn(|| {
            for round in 0..ROUNDS {
                mtsafe_env::set_var("FACE_PRE_A", round.to_string());
                assert_eq!(mtsafe_env::var("FACE_PRE_A"), Ok(round.to_string()));
                mtsafe_env::remove_var("FACE_PRE_A");
                assert_eq!(mtsafe_env::var_os("FACE_PRE_A"), None);
            }
        });
        for round in 0..ROUNDS {
            // SAFETY: C's function is the preload library's: safe beside any reader.
            unsafe { std::env::set_var("FACE_PRE_C", round.to_string()) };
            assert_eq!(mtsafe_env::var("FACE_PRE_C"), Ok(round.to_string()));
        }
    });
    // Nothing of this was made by the copy in this binary.
    assert_eq!(mtsafe_env::process::retained_bytes(), 0);
}

/// Somebody else's definition of one of the six is noticed.
#[test]
fn beside_a_foreign_definition() {
    if std::env::var_os("FACE_AGAIN").is_none() {
        let text = "int putenv(char *string) { return string == 0; }";
        return again_with(&builds::c_library("foreign", text), "beside_a_foreign_definition");
    }
    assert_eq!(mtsafe_env::status(), Status::Foreign);
    assert!(!mtsafe_env::interposed());
    mtsafe_env::set_var("FACE_FOREIGN", "1");
    assert_eq!(mtsafe_env::var("FACE_FOREIGN").as_deref(), Ok("1"));
}

#[test]
fn everybody_sees_the_same() {
    mtsafe_env::set_var("FACE_SAME", "1");
    assert_eq!(mtsafe_env::var("FACE_SAME").as_deref(), Ok("1"));
    assert_eq!(std::env::var("FACE_SAME").as_deref(), Ok("1"));
    assert_eq!(mtsafe_env::with_var("FACE_SAME", CStr::to_owned).as_deref(), Some(c"1"));
    assert_eq!(mtsafe_env::process::get(b"FACE_SAME"), Some(c"1"));
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
        let this = std::env::current_exe().unwrap();
        let output = Command::new(this)
            .args(["--exact", "out_of_memory_is_an_error"])
            .env("FACE_NO_MEMORY", "1")
            .output()
            .unwrap();
        assert!(output.status.success(), "{output:?}");
        return;
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
    let after = mtsafe_env::process::get(b"FACE_MEMORY");
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
        let mut scope = Scope::new();
        scope.set("FACE_SCOPE", "1").unwrap().remove("FACE_SCOPE").unwrap().set("FACE_SCOPE", "2").unwrap();
        scope.set("FACE_SCOPE_NEW", "1").unwrap();
        assert!(scope.set("", "").is_err());
        assert_eq!(mtsafe_env::var("FACE_SCOPE").as_deref(), Ok("2"));
    }
    assert_eq!(mtsafe_env::var("FACE_SCOPE").as_deref(), Ok("before"));
    assert_eq!(mtsafe_env::var_os("FACE_SCOPE_NEW"), None);
    // Also when a test fails.
    let _ = catch_unwind(|| {
        let mut scope = Scope::new();
        scope.set("FACE_SCOPE", "3").unwrap();
        panic!("as a failing test");
    });
    assert_eq!(mtsafe_env::var("FACE_SCOPE").as_deref(), Ok("before"));
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
            let first = mtsafe_env::process::get(b"FACE_FIRST").unwrap();
            let last = mtsafe_env::process::get(b"FACE_LAST").unwrap();
            assert!(last >= first, "FACE_LAST={last:?} was read after FACE_FIRST={first:?}");
            let now = mtsafe_env::snapshot();
            assert_eq!(now.get("FACE_FIRST"), now.get("FACE_LAST"));
            assert!(now.get("FACE_ODD").is_some() != now.get("FACE_EVEN").is_some());
            assert_eq!(mtsafe_env::process::get(b"FACE_STAYS"), Some(c"here"));
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
        let this = std::env::current_exe().unwrap();
        let mut child = Command::new(this);
        let output =
            child.args(["--exact", "batches_are_bounded"]).env("FACE_BATCHES", "1").output().unwrap();
        assert!(output.status.success(), "{output:?}");
        return;
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
