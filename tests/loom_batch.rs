//! Models of the batch: several changes that readers through the crate see all or none of.
//!
//! `RUSTFLAGS="--cfg loom" LOOM_MAX_PREEMPTIONS=1 cargo test --profile loom --test loom_batch --target-dir target/loom`

#![cfg(all(loom, not(shuttle)))]

use loom::sync::Arc;
use loom::thread;
use mtsafe_env_core::{Head, Store, sole_writer};
use std::ffi::CStr;
use std::sync::atomic::{AtomicUsize, Ordering};

struct Env {
    head: Head,
    store: Store,
}

impl Env {
    /// An environment with these variables, in one of the three arrays that are used in turn: the third batch from now will edit it.
    fn several<const N: usize>(variables: [(&str, &str); N]) -> Arc<Env> {
        mtsafe_env_core::reset();
        let env = Arc::new(Env { head: Head::new(), store: Store::new() });
        for round in ["first", "second", "third", "fourth"] {
            env.batch(&variables.map(|(name, _)| (name, Some(round))));
        }
        env.batch(&variables.map(|(name, value)| (name, Some(value))));
        env
    }

    /// As [`several`](Self::several), for scenes in which the main thread is the only one that stores.
    fn new<const N: usize>(variables: [(&str, &str); N]) -> Arc<Env> {
        let env = Env::several(variables);
        sole_writer();
        env
    }

    fn batch(&self, changes: &[(&str, Option<&str>)]) {
        let changes: Vec<_> =
            changes.iter().map(|(name, value)| (name.as_bytes(), value.map(str::as_bytes))).collect();
        // SAFETY: only the store moves this head.
        unsafe { self.store.batch(&self.head, &changes) }.unwrap();
    }

    /// Removes the variable and sets it again: the list moves to another array, and no batch is counted.
    fn toggle(&self, name: &str) {
        // SAFETY: as above.
        unsafe { self.store.unset(&self.head, name.as_bytes()) }.unwrap();
        // SAFETY: as above.
        unsafe { self.store.set(&self.head, name.as_bytes(), b"0", true) }.unwrap();
    }

    fn get(&self, name: &str) -> Option<String> {
        // SAFETY: as above.
        let value = unsafe { self.store.get(&self.head, name.as_bytes()) }?;
        // SAFETY: what the store made stays until the model is reset.
        Some(unsafe { CStr::from_ptr(value) }.to_str().unwrap().to_owned())
    }

    /// As a C program reads: one look.
    fn get_once(&self, name: &str) -> Option<String> {
        // SAFETY: as in `get`.
        let value = unsafe { self.head.get(name.as_bytes()) }?;
        // SAFETY: as in `get`.
        Some(unsafe { CStr::from_ptr(value) }.to_str().unwrap().to_owned())
    }
}

/// Explores `model` and says how often it ran: a model that ran once tested nothing.
fn explore(model: impl Fn() + Send + Sync + 'static) {
    static RUNS: AtomicUsize = AtomicUsize::new(0);
    let before = RUNS.load(Ordering::Relaxed);
    loom::model(move || {
        RUNS.fetch_add(1, Ordering::Relaxed);
        model();
    });
    let runs = RUNS.load(Ordering::Relaxed) - before;
    println!("executions {runs}");
    assert!(runs > 1);
}

/// A thread that reads X beside batches, and then by the list alone: its value never goes back.
fn reads_and_reads_once(env: &Arc<Env>) -> thread::JoinHandle<()> {
    let env = env.clone();
    thread::spawn(move || {
        let found = env.get("X").unwrap();
        let then = env.get_once("X").unwrap();
        assert!(then >= found, "X={found}, then X={then}");
    })
}

/// Three batches, so that the last one edits the array in which a reader may be who is late. What he finds there counts once it is published.
#[test]
fn a_batch_is_seen_once_it_is_published() {
    explore(|| {
        let env = Env::new([("X", "0")]);
        let reader = reads_and_reads_once(&env);
        for value in ["1", "2", "3"] {
            env.batch(&[("X", Some(value))]);
        }
        reader.join().unwrap();
    });
}

/// The same for the first batch, where the list came back to that array by other changes.
#[test]
fn the_first_batch_is_seen_once_it_is_published() {
    explore(|| {
        let env = Env::new([("A", "0"), ("X", "0"), ("Y", "0")]);
        let reader = reads_and_reads_once(&env);
        env.toggle("Y");
        env.toggle("Y");
        env.batch(&[("X", Some("1"))]);
        reader.join().unwrap();
    });
}

/// A writer who is late finds in that array what he was to set, before it is published: his change is not done for all that.
#[test]
fn a_set_beside_batches_holds() {
    explore(|| {
        let env = Env::several([("X", "0"), ("A", "0")]);
        let other = {
            let env = env.clone();
            thread::spawn(move || {
                // SAFETY: only the store moves this head.
                unsafe { env.store.set(&env.head, b"X", b"3", true) }.unwrap();
                assert_eq!(env.get("X").as_deref(), Some("3"));
            })
        };
        env.batch(&[("A", Some("1"))]);
        env.batch(&[("A", Some("2"))]);
        env.batch(&[("X", Some("3"))]);
        other.join().unwrap();
    });
}

/// Several values, one publication.
#[test]
fn a_batch_is_seen_whole() {
    explore(|| {
        let env = Env::new([("A", "0"), ("B", "0")]);
        let reader = {
            let env = env.clone();
            thread::spawn(move || {
                let (a, b) = (env.get("A").unwrap(), env.get("B").unwrap());
                assert!(b >= a, "A={a} was read before B={b}");
            })
        };
        env.batch(&[("A", Some("1")), ("B", Some("1"))]);
        env.batch(&[("A", Some("2")), ("B", Some("2"))]);
        reader.join().unwrap();
    });
}

/// The same for a removal and an addition: exactly one of the two is there.
#[test]
fn a_renamed_variable_is_always_there() {
    explore(|| {
        let env = Env::new([("X", "0"), ("A", "0")]);
        let reader = {
            let env = env.clone();
            thread::spawn(move || {
                let new = env.get("N");
                let old = env.get("A");
                // N is never taken back.
                assert!(new.is_none() || old.is_none());
            })
        };
        env.batch(&[("X", Some("1"))]);
        env.batch(&[("A", None), ("N", Some("0"))]);
        reader.join().unwrap();
    });
}

/// A walker that looks once and knows nothing of batches finds what nobody touches, as it was.
#[test]
fn a_bystander_survives_batches() {
    explore(|| {
        let env = Env::new([("X", "9"), ("A", "0")]);
        let reader = {
            let env = env.clone();
            thread::spawn(move || assert_eq!(env.get_once("X").as_deref(), Some("9")))
        };
        env.batch(&[("A", None)]);
        env.batch(&[("B", Some("1"))]);
        env.batch(&[("A", Some("1"))]);
        reader.join().unwrap();
    });
}
