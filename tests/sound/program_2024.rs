//! A program without `unsafe`, of the edition of 2024, with a dependency that is older.
#![forbid(unsafe_code)]

#[cfg(feature = "macro")]
mtsafe_env::interpose!();

fn main() {
    let reads = std::env::args().nth(1).unwrap().parse().unwrap();
    body::run(reads, old::set, old::remove);
}
