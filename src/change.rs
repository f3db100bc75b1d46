//! The writing functions of `std::env`, safe.
#![forbid(unsafe_code)]

use crate::error::{ChangeError, check, check_name};
use crate::imp;
use std::ffi::OsStr;

/// Sets the variable `name` to `value`. Safe beside any reader, in Rust or C: see [`soundness`](crate::soundness).
///
/// # Examples
/// ```
/// mtsafe_env::interpose!(); // in the executable; without it changes are refused
///
/// # fn main() {
/// std::thread::scope(|threads| {
///     threads.spawn(|| mtsafe_env::set_var("COLOUR", "red"));
///     threads.spawn(|| mtsafe_env::var("COLOUR"));
/// });
/// assert_eq!(mtsafe_env::var("COLOUR").as_deref(), Ok("red"));
/// # }
/// ```
///
/// # Panics
/// As `std`: if the name is empty or contains `=` or NUL, if the value contains NUL, and without memory. And where the process does
/// not use this crate's functions ([`interposed`](crate::interposed)): the message says what to add. [`try_set_var`] does not panic.
///
/// # Progress
/// MT-Safe, not AS-Safe; blocking (one lock among writers, held for a pass over the variables). A variable that has that value
/// already is left alone, without the lock.
///
/// # Source
/// [`std::env::set_var`], which is unsafe. Memory: each new `NAME=VALUE` is kept for ever, as C's callers of `getenv` demand;
/// one that was used before is used again.
#[track_caller]
pub fn set_var<K: AsRef<OsStr>, V: AsRef<OsStr>>(name: K, value: V) {
    or_panic(try_set_var(name, value));
}

/// Sets the variable `name` to `value`, unless it has a value: then that stays. The two are one step: of several threads one sets it.
///
/// # Examples
/// ```
/// # mtsafe_env::interpose!();
/// mtsafe_env::set_var_if_absent("COLOUR", "red");
/// mtsafe_env::set_var_if_absent("COLOUR", "blue");
/// assert_eq!(mtsafe_env::var("COLOUR").as_deref(), Ok("red"));
/// ```
///
/// # Panics
/// As [`set_var`]. [`try_set_var_if_absent`] does not.
///
/// # Progress
/// As [`set_var`]. A variable that is there is left alone, without the lock.
///
/// # Source
/// C's `setenv(name, value, 0)`. (On Windows two steps.)
#[track_caller]
pub fn set_var_if_absent<K: AsRef<OsStr>, V: AsRef<OsStr>>(name: K, value: V) {
    or_panic(try_set_var_if_absent(name, value));
}

/// Removes the variable `name`, if there is one. Safe beside any reader, in Rust or C: see [`soundness`](crate::soundness).
///
/// # Examples
/// ```
/// # mtsafe_env::interpose!();
/// mtsafe_env::set_var("COLOUR", "red");
/// mtsafe_env::remove_var("COLOUR");
/// assert_eq!(mtsafe_env::var_os("COLOUR"), None);
/// ```
///
/// # Panics
/// As [`set_var`]. [`try_remove_var`] does not.
///
/// # Progress
/// As [`set_var`].
///
/// # Source
/// [`std::env::remove_var`], which is unsafe.
#[track_caller]
pub fn remove_var<K: AsRef<OsStr>>(name: K) {
    or_panic(try_remove_var(name));
}

/// Removes all variables.
///
/// # Examples
/// ```
/// # mtsafe_env::interpose!();
/// mtsafe_env::clear();
/// assert_eq!(mtsafe_env::vars_os().count(), 0);
/// ```
///
/// # Panics
/// Without memory, and where the process does not use this crate's functions. [`try_clear`] does not.
///
/// # Progress
/// As [`set_var`].
///
/// # Source
/// C's `clearenv`; std has no such function. (On Windows the variables go one after the other.)
#[track_caller]
pub fn clear() {
    or_panic(try_clear());
}

#[track_caller]
fn or_panic(done: Result<(), ChangeError>) {
    if let Err(error) = done {
        panic!("{error}");
    }
}

