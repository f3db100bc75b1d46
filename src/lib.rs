//! Environment access that is safe beside `setenv`.
pub use mtsafe_env_core::Error;
#[cfg(all(target_os = "linux", not(loom)))]
pub use mtsafe_env_core::interpose;
