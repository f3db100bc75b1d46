//! A `.env` loader beside threads that read: `cargo run --example dotenv [FILE]`
//!
//! Lines `NAME=VALUE`; empty ones and those that start with `#` are skipped. The file is loaded again and again, as a service
//! does that watches it, and each load is one batch: no reader sees half of it.

use mtsafe_env::{Batch, ChangeError};
use std::thread;

const TEXT: &str = "# of the example\nHOST=example.org\nPORT=80\n";
const NEXT: &str = "HOST=localhost\nPORT=8080\n";

mtsafe_env::interpose!(); // without it changes are refused

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let text = match std::env::args_os().nth(1) {
        Some(path) => std::fs::read_to_string(path)?,
        None => TEXT.to_owned(),
    };
    load(&text)?.publish()?;

    thread::scope(|threads| -> Result<(), ChangeError> {
        let readers: Vec<_> = (0..2).map(|_| threads.spawn(read)).collect();
        for round in 0..1_000 {
            load(if round % 2 == 0 { NEXT } else { &text })?.publish()?;
        }
        let checked: usize = readers.into_iter().filter_map(|reader| reader.join().ok()).sum();
        println!("{checked} snapshots, each of one file");
        Ok(())
    })?;
    for (name, value) in mtsafe_env::vars().filter(|(name, _)| name == "HOST" || name == "PORT") {
        println!("{name}={value}");
    }
    Ok(())
}

/// What the lines of a `.env` file change. An error says which name is wrong, and nothing was changed.
fn load(text: &str) -> Result<Batch, ChangeError> {
    let mut batch = Batch::new();
    let lines = text.lines().map(str::trim).filter(|line| !line.is_empty() && !line.starts_with('#'));
    for (name, value) in lines.filter_map(|line| line.split_once('=')) {
        batch.set(name.trim(), value.trim())?;
    }
    Ok(batch)
}

/// Host and port always belong together.
fn read() -> usize {
    (0..1_000)
        .filter(|_| {
            let now = mtsafe_env::snapshot();
            let next = now.get("HOST").is_some_and(|host| host == "localhost");
            assert_eq!(next, now.get("PORT").is_some_and(|port| port == "8080"), "half a file");
            true
        })
        .count()
}
