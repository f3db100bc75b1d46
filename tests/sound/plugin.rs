//! A plugin as for Python or nginx: the same in a library that a program in C loads.

#[cfg(feature = "macro")]
mtsafe_env::interpose!();

#[unsafe(no_mangle)]
pub extern "C" fn run(reads: u64) {
    println!("{}", mtsafe_env::status());
    body::run(reads, old::set, old::remove);
}
