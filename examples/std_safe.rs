//! After: the same program as `std_unsafe`, and one macro.
//!
//! `cargo run --release --example std_safe 60`

#[cfg(target_os = "linux")]
mod std_program;

mtsafe_env::interpose!();

fn main() {
    #[cfg(target_os = "linux")]
    std_program::run();
}
