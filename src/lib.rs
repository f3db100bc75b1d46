//! Environment access that is safe beside `setenv`.
#![cfg(not(loom))] // models drive the core alone
pub use mtsafe_env_core::{Error, interpose};
