//! A crate that calls `std::env::set_var`, made safe by one line: `cargo run --example dotenvy`
//!
//! dotenvy's functions are safe ones, since it was written before `set_var` became unsafe. Beside threads they are not: with libc's `setenv`
//! a reader in C would crash. With the macro `std::env` uses this implementation, dotenvy unchanged.

use std::net::ToSocketAddrs;
use std::thread;

mtsafe_env::interpose!(); // the one line

fn main() -> Result<(), Box<dyn std::error::Error>> {
    thread::scope(|threads| {
        // Looks a name up, for which libc reads the environment.
        let reader = threads.spawn(|| (0..100).filter(|_| "localhost:80".to_socket_addrs().is_ok()).count());
        for round in 0..1_000 {
            let text = format!("# of the example\nHOST=example.org\nROUND={round}\n");
            dotenvy::from_read_override(text.as_bytes())?;
        }
        println!("{} look-ups beside 1000 loads", reader.join().expect("it does not panic"));
        Ok::<_, dotenvy::Error>(())
    })?;
    println!("HOST={} ROUND={}", mtsafe_env::var("HOST")?, mtsafe_env::var("ROUND")?);
    Ok(())
}
