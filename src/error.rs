//! Why a change was refused, and which variable it was about.
#![forbid(unsafe_code)]

use crate::status::Status;
use std::ffi::{OsStr, OsString};
use std::{fmt, io};

/// What is wrong with a change that was refused.
///
/// # Examples
/// ```
/// use mtsafe_env::{Reason, Status};
///
/// assert_eq!(Reason::NameEmpty.to_string(), "the name is empty");
/// let reason = Reason::NotInterposed(Status::NotInterposed);
/// assert!(!reason.to_string().is_empty()); // what to do
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Reason {
    /// The name is empty.
    NameEmpty,
    /// The name contains `=`.
    NameHasEquals,
    /// The name contains NUL.
    NameHasNul,
    /// The value contains NUL.
    ValueHasNul,
    /// There is no memory for it.
    OutOfMemory,
    /// The process uses other environment functions than this crate's, beside which no change is safe. The text says what to add.
    NotInterposed(Status),
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Reason::NotInterposed(status) => return status.fmt(f),
            Reason::NameEmpty => "the name is empty",
            Reason::NameHasEquals => "the name contains `=`",
            Reason::NameHasNul => "the name contains NUL",
            Reason::ValueHasNul => "the value contains NUL",
            Reason::OutOfMemory => "out of memory",
        })
    }
}

/// A change was refused, and nothing was changed. Says for which name, and why.
///
/// # Examples
/// ```
/// use mtsafe_env::{Reason, try_set_var};
///
/// let error = try_set_var("A=B", "1").unwrap_err();
/// assert_eq!(error.name(), "A=B");
/// assert_eq!(error.reason(), Reason::NameHasEquals);
/// assert_eq!(error.to_string(), r#"cannot change the environment variable "A=B": the name contains `=`"#);
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ChangeError {
    name: OsString,
    reason: Reason,
}

impl ChangeError {
    pub(crate) fn new(name: &OsStr, reason: Reason) -> ChangeError {
        let mut copy = OsString::new();
        // Out of memory may be what we report.
        if copy.try_reserve_exact(name.len()).is_ok() {
            copy.push(name);
        }
        ChangeError { name: copy, reason }
    }

    /// The name of the variable. Empty also if there was no memory for it, or if all variables were to be removed.
    ///
    /// # Examples
    /// ```
    /// assert_eq!(mtsafe_env::Environ::new().set("A=B", "1").unwrap_err().name(), "A=B");
    /// ```
    pub fn name(&self) -> &OsStr {
        &self.name
    }

    /// What is wrong.
    ///
    /// # Examples
    /// ```
    /// use mtsafe_env::{Environ, Reason};
    ///
    /// assert_eq!(Environ::new().set("", "1").unwrap_err().reason(), Reason::NameEmpty);
    /// ```
    pub fn reason(&self) -> Reason {
        self.reason
    }
}

impl fmt::Display for ChangeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (self.name.is_empty(), self.reason) {
            (true, Reason::OutOfMemory | Reason::NotInterposed(_)) => {
                write!(f, "cannot change the environment: {}", self.reason)
            }
            _ => write!(f, "cannot change the environment variable {:?}: {}", self.name, self.reason),
        }
    }
}

impl std::error::Error for ChangeError {}

impl From<ChangeError> for io::Error {
    fn from(error: ChangeError) -> io::Error {
        let kind = match error.reason {
            Reason::OutOfMemory => io::ErrorKind::OutOfMemory,
            Reason::NotInterposed(_) => io::ErrorKind::Unsupported,
            _ => io::ErrorKind::InvalidInput,
        };
        io::Error::new(kind, error)
    }
}

/// Checks a name that is to be set or removed.
pub(crate) fn check_name(name: &OsStr) -> Result<(), ChangeError> {
    let bytes = name.as_encoded_bytes();
    let reason = if bytes.is_empty() {
        Reason::NameEmpty
    } else if bytes.contains(&b'=') {
        Reason::NameHasEquals
    } else if bytes.contains(&0) {
        Reason::NameHasNul
    } else {
        return Ok(());
    };
    Err(ChangeError::new(name, reason))
}

/// Checks a variable that is to be set.
pub(crate) fn check(name: &OsStr, value: &OsStr) -> Result<(), ChangeError> {
    check_name(name)?;
    if value.as_encoded_bytes().contains(&0) {
        return Err(ChangeError::new(name, Reason::ValueHasNul));
    }
    Ok(())
}
