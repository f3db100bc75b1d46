//! A Rust program that resolves names on one thread and sets variables on another: `set_var` takes std's lock, `getaddrinfo`
//! reads inside libc without it.

use std::net::ToSocketAddrs;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};

static GOING: AtomicBool = AtomicBool::new(true);
static RESOLVED: AtomicU32 = AtomicU32::new(0);

#[inline(never)]
fn choose_proxy(number: u32) {
    std::env::set_var(format!("PROXY_{number}"), "none"); // culprit
}

fn main() {
    let resolver = std::thread::Builder::new().name("resolver".into()).spawn(|| {
        while GOING.load(Ordering::Relaxed) {
            drop("127.0.0.1:80".to_socket_addrs());
            drop(("localhost", 80).to_socket_addrs()); // reader
            RESOLVED.fetch_add(1, Ordering::Relaxed);
        }
    });
    for number in 0..200 {
        let resolved = RESOLVED.load(Ordering::Relaxed);
        choose_proxy(number);
        while number % 20 == 0 && RESOLVED.load(Ordering::Relaxed) == resolved {
            std::thread::yield_now();
        }
    }
    GOING.store(false, Ordering::Relaxed);
    resolver.expect("a thread").join().expect("it ends");
}
