//! The writing functions of `std::env`, safe.
#![forbid(unsafe_code)]

use crate::error::{ChangeError, check, check_name, out_of_memory};
use crate::imp;
use std::ffi::OsStr;

/// Sets the variable `name` to `value`. Safe beside any reader, in Rust or C: see [`soundness`](crate::soundness).
///
/// # Examples
/// ```
/// std::thread::scope(|threads| {
///     threads.spawn(|| mtsafe_env::set_var("COLOUR", "red"));
///     threads.spawn(|| mtsafe_env::var("COLOUR"));
/// });
/// assert_eq!(mtsafe_env::var("COLOUR").as_deref(), Ok("red"));
/// ```
///
/// # Panics
/// As `std`: if the name is empty or contains `=` or NUL, if the value contains NUL, and without memory.
/// [`try_set_var`] does not.
///
/// # Progress
/// MT-Safe, not AS-Safe; blocking (one lock among writers, held for a pass over the variables). A variable that has that value
/// already is left alone, without the lock.
///
/// # Source
/// [`std::env::set_var`], which is unsafe. Memory: each new `NAME=VALUE` is kept for ever, as C's callers of `getenv` demand;
/// one that was used before is used again.
pub fn set_var(name: impl AsRef<OsStr>, value: impl AsRef<OsStr>) {
    try_set_var(name, value).unwrap_or_else(|error| panic!("{error}"));
}

/// Removes the variable `name`, if there is one. Safe beside any reader, in Rust or C: see [`soundness`](crate::soundness).
///
/// # Examples
/// ```
/// mtsafe_env::set_var("COLOUR", "red");
/// mtsafe_env::remove_var("COLOUR");
/// assert_eq!(mtsafe_env::var_os("COLOUR"), None);
/// ```
///
/// # Panics
/// As `std`: if the name is empty or contains `=` or NUL, and without memory. [`try_remove_var`] does not.
///
/// # Progress
/// As [`set_var`].
///
/// # Source
/// [`std::env::remove_var`], which is unsafe.
pub fn remove_var(name: impl AsRef<OsStr>) {
    try_remove_var(name).unwrap_or_else(|error| panic!("{error}"));
}

/// Sets the variable `name` to `value`; says what is wrong where [`set_var`] panics.
///
/// # Examples
/// ```
/// use mtsafe_env::Reason;
///
/// mtsafe_env::try_set_var("COLOUR", "red")?;
/// assert_eq!(mtsafe_env::try_set_var("", "red").unwrap_err().reason(), Reason::NameEmpty);
/// assert_eq!(mtsafe_env::try_set_var("COLOUR", "r\0d").unwrap_err().reason(), Reason::ValueHasNul);
/// assert_eq!(mtsafe_env::var("COLOUR").as_deref(), Ok("red"));
/// # Ok::<(), mtsafe_env::ChangeError>(())
/// ```
///
/// # Errors
/// A name that is empty or contains `=` or NUL, a value that contains NUL, no memory. Nothing was changed.
///
/// # Progress
/// As [`set_var`].
pub fn try_set_var(name: impl AsRef<OsStr>, value: impl AsRef<OsStr>) -> Result<(), ChangeError> {
    let (name, value) = (name.as_ref(), value.as_ref());
    check(name, value)?;
    imp::set(name.as_encoded_bytes(), value.as_encoded_bytes()).map_err(|_| out_of_memory(name))
}

/// Removes the variable `name`, if there is one; says what is wrong where [`remove_var`] panics.
///
/// # Examples
/// ```
/// use mtsafe_env::Reason;
///
/// mtsafe_env::try_remove_var("NO_SUCH_COLOUR")?;
/// assert_eq!(mtsafe_env::try_remove_var("A=B").unwrap_err().reason(), Reason::NameHasEquals);
/// # Ok::<(), mtsafe_env::ChangeError>(())
/// ```
///
/// # Errors
/// A name that is empty or contains `=` or NUL, no memory. Nothing was changed.
///
/// # Progress
/// As [`set_var`].
pub fn try_remove_var(name: impl AsRef<OsStr>) -> Result<(), ChangeError> {
    let name = name.as_ref();
    check_name(name)?;
    imp::unset(name.as_encoded_bytes()).map_err(|_| out_of_memory(name))
}
