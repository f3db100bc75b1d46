//! A Rust program of std alone: `set_var` takes std's lock, but `ToSocketAddrs` reads the environment inside libc without it.

use std::net::ToSocketAddrs;
use std::time::{Duration, Instant};
use std::{env, thread};

fn main() {
    let seconds = env::args().nth(1).and_then(|s| s.parse().ok()).unwrap_or(5);
    let end = Instant::now() + Duration::from_secs(seconds);
    let writer = thread::spawn(move || {
        for round in 0..u32::MAX {
            for i in 0..2000 {
                // SAFETY: none: this is the fault to show. With the preload library there is none.
                unsafe { env::set_var(format!("V{}_{i}", round % 4), "x".repeat(i % 40)) };
                // What libc frees is soon something else, as in any program.
                let sizes = [i * 8, i * 8 + 16, i * 8 + 512].map(|size| vec![b'x'; size]);
                drop(std::hint::black_box(sizes));
            }
            for i in 0..2000 {
                // SAFETY: as above.
                unsafe { env::remove_var(format!("V{}_{i}", round % 4)) };
            }
            if Instant::now() > end {
                return;
            }
        }
    });
    // A name without dots: libc looks for HOSTALIASES before it asks the name server (which is out of reach).
    let resolve = move || {
        while Instant::now() < end {
            drop(("nosuchhost", 80).to_socket_addrs());
        }
    };
    let readers: Vec<_> = (0..4).map(|_| thread::spawn(resolve)).collect();
    readers.into_iter().for_each(|reader| reader.join().unwrap());
    writer.join().unwrap();
}
