//! The reading functions of `std::env`.
#![forbid(unsafe_code)]

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
/// # mtsafe_env::interpose!();
/// mtsafe_env::set_var("COLOUR", "red");
/// assert_eq!(mtsafe_env::var_os("COLOUR"), Some("red".into()));
/// assert_eq!(mtsafe_env::var_os("NO_SUCH_COLOUR"), None);
/// ```
///
/// # Progress
/// Where [`interposed`](crate::interposed) is true: MT-Safe, lock-free; wait-free but for the allocation of the result and beside a
/// [`Batch`](crate::Batch): at most one load per variable. No lock, no store. Elsewhere std's function is called, with its lock.
///
/// # Source
/// [`std::env::var_os`], without its lock.
pub fn var_os<K: AsRef<OsStr>>(name: K) -> Option<OsString> {
    with_var(name, |value| os(value.to_bytes()).to_owned())
}

/// The value of the variable `name` as a `String`.
///
/// # Examples
/// ```
/// use mtsafe_env::VarError;
///
/// # mtsafe_env::interpose!();
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
pub fn var<K: AsRef<OsStr>>(name: K) -> Result<String, VarError> {
    var_os(name).ok_or(VarError::NotPresent)?.into_string().map_err(VarError::NotUnicode)
}

/// Passes the value of the variable `name` to `read`, and returns what that returns; `None` without such a variable. Copies
/// nothing and allocates nothing where [`interposed`](crate::interposed) is true; elsewhere `read` is shown a copy.
///
/// # Examples
/// ```
/// # mtsafe_env::interpose!();
/// mtsafe_env::set_var("WIDTH", "80");
/// let digits = mtsafe_env::with_var("WIDTH", |value| value.to_bytes().len());
/// assert_eq!(digits, Some(2));
/// ```
///
/// # Progress
/// As [`var_os`]. No lock is held while `read` runs, which may change the environment as it likes.
pub fn with_var<R, K: AsRef<OsStr>>(name: K, read: impl FnOnce(&CStr) -> R) -> Option<R> {
    imp::with(name.as_ref().as_encoded_bytes(), read)
}

/// All variables with their values, as of one moment.
///
/// Changes made later are not seen. Entries without a name (no `=`, or nothing before it) are left out.
///
/// # Examples
/// ```
/// # mtsafe_env::interpose!();
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
/// # mtsafe_env::interpose!();
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
