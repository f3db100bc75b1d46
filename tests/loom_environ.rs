//! Models of the owned list, crossbeam's epochs included. loom fails a model that leaks memory, frees it twice, or frees or
//! writes what is not ordered after every read of it. Without `--cfg crossbeam_loom` these are other people's models: they may use an
//! `Environ`, and explore less of it.
//!
//! `RUSTFLAGS="--cfg loom --cfg crossbeam_loom" LOOM_MAX_PREEMPTIONS=2 cargo test --profile loom --test loom_environ --target-dir target/loom`

#![cfg(loom)]

use loom::sync::Arc;
use loom::thread;
use mtsafe_env::Environ;
use std::sync::atomic::{AtomicUsize, Ordering};

fn environ(variables: &[(&str, &str)]) -> Arc<Environ> {
    let environ = Environ::new();
    environ.try_extend(variables.iter().copied()).unwrap();
    Arc::new(environ)
}

/// Explores `model` and says how often it ran: a model that ran once tested nothing.
fn explore(model: impl Fn() + Send + Sync + 'static) {
    let runs = std::sync::Arc::new(AtomicUsize::new(0));
    let counter = runs.clone();
    loom::model(move || {
        counter.fetch_add(1, Ordering::Relaxed);
        model();
    });
    let runs = runs.load(Ordering::Relaxed);
    println!("executions {runs}");
    assert!(runs > 1);
}

/// What a reader finds is written whole before, and freed only after it is done with it.
#[test]
fn an_entry_is_whole() {
    explore(|| {
        let environ = environ(&[("A", "1")]);
        let reader = {
            let environ = environ.clone();
            thread::spawn(move || {
                let guard = environ.pin();
                let first = guard.get("A").unwrap();
                assert!(first == "1" || first == "2");
                // A value never goes back.
                assert!(guard.get("A").unwrap() >= first);
            })
        };
        // Pinned already, the writer passes none of the fences with which crossbeam pins: only our own orderings are left.
        let guard = environ.pin();
        environ.set("A", "2").unwrap();
        drop(guard);
        reader.join().unwrap();
    });
}

/// Three places of the first table are taken: the writer publishes another table, and a longer list.
#[test]
fn a_bystander_survives_a_new_table() {
    explore(|| {
        let environ = environ(&[("X", "9"), ("A", "1"), ("B", "1")]);
        let reader = {
            let environ = environ.clone();
            thread::spawn(move || assert_eq!(environ.pin().get("X"), Some("9".as_ref())))
        };
        environ.set("C", "1").unwrap();
        reader.join().unwrap();
    });
}

/// Removing, and adding in another place, hides nobody.
#[test]
fn a_bystander_survives_a_removal() {
    explore(|| {
        let environ = environ(&[("A", "1"), ("X", "9")]);
        let reader = {
            let environ = environ.clone();
            thread::spawn(move || {
                assert_eq!(environ.pin().get("X"), Some("9".as_ref()));
                environ.var_os("A")
            })
        };
        environ.remove("A").unwrap();
        reader.join().unwrap();
        assert_eq!(environ.var_os("A"), None);
    });
}

#[test]
fn two_writers_lose_nothing() {
    explore(|| {
        let environ = environ(&[]);
        let other = {
            let environ = environ.clone();
            thread::spawn(move || environ.set("A", "1").unwrap())
        };
        environ.set("B", "1").unwrap();
        other.join().unwrap();
        assert_eq!((environ.len(), environ.pin().iter().count()), (2, 2));
        assert!(environ.var_os("A").is_some() && environ.var_os("B").is_some());
    });
}

/// All the variables of one moment: B is set only where A is gone.
#[test]
fn iteration_is_one_moment() {
    explore(|| {
        let environ = environ(&[("A", "1")]);
        let reader = {
            let environ = environ.clone();
            thread::spawn(move || {
                let guard = environ.pin();
                let names: Vec<_> = guard.iter().map(|(name, _)| name).collect();
                assert!(names == ["A"] || names.is_empty() || names == ["B"], "{names:?}");
            })
        };
        environ.remove("A").unwrap();
        environ.set("B", "1").unwrap();
        reader.join().unwrap();
    });
}
