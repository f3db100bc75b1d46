//! The process environment for those who have no std: bytes and C strings, no allocation.
//!
//! These are the functions under everything else in this crate. They need nothing but libc, and work before `main`, inside an
//! allocator, and in a forked child. (Linux only. `put` and [`snapshot`] are C's `putenv` and a walk, without its races.)
//!
//! They work where [`interposed`](crate::interposed) is true. Elsewhere libc's `setenv` could free what a read returns, and there is no lock
//! of std's to fall back on: **everything here, reads included, is refused** with [`Error::NotInterposed`] then. Where
//! [`status`](crate::status()) says `Preloaded`, they go through the C functions, which are the other copy's, names longer than 255 bytes
//! by way of `malloc`.
//!
//! # Examples
//! ```
//! use mtsafe_env::process::{self, Error};
//!
//! mtsafe_env::interpose!();
//!
//! # fn main() -> Result<(), Error> {
//! # if cfg!(miri) { return Ok(()) }
//! process::set(b"COLOUR", b"red", true)?;
//! assert_eq!(process::get(b"COLOUR")?, Some(c"red"));
//! process::set(b"COLOUR", b"blue", false)?; // it has a value: left alone
//! assert_eq!(process::get(b"COLOUR")?, Some(c"red"));
//!
//! // Several at once: readers through `get` see all or none.
//! process::batch(&[(b"COLOUR", None), (b"SHAPE", Some(b"round"))])?;
//! assert_eq!(process::get(b"COLOUR")?, None);
//!
//! // The caller's own string becomes the entry: it must live for ever.
//! // SAFETY: a literal does.
//! unsafe { process::put(c"SIZE=9".as_ptr().cast_mut())? };
//! assert_eq!(process::get(b"SIZE")?, Some(c"9"));
//! process::unset(b"SIZE")?;
//!
//! // All entries as of one moment, without allocating: too many for the array are counted, not stored.
//! let mut entries = [std::ptr::null(); 1000];
//! let count = process::snapshot(&mut entries)?;
//! # if count < 1000 {
//! // SAFETY: entries live as long as the process.
//! let first = unsafe { std::ffi::CStr::from_ptr(entries[0]) };
//! assert!(entries[..count].contains(&first.as_ptr()));
//! # }
//!
//! assert!(process::retained_bytes() > 0); // of this process, for ever
//! assert_eq!(process::set(b"A=B", b"", true), Err(Error::InvalidName));
//! process::clear()?;
//! assert_eq!(process::get(b"SHAPE")?, None);
//! let _every_child_can_write = process::survives_fork();
//! # Ok(())
//! # }
//! ```

use crate::asking::{is_ours, status};
use crate::elsewhere;
use crate::status::Status;
use core::ffi::{CStr, c_char};
use core::fmt;
use mtsafe_env_core::process as here;

pub use mtsafe_env_core::process::{Change, retained_bytes, survives_fork};

/// Why a read or change of the process environment was refused; nothing was changed.
///
/// # Examples
/// ```
/// use mtsafe_env::{Status, process::Error};
///
/// let error = Error::NotInterposed(Status::NotInterposed);
/// assert!(error.to_string().contains("mtsafe_env::interpose!();")); // says what to add
/// let error: std::io::Error = error.into();
/// assert_eq!(error.kind(), std::io::ErrorKind::Unsupported);
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Error {
    /// The process does not use this implementation (`ENOTSUP`).
    NotInterposed(Status),
    /// The name is empty, or contains `=` or NUL (`EINVAL`).
    InvalidName,
    /// The value contains NUL (`EINVAL`).
    InvalidValue,
    /// The kernel gave no memory (`ENOMEM`).
    OutOfMemory,
}

impl Error {
    /// The `errno` that says most of this error.
    ///
    /// # Examples
    /// ```
    /// assert_eq!(mtsafe_env::process::Error::InvalidName.errno(), libc::EINVAL);
    /// ```
    pub const fn errno(self) -> i32 {
        match self {
            Error::NotInterposed(_) => libc::ENOTSUP,
            Error::InvalidName | Error::InvalidValue => libc::EINVAL,
            Error::OutOfMemory => libc::ENOMEM,
        }
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Error::NotInterposed(status) => status.fmt(f),
            Error::InvalidName => f.write_str("the name is empty or contains `=` or NUL"),
            Error::InvalidValue => f.write_str("the value contains NUL"),
            Error::OutOfMemory => f.write_str("out of memory"),
        }
    }
}

impl core::error::Error for Error {}

