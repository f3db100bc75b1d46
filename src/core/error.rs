//! Why a change was refused, and why it must start over.
#![forbid(unsafe_code)]

use core::fmt;

/// Linux's numbers, for systems of which the `libc` crate knows none.
#[cfg(not(any(unix, windows, target_os = "wasi")))]
mod libc {
    pub(super) const EINVAL: i32 = 22;
    pub(super) const ENOMEM: i32 = 12;
}

/// Why the environment refused a change; nothing was changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Error {
    /// The name is missing (NULL), empty, or contains `=` or NUL (`EINVAL`).
    InvalidName,
    /// The value is missing (NULL) or contains NUL (`EINVAL`).
    InvalidValue,
    /// The kernel gave no memory (`ENOMEM`).
    OutOfMemory,
}

impl Error {
    /// The `errno` with which the C functions report this error.
    pub const fn errno(self) -> i32 {
        match self {
            Error::InvalidName | Error::InvalidValue => libc::EINVAL,
            Error::OutOfMemory => libc::ENOMEM,
        }
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Error::InvalidName => "the name is empty or contains `=` or NUL",
            Error::InvalidValue => "the value contains NUL",
            Error::OutOfMemory => "out of memory",
        })
    }
}

impl core::error::Error for Error {}

/// The head is no longer what a change took it for: the program assigned `environ` meanwhile, or a child of a signal handler returned
/// into the change. Look again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Moved;

/// Why a change could not be made just now; nothing was changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Stop {
    /// See [`Moved`].
    Moved,
    /// So many bytes are missing.
    Memory(usize),
    /// A string from `malloc` is missing: the list is the program's own, which may free what it finds there.
    Text,
}

impl From<Moved> for Stop {
    fn from(_: Moved) -> Stop {
        Stop::Moved
    }
}
#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;
    use std::string::ToString;

    #[test]
    fn errors_are_numbers_and_phrases() {
        for (error, errno, phrase) in [
            (Error::InvalidName, libc::EINVAL, "the name is empty or contains `=` or NUL"),
            (Error::InvalidValue, libc::EINVAL, "the value contains NUL"),
            (Error::OutOfMemory, libc::ENOMEM, "out of memory"),
        ] {
            assert_eq!((error.errno(), error.to_string().as_str()), (errno, phrase));
        }
    }
}