/// Sets the variable `name` to `value`; says what is wrong where [`set_var`] panics.
///
/// # Examples
/// ```
/// use mtsafe_env::Reason;
///
/// # mtsafe_env::interpose!();
/// mtsafe_env::try_set_var("COLOUR", "red")?;
/// assert_eq!(mtsafe_env::try_set_var("", "red").unwrap_err().reason(), Reason::NameEmpty);
/// assert_eq!(mtsafe_env::try_set_var("COLOUR", "r\0d").unwrap_err().reason(), Reason::ValueHasNul);
/// assert_eq!(mtsafe_env::var("COLOUR").as_deref(), Ok("red"));
/// # Ok::<(), mtsafe_env::ChangeError>(())
/// ```
///
/// A program without the macro is told so:
/// ```standalone_crate
/// # if cfg!(any(miri, not(target_os = "linux"))) { return }
/// let error = mtsafe_env::try_set_var("COLOUR", "red").unwrap_err();
/// assert!(matches!(error.reason(), mtsafe_env::Reason::NotInterposed(_)));
/// assert!(error.to_string().contains("add `mtsafe_env::interpose!();` to the executable"));
/// ```
///
/// # Errors
/// A name that is empty or contains `=` or NUL, a value that contains NUL, no memory, a process that does not use this crate's
/// functions. Nothing was changed.
///
/// # Progress
/// As [`set_var`].
pub fn try_set_var<K: AsRef<OsStr>, V: AsRef<OsStr>>(name: K, value: V) -> Result<(), ChangeError> {
    set(name.as_ref(), value.as_ref(), true)
}

/// Sets the variable `name` to `value`, unless it has a value; says what is wrong where [`set_var_if_absent`] panics.
///
/// # Examples
/// ```
/// # mtsafe_env::interpose!();
/// mtsafe_env::try_set_var_if_absent("COLOUR", "red")?;
/// mtsafe_env::try_set_var_if_absent("COLOUR", "blue")?;
/// assert_eq!(mtsafe_env::var("COLOUR").as_deref(), Ok("red"));
/// # Ok::<(), mtsafe_env::ChangeError>(())
/// ```
///
/// # Errors
/// As [`try_set_var`]; a value that is there already is none.
///
/// # Progress
/// As [`set_var_if_absent`].
pub fn try_set_var_if_absent<K: AsRef<OsStr>, V: AsRef<OsStr>>(name: K, value: V) -> Result<(), ChangeError> {
    set(name.as_ref(), value.as_ref(), false)
}

fn set(name: &OsStr, value: &OsStr, overwrite: bool) -> Result<(), ChangeError> {
    check(name, value)?;
    imp::set(name.as_encoded_bytes(), value.as_encoded_bytes(), overwrite)
        .map_err(|error| ChangeError::new(name, imp::reason(error)))
}

/// Removes the variable `name`, if there is one; says what is wrong where [`remove_var`] panics.
///
/// # Examples
/// ```
/// use mtsafe_env::Reason;
///
/// # mtsafe_env::interpose!();
/// mtsafe_env::try_remove_var("NO_SUCH_COLOUR")?;
/// assert_eq!(mtsafe_env::try_remove_var("A=B").unwrap_err().reason(), Reason::NameHasEquals);
/// # Ok::<(), mtsafe_env::ChangeError>(())
/// ```
///
/// # Errors
/// A name that is empty or contains `=` or NUL, no memory, a process that does not use this crate's functions. Nothing was changed.
///
/// # Progress
/// As [`set_var`].
pub fn try_remove_var<K: AsRef<OsStr>>(name: K) -> Result<(), ChangeError> {
    let name = name.as_ref();
    check_name(name)?;
    imp::unset(name.as_encoded_bytes()).map_err(|error| ChangeError::new(name, imp::reason(error)))
}

/// Removes all variables; says what is wrong where [`clear`] panics.
///
/// # Examples
/// ```
/// # mtsafe_env::interpose!();
/// mtsafe_env::try_clear()?;
/// assert_eq!(mtsafe_env::vars_os().count(), 0);
/// # Ok::<(), mtsafe_env::ChangeError>(())
/// ```
///
/// # Errors
/// No memory, a process that does not use this crate's functions; the name is empty then. Nothing was changed.
///
/// # Progress
/// As [`set_var`].
pub fn try_clear() -> Result<(), ChangeError> {
    imp::clear().map_err(|error| ChangeError::new(OsStr::new(""), imp::reason(error)))
}
