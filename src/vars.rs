//! The functions of `std::env`, safe.

use crate::error::ChangeError;
#[cfg(any(windows, target_os = "linux"))]
use crate::error::{check, check_name, out_of_memory};
use crate::imp;
use crate::snapshot::{Snapshot, Vars, VarsOs, snapshot};
use crate::text::os;
use std::env::VarError;
use std::ffi::{CStr, OsStr, OsString};

/// The value of the variable `name`, or `None`.
///
/// `None` also for a name that no variable can have: an empty one, one with `=` or NUL.
///
/// # Examples
/// ```
/// mtsafe_env::set_var("COLOUR", "red");
/// assert_eq!(mtsafe_env::var_os("COLOUR"), Some("red".into()));
/// assert_eq!(mtsafe_env::var_os("NO_SUCH_COLOUR"), None);
/// ```
///
/// # Progress
/// MT-Safe, lock-free; wait-free but for the allocation of the result and beside a [`Batch`](crate::Batch): at most one load per
/// variable. No lock, no store.
///
/// # Source
/// [`std::env::var_os`], without its lock.
pub fn var_os(name: impl AsRef<OsStr>) -> Option<OsString> {
    with_var(name, |value| os(value.to_bytes()).to_owned())
}

/// The value of the variable `name` as a `String`.
///
/// # Examples
/// ```
/// use std::env::VarError;
///
/// mtsafe_env::set_var("COLOUR", "red");
/// assert_eq!(mtsafe_env::var("COLOUR").as_deref(), Ok("red"));
/// assert_eq!(mtsafe_env::var("NO_SUCH_COLOUR"), Err(VarError::NotPresent));
/// ```
///
/// # Errors
/// `NotPresent` without such a variable, `NotUnicode` with the value if it is not valid Unicode.
///
/// # Progress
/// As [`var_os`].
///
/// # Source
/// [`std::env::var`], without its lock.
pub fn var(name: impl AsRef<OsStr>) -> Result<String, VarError> {
    var_os(name).ok_or(VarError::NotPresent)?.into_string().map_err(VarError::NotUnicode)
}

/// Passes the value of the variable `name` to `read`, and returns what that returns; `None` without such a variable. Copies
/// nothing, allocates nothing.
///
/// # Examples
/// ```
/// mtsafe_env::set_var("WIDTH", "80");
/// let digits = mtsafe_env::with_var("WIDTH", |value| value.to_bytes().len());
/// assert_eq!(digits, Some(2));
/// ```
///
/// # Progress
/// MT-Safe, lock-free; wait-free beside everything but a [`Batch`](crate::Batch): at most one load per variable. No lock is held
/// while `read` runs, which may change the environment as it likes.
pub fn with_var<R>(name: impl AsRef<OsStr>, read: impl FnOnce(&CStr) -> R) -> Option<R> {
    imp::with(name.as_ref().as_encoded_bytes(), read)
}

/// All variables with their values, as of one moment.
///
/// Changes made later are not seen. Entries without a name (no `=`, or nothing before it) are left out.
///
/// # Examples
/// ```
/// mtsafe_env::set_var("COLOUR", "red");
/// assert!(mtsafe_env::vars_os().any(|(name, value)| name == "COLOUR" && value == "red"));
/// ```
///
/// # Progress
/// As [`snapshot`].
///
/// # Source
/// [`std::env::vars_os`]; that one takes `=A=B` for a variable named `=A`.
pub fn vars_os() -> VarsOs {
    snapshot().into_iter()
}

/// All variables whose name and value are valid Unicode, as of one moment.
///
/// # Examples
/// ```
/// mtsafe_env::set_var("COLOUR", "red");
/// assert!(mtsafe_env::vars().any(|(name, value)| name == "COLOUR" && value == "red"));
/// ```
///
/// # Progress
/// As [`snapshot`].
///
/// # Source
/// [`std::env::vars`], which panics when it meets a variable that is not valid Unicode: whoever starts the program
/// could stop it with one. Here such variables are left out; [`vars_os`] has them.
pub fn vars() -> Vars {
    Snapshot::into_vars(snapshot())
}

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
#[cfg(any(windows, target_os = "linux"))]
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
#[cfg(any(windows, target_os = "linux"))]
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
#[cfg(any(windows, target_os = "linux"))]
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
#[cfg(any(windows, target_os = "linux"))]
pub fn try_remove_var(name: impl AsRef<OsStr>) -> Result<(), ChangeError> {
    let name = name.as_ref();
    check_name(name)?;
    imp::unset(name.as_encoded_bytes()).map_err(|_| out_of_memory(name))
}
