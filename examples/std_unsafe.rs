//! Before: a program that changes the environment with `std::env::set_var` while libc reads it on other threads.
//!
//! With glibc before 2.41 it crashes, mostly within a second: `cargo run --release --example std_unsafe`. Its twin `std_safe` has one line more.

#[cfg(target_os = "linux")]
mod std_program;

fn main() {
    #[cfg(target_os = "linux")]
    std_program::run();
}
