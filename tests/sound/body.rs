//! Readers through this crate beside a writer through `std::env`: safe code alone. The test's programs and plugins run it.
#![forbid(unsafe_code)]

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use std::thread;

/// Two threads read `reads` times each, in every form there is, while one changes the environment through `set` and `remove`, which are std's,
/// and one through this crate. Prints what was seen, and fails if a variable that nobody touches was not found once.
pub fn run(reads: u64, set: fn(&str, &str), remove: fn(&str)) {
    set("STAYS", "here");
    let (stop, rounds) = (AtomicBool::new(false), AtomicU64::new(0));
    let (stop, rounds, status) = (&stop, &rounds, mtsafe_env::status());
    // As many reads as asked for, and a whole round of changes beside them, however slow the machine is.
    let read = move || {
        let mut lost = 0;
        (0..)
            .take_while(|i| *i < reads || rounds.load(Relaxed) < 2)
            .for_each(|i| lost += u64::from(!finds(i)));
        lost
    };
    let (lost, made, refused) = thread::scope(|threads| {
        let readers = [threads.spawn(read), threads.spawn(read)];
        let ours = threads.spawn(move || changes(stop));
        // On this thread: the first one's heap is where what glibc's `setenv` leaves is soon something else.
        while !readers.iter().all(|reader| reader.is_finished()) {
            let round = rounds.load(Relaxed);
            (0..400).for_each(|i| set(&format!("W{round}_{i}"), "x"));
            (0..400).for_each(|i| remove(&format!("W{round}_{i}")));
            rounds.store(round + 1, Relaxed);
        }
        let lost: u64 = readers.into_iter().map(|reader| reader.join().unwrap()).sum();
        stop.store(true, Relaxed);
        let (made, refused) = ours.join().unwrap();
        (lost, made, refused)
    });
    println!("{status:?}: {reads} reads and more by each of 2 threads, {lost} lost");
    println!("changes: {made} made, {refused} refused; {} rounds of std's", rounds.load(Relaxed));
    assert_eq!(lost, 0);
    assert!(if status.is_interposed() { refused == 0 } else { made == 0 });
}

fn finds(i: u64) -> bool {
    // What takes std's lock for long is rare, or little else would run.
    match i % 4096 {
        0 => mtsafe_env::snapshot().get("STAYS") == Some("here".as_ref()),
        1 => mtsafe_env::vars_os().any(|(name, value)| name == "STAYS" && value == "here"),
        i if i % 3 == 0 => mtsafe_env::with_var("STAYS", |value| value == c"here") == Some(true),
        i if i % 3 == 1 => mtsafe_env::var_os("STAYS").as_deref() == Some("here".as_ref()),
        // There is no lock to fall back on.
        2 => mtsafe_env::process::get(b"STAYS") == Ok(Some(c"here")) || !mtsafe_env::interposed(),
        _ => mtsafe_env::var("STAYS").as_deref() == Ok("here"),
    }
}

/// How many changes were made, and how many were refused.
fn changes(stop: &AtomicBool) -> (u64, u64) {
    let (mut made, mut refused) = (0, 0);
    for i in 0.. {
        if stop.load(Relaxed) {
            break;
        }
        let name = format!("O{}", i % 100);
        let mut batch = mtsafe_env::Batch::new();
        batch.set(&name, "y").unwrap();
        for done in [mtsafe_env::try_set_var(&name, "x"), batch.publish(), mtsafe_env::try_remove_var(&name)]
        {
            if done.is_ok() { made += 1 } else { refused += 1 }
        }
        thread::yield_now();
    }
    (made, refused)
}
