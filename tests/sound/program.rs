//! A program without `unsafe`, before the edition of 2024, in which `std::env::set_var` is a safe function.
#![forbid(unsafe_code)]

#[cfg(feature = "macro")]
mtsafe_env::interpose!();

fn main() {
    let reads = std::env::args().nth(1).unwrap().parse().unwrap();
    body::run(reads, |name, value| std::env::set_var(name, value), |name| std::env::remove_var(name));
}