impl From<mtsafe_env_core::Error> for Error {
    fn from(error: mtsafe_env_core::Error) -> Error {
        match error {
            mtsafe_env_core::Error::InvalidName => Error::InvalidName,
            mtsafe_env_core::Error::InvalidValue => Error::InvalidValue,
            _ => Error::OutOfMemory,
        }
    }
}

#[cfg(feature = "std")]
impl From<Error> for std::io::Error {
    fn from(error: Error) -> std::io::Error {
        let kind = match error {
            Error::NotInterposed(_) => std::io::ErrorKind::Unsupported,
            Error::InvalidName | Error::InvalidValue => std::io::ErrorKind::InvalidInput,
            Error::OutOfMemory => std::io::ErrorKind::OutOfMemory,
        };
        std::io::Error::new(kind, error)
    }
}

/// The value of `name`, or `None` without one; `None` also for a name that no variable can have. Copies nothing, takes no lock, stores
/// nothing.
///
/// The string lives as long as the process. It is constant if this implementation stored it; the buffers of C's `putenv`, and
/// strings of a list that the program assigned to `environ`, belong to whoever made them.
///
/// # Examples
/// ```
/// use mtsafe_env::process::{self, Error};
///
/// mtsafe_env::interpose!();
///
/// # fn main() -> Result<(), Error> {
/// # if cfg!(miri) { return Ok(()) }
/// process::set(b"COLOUR", b"red", true)?;
/// assert_eq!(process::get(b"COLOUR")?, Some(c"red"));
/// assert_eq!(process::get(b"A=B")?, None);
/// # Ok(())
/// # }
/// ```
///
/// # Errors
/// `NotInterposed`. Where another copy answers, `OutOfMemory` for a name of more than 255 bytes.
///
/// # Progress
/// MT-Safe; AS-Safe after the first call; wait-free beside everything but batches: if a [`batch`] began meanwhile, it reads again.
#[inline]
pub fn get(name: &[u8]) -> Result<Option<&'static CStr>, Error> {
    if is_ours() { Ok(here::get(name)) } else { get_there(name) }
}

#[cold]
#[inline(never)]
fn get_there(name: &[u8]) -> Result<Option<&'static CStr>, Error> {
    if is_here()? { Ok(here::get(name)) } else { elsewhere::get(name) }
}

/// True if this copy of the code keeps the environment, false if another does.
fn is_here() -> Result<bool, Error> {
    match status() {
        Status::LinkedIn => Ok(true),
        Status::Preloaded => Ok(false),
        refused => Err(Error::NotInterposed(refused)),
    }
}

/// Sets `name` to `value`; with `overwrite` false only if it has no value yet.
///
/// # Examples
/// ```
/// use mtsafe_env::process::{self, Error};
///
/// mtsafe_env::interpose!();
///
/// # fn main() -> Result<(), Error> {
/// # if cfg!(miri) { return Ok(()) }
/// process::set(b"COLOUR", b"red", true)?;
/// process::set(b"COLOUR", b"blue", false)?; // it has a value: left alone
/// assert_eq!(process::get(b"COLOUR")?, Some(c"red"));
/// assert_eq!(process::set(b"COLOUR", b"a\0b", true), Err(Error::InvalidValue));
/// # Ok(())
/// # }
/// ```
///
/// # Errors
/// `NotInterposed`, `InvalidName`, `InvalidValue`, `OutOfMemory`; nothing was changed.
///
/// # Progress
/// MT-Safe, not AS-Safe; blocking (the writers' lock).
pub fn set(name: &[u8], value: &[u8], overwrite: bool) -> Result<(), Error> {
    if is_here()? { Ok(here::set(name, value, overwrite)?) } else { elsewhere::set(name, value, overwrite) }
}

/// Makes `string` itself, `NAME=VALUE`, an entry.
///
/// # Examples
/// ```
/// use mtsafe_env::process::{self, Error};
///
/// mtsafe_env::interpose!();
///
/// # fn main() -> Result<(), Error> {
/// # if cfg!(miri) { return Ok(()) }
/// // SAFETY: a literal lives for ever, and nobody changes it.
/// unsafe { process::put(c"SIZE=9".as_ptr().cast_mut())? };
/// assert_eq!(process::get(b"SIZE")?, Some(c"9"));
/// # Ok(())
/// # }
/// ```
///
/// # Errors
/// `NotInterposed`, `InvalidName`, `OutOfMemory`; nothing was changed.
///
/// # Progress
/// As [`set`].
///
/// # Safety
/// - `string` is NUL-terminated, and stays so and readable as long as anybody may read it: for ever, if in doubt.
///
/// # Source
/// POSIX `putenv`; a string without `=` is refused here.
pub unsafe fn put(string: *mut c_char) -> Result<(), Error> {
    // SAFETY: the caller's promise.
    unsafe { if is_here()? { Ok(here::put(string)?) } else { elsewhere::put(string) } }
}

