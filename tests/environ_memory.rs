//! Memory of the owned list: bounded by the data that is alive, and all of it given back. Under AddressSanitizer:
//! `RUSTFLAGS=-Zsanitizer=address cargo +nightly test --target x86_64-unknown-linux-gnu --test environ --test environ_memory`

#![cfg(all(feature = "epoch", not(loom)))]

use mtsafe_env::Environ;
use std::alloc::{GlobalAlloc, Layout, System};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};
use std::thread;

/// The system's allocator, counting.
struct Counting;

static OBJECTS: AtomicUsize = AtomicUsize::new(0);
static BYTES: AtomicUsize = AtomicUsize::new(0);

// SAFETY: every call goes to the system's allocator as it is.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        OBJECTS.fetch_add(1, Ordering::Relaxed);
        BYTES.fetch_add(layout.size(), Ordering::Relaxed);
        // SAFETY: the caller's promise.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, at: *mut u8, layout: Layout) {
        OBJECTS.fetch_sub(1, Ordering::Relaxed);
        BYTES.fetch_sub(layout.size(), Ordering::Relaxed);
        // SAFETY: the caller's promise.
        unsafe { System.dealloc(at, layout) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

/// The counters are everybody's.
static ONE_AT_A_TIME: Mutex<()> = Mutex::new(());

/// Lets the collector free all that was retired. Nobody is pinned.
fn collect() {
    for _ in 0..64 {
        crossbeam_epoch::pin().flush();
    }
}

/// Makes `count` replacements of values of 100 bytes beside two readers; returns the most bytes seen alive.
fn replace(count: usize) -> usize {
    let environ = Environ::try_from_iter((0..16).map(|i| (format!("NAME{i}"), "x".repeat(100)))).unwrap();
    let names: Vec<_> = (0..16).map(|i| format!("NAME{i}")).collect();
    let values: Vec<_> = (0..7).map(|i| format!("{i}").repeat(100)).collect();
    let stop = AtomicBool::new(false);
    let mut most = 0;
    thread::scope(|threads| {
        for _ in 0..2 {
            threads.spawn(|| {
                while !stop.load(Ordering::Relaxed) {
                    for name in &names {
                        let guard = environ.pin();
                        let value = guard.get(name).unwrap().as_encoded_bytes();
                        // Freed memory would not be a hundred times the same byte.
                        assert!(value.len() == 100 && value.iter().all(|byte| *byte == value[0]));
                    }
                }
            });
        }
        for i in 0..count {
            environ.set(&names[i % 16], &values[i % 7]).unwrap();
            if i % 64 == 0 {
                most = most.max(BYTES.load(Ordering::Relaxed));
            }
        }
        stop.store(true, Ordering::Relaxed);
    });
    most
}

/// A reader that is suspended while it is pinned holds back what is replaced meanwhile: the bound leaves room for that.
const BOUND: usize = 64 << 20;

#[test]
fn memory_is_bounded_by_live_data() {
    let _alone = ONE_AT_A_TIME.lock().unwrap_or_else(PoisonError::into_inner);
    let most = replace(1_000_000);
    println!("at most {most} bytes alive");
    // All the values together are 100 MB, and more with their headers: kept, they would not fit.
    assert!(most < BOUND, "{most} bytes");
}

/// Large values are given back no later than small ones: bytes count, not objects.
#[test]
fn large_values_do_not_pile_up() {
    const LARGE: usize = 1 << 20;
    let _alone = ONE_AT_A_TIME.lock().unwrap_or_else(PoisonError::into_inner);
    collect();
    let (environ, before, mut most) = (Environ::new(), BYTES.load(Ordering::Relaxed), 0);
    let values = ["a".repeat(LARGE), "b".repeat(LARGE)];
    for i in 0..500 {
        environ.set("LARGE", &values[i % 2]).unwrap();
        most = most.max(BYTES.load(Ordering::Relaxed) - before);
    }
    assert!(most < 20 * LARGE, "{most} bytes");
}

/// `cargo test --release --test environ_memory -- --ignored --nocapture`
#[test]
#[ignore = "a minute: ten million replacements"]
fn memory_is_flat_over_ten_million_replacements() {
    let _alone = ONE_AT_A_TIME.lock().unwrap_or_else(PoisonError::into_inner);
    let resident = || {
        let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap_or("0 kB");
        line.trim().trim_end_matches(" kB").parse::<usize>().unwrap()
    };
    let mut after_first = 0;
    for tenth in 0..10 {
        let most = replace(1_000_000);
        println!("{} million: at most {most} bytes alive, resident {} kB", tenth + 1, resident());
        assert!(most < BOUND);
        if tenth == 0 {
            after_first = resident();
        }
    }
    assert!(resident() < after_first + (BOUND >> 10), "resident memory grew");
}

/// Adding and removing new names for ever: tables and arrays come and go, too.
#[test]
fn new_names_for_ever_cost_nothing() {
    let _alone = ONE_AT_A_TIME.lock().unwrap_or_else(PoisonError::into_inner);
    let environ = Environ::new();
    let before = BYTES.load(Ordering::Relaxed);
    for i in 0..100_000 {
        let name = format!("NAME{i}");
        environ.set(&name, "value").unwrap();
        if i >= 10 {
            environ.remove(format!("NAME{}", i - 10)).unwrap();
        }
    }
    collect();
    let after = BYTES.load(Ordering::Relaxed);
    assert_eq!(environ.len(), 10);
    assert!(after < before + (256 << 10), "{before} bytes before, {after} after");
    // A list that was large gives its memory back when it is small again.
    (0..100_000).for_each(|i| environ.set(format!("LARGE{i}"), "").unwrap());
    (0..100_000).for_each(|i| assert!(environ.remove(format!("LARGE{i}")).unwrap()));
    environ.set("ONE_MORE", "").unwrap();
    collect();
    let after = BYTES.load(Ordering::Relaxed);
    assert!(after < before + (256 << 10), "{before} bytes before, {after} after it was large");
}

/// What is left after `clear`, or after the removal of almost all, is what a small list takes: nobody has to use the environment, or
/// any other one, afterwards.
#[test]
fn clear_and_mass_removal_give_back() {
    const MANY: usize = 20_000;
    const SMALL: usize = 128 << 10; // 64 KiB may wait to be given back
    let _alone = ONE_AT_A_TIME.lock().unwrap_or_else(PoisonError::into_inner);
    let fill = |environ: &Environ| {
        (0..MANY).for_each(|i| environ.set(format!("NAME{i}"), "value").unwrap());
    };
    collect();
    let before = BYTES.load(Ordering::Relaxed);
    let bytes = || BYTES.load(Ordering::Relaxed).saturating_sub(before);
    let environ = Environ::new();
    fill(&environ);
    assert!(bytes() > 16 * SMALL, "{} bytes are too few for a test", bytes());
    environ.clear();
    assert!(bytes() < SMALL, "{} bytes after clear", bytes());
    fill(&environ);
    (10..MANY).for_each(|i| assert!(environ.remove(format!("NAME{i}")).unwrap()));
    assert!(bytes() < SMALL, "{} bytes with 10 of {MANY} left", bytes());
    assert_eq!((environ.len(), environ.pin().iter().count()), (10, 10));
    (0..10).for_each(|i| assert!(environ.contains(format!("NAME{i}"))));
    // The same for what C walks.
    let guard = environ.pin();
    // SAFETY: the list has ten entries and a null, and the guard is alive.
    assert!(unsafe {
        (0..10).all(|i| !(*guard.as_ptr().add(i)).is_null()) && (*guard.as_ptr().add(10)).is_null()
    });
}

/// As many objects are freed as were made, and none is freed while a reader holds it.
#[test]
fn everything_is_dropped_once() {
    let _alone = ONE_AT_A_TIME.lock().unwrap_or_else(PoisonError::into_inner);
    collect();
    drop(Environ::new().pin()); // this thread's part of the collector
    let before = OBJECTS.load(Ordering::Relaxed);
    let environ = Environ::new();
    environ.set("A", "first").unwrap();
    let guard = environ.pin();
    let first = guard.get("A").unwrap();
    let held = OBJECTS.load(Ordering::Relaxed);
    for i in 0..1_000 {
        environ.set("A", i.to_string()).unwrap();
    }
    collect();
    // All thousand are still there: this thread was pinned before the first was replaced.
    assert!(OBJECTS.load(Ordering::Relaxed) >= held + 1_000);
    assert_eq!(first, "first");
    drop(guard);
    collect();
    let alive = OBJECTS.load(Ordering::Relaxed);
    assert!(alive < held + 100, "{alive} objects, {held} before the replacements");
    drop(environ);
    collect();
    // The collector keeps a few objects of its own, and the test harness allocates beside us; a thousand were retired.
    let after = OBJECTS.load(Ordering::Relaxed);
    assert!(after <= before + 100, "{before} objects before, {after} after");
}
