//! What any dependency may do that is older than the edition of 2024.
#![forbid(unsafe_code)]

pub fn set(name: &str, value: &str) {
    std::env::set_var(name, value);
}

pub fn remove(name: &str) {
    std::env::remove_var(name);
}