/// Removes every entry named `name`.
///
/// # Examples
/// ```
/// use mtsafe_env::process::{self, Error};
///
/// mtsafe_env::interpose!();
///
/// # fn main() -> Result<(), Error> {
/// # if cfg!(miri) { return Ok(()) }
/// process::set(b"COLOUR", b"red", true)?;
/// process::unset(b"COLOUR")?;
/// process::unset(b"COLOUR")?; // not there: nothing to do
/// assert_eq!(process::get(b"COLOUR")?, None);
/// # Ok(())
/// # }
/// ```
///
/// # Errors
/// `NotInterposed`, `InvalidName`, `OutOfMemory`; nothing was changed.
///
/// # Progress
/// As [`set`].
pub fn unset(name: &[u8]) -> Result<(), Error> {
    if is_here()? { Ok(here::unset(name)?) } else { elsewhere::unset(name) }
}

/// Empties the environment.
///
/// # Examples
/// ```
/// use mtsafe_env::process::{self, Error};
///
/// mtsafe_env::interpose!();
///
/// # fn main() -> Result<(), Error> {
/// # if cfg!(miri) { return Ok(()) }
/// process::set(b"COLOUR", b"red", true)?;
/// process::clear()?;
/// assert_eq!(process::snapshot(&mut [])?, 0);
/// # Ok(())
/// # }
/// ```
///
/// # Errors
/// `NotInterposed`, `OutOfMemory`; nothing was changed.
///
/// # Progress
/// As [`set`].
pub fn clear() -> Result<(), Error> {
    if is_here()? { Ok(here::clear()?) } else { elsewhere::clear() }
}

/// Makes all `changes`, in their order. All at once where `status` says `LinkedIn`: readers through [`get`] and [`snapshot`] see all of them
/// or none. One after the other where another copy answers.
///
/// # Examples
/// ```
/// use mtsafe_env::process::{self, Error};
///
/// mtsafe_env::interpose!();
///
/// # fn main() -> Result<(), Error> {
/// # if cfg!(miri) { return Ok(()) }
/// process::set(b"COLOUR", b"red", true)?;
/// process::batch(&[(b"COLOUR", None), (b"SHAPE", Some(b"round"))])?;
/// assert_eq!((process::get(b"COLOUR")?, process::get(b"SHAPE")?), (None, Some(c"round")));
/// # Ok(())
/// # }
/// ```
///
/// # Errors
/// `NotInterposed`, `InvalidName`, `InvalidValue`, `OutOfMemory`; nothing was changed. (Where another copy answers, without memory some
/// changes may have been made.)
///
/// # Progress
/// As [`set`].
pub fn batch(changes: &[Change<'_>]) -> Result<(), Error> {
    if is_here()? { Ok(here::batch(changes)?) } else { elsewhere::batch(changes) }
}

/// Fills `entries` with all entries as of one moment and returns how many there are; if that is more than fit, none of
/// them counts. (Where another copy answers it is a walk beside its writers: it finds every variable that nobody changes meanwhile, and may
/// see one twice.)
///
/// # Examples
/// ```
/// use mtsafe_env::process::{self, Error};
///
/// mtsafe_env::interpose!();
///
/// # fn main() -> Result<(), Error> {
/// # if cfg!(miri) { return Ok(()) }
/// process::clear()?;
/// process::set(b"COLOUR", b"red", true)?;
/// assert_eq!(process::snapshot(&mut [])?, 1); // counted, not stored
/// let mut entries = [std::ptr::null(); 1];
/// assert_eq!(process::snapshot(&mut entries)?, 1);
/// // SAFETY: entries live as long as the process.
/// assert_eq!(unsafe { std::ffi::CStr::from_ptr(entries[0]) }, c"COLOUR=red");
/// # Ok(())
/// # }
/// ```
///
/// # Errors
/// `NotInterposed`.
///
/// # Progress
/// MT-Safe, not AS-Safe; blocking (the writers' lock, for one pass over the pointers).
pub fn snapshot(entries: &mut [*const c_char]) -> Result<usize, Error> {
    is_here().map(|_| here::snapshot(entries))
}
