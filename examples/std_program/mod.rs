//! A program that uses nothing but `std` for its environment, beside libc functions that read it: the body of the examples
//! `std_unsafe` and `std_safe`.

use std::env;
use std::net::ToSocketAddrs;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

/// Variables that stay, and such as the writer adds and removes, round after round.
const STAY: usize = 500;
const COME_AND_GO: usize = 100;

/// Runs for as many seconds as the first argument says (default 5): one thread changes the environment, others call
/// `getaddrinfo` and `localtime`, which read it.
pub(crate) fn run() {
    let seconds = env::args().nth(1).and_then(|seconds| seconds.parse().ok()).unwrap_or(5);
    let end = Instant::now() + Duration::from_secs(seconds);
    let stop = AtomicBool::new(false);
    for i in 0..STAY {
        // SAFETY: no other thread runs yet.
        unsafe { env::set_var(format!("STAYS_{i}"), "here") };
    }
    // SAFETY: as above.
    unsafe { env::set_var("TZ", "UTC-1") };

    let (rounds, lookups, times) = thread::scope(|threads| {
        let resolver = threads.spawn(|| count_until(&stop, resolve));
        let clock = threads.spawn(|| count_until(&stop, local_hour));
        let mut rounds = 0;
        while Instant::now() < end {
            round(rounds);
            rounds += 1;
        }
        stop.store(true, Ordering::Relaxed); // Relaxed: a flag, nothing travels with it
        (rounds, resolver.join().unwrap_or(0), clock.join().unwrap_or(0))
    });
    println!(
        "survived {seconds} s: {rounds} rounds of changes beside {lookups} getaddrinfo and {times} localtime"
    );
}

fn count_until(stop: &AtomicBool, mut step: impl FnMut()) -> u64 {
    let mut count = 0;
    while !stop.load(Ordering::Relaxed) {
        step();
        count += 1;
    }
    count
}

/// Adds the variables, with values of many lengths, and removes them again.
fn round(round: usize) {
    let name = |i| format!("COMES_AND_GOES_{i}");
    for i in 0..COME_AND_GO {
        // SAFETY: in `std_safe` the C function behind this is safe beside any reader. In `std_unsafe` this is the bug.
        unsafe { env::set_var(name(i), "x".repeat((round + i) % 200)) };
    }
    for i in 0..COME_AND_GO {
        // SAFETY: as above.
        unsafe { env::remove_var(name(i)) };
    }
}

/// `getaddrinfo` reads `LOCALDOMAIN` and `RES_OPTIONS`, among others.
fn resolve() {
    let _ = ("localhost", 80).to_socket_addrs();
}

/// `localtime` reads `TZ`, each time.
fn local_hour() {
    let epoch = 0;
    // SAFETY: `localtime` returns null or a static `tm`, which only this thread uses.
    let local = unsafe { libc::localtime(&epoch).as_ref() };
    // A variable that nobody changes is always found.
    assert_eq!(local.map(|local| local.tm_hour), Some(1), "TZ was lost");
}
