//! OS strings and the bytes of an entry.

use std::ffi::{OsStr, OsString};

/// The bytes of an entry as an OS string. On Unix any bytes are one.
#[cfg(unix)]
pub(crate) fn os(bytes: &[u8]) -> &OsStr {
    std::os::unix::ffi::OsStrExt::from_bytes(bytes)
}

/// The bytes of an entry as an OS string.
#[cfg(not(unix))]
pub(crate) fn os(bytes: &[u8]) -> &OsStr {
    // SAFETY: all our bytes come from OS strings, joined and cut at `=` only, which is never part of another character.
    unsafe { OsStr::from_encoded_bytes_unchecked(bytes) }
}

/// The name and value of an entry, if it has a name.
pub(crate) fn split(entry: &[u8]) -> Option<(&OsStr, &OsStr)> {
    let equals = entry.iter().position(|&byte| byte == b'=').filter(|&at| at > 0)?;
    let (name, value) = entry.split_at(equals);
    Some((os(name), os(value.get(1..)?)))
}

/// The same, copied.
pub(crate) fn owned((name, value): (&OsStr, &OsStr)) -> (OsString, OsString) {
    (name.to_owned(), value.to_owned())
}
