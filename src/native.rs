//! The process environment on Linux: the core, or the copy of it that the process already has.

use crate::status::{Status, status};
use core::ffi::CStr;
use mtsafe_env_core::{Error, process};
use process::Change;
use std::ffi::CString;

pub(crate) type Value = &'static CStr;

#[inline]
pub(crate) fn with<R>(name: &[u8], read: impl FnOnce(&CStr) -> R) -> Option<R> {
    process::get(name).map(read)
}

/// Every writer must take the same lock. If the C functions are another copy's (the preload library's), that is its lock.
fn elsewhere() -> bool {
    status() == Status::Preloaded
}

pub(crate) fn set(name: &[u8], value: &[u8]) -> Result<(), Error> {
    if !elsewhere() {
        return process::set(name, value, true);
    }
    // The callers checked both.
    let name = CString::new(name).map_err(|_| Error::InvalidName)?;
    let value = CString::new(value).map_err(|_| Error::InvalidValue)?;
    // SAFETY: C strings; the function is one of ours, and so keeps neither.
    result(unsafe { libc::setenv(name.as_ptr(), value.as_ptr(), 1) })
}

pub(crate) fn unset(name: &[u8]) -> Result<(), Error> {
    if !elsewhere() {
        return process::unset(name);
    }
    let name = CString::new(name).map_err(|_| Error::InvalidName)?;
    // SAFETY: a C string; the function is one of ours.
    result(unsafe { libc::unsetenv(name.as_ptr()) })
}

fn result(returned: i32) -> Result<(), Error> {
    // Names and values were checked.
    if returned == 0 { Ok(()) } else { Err(Error::OutOfMemory) }
}

pub(crate) fn batch(changes: &[Change<'_>]) -> Result<(), Error> {
    if !elsewhere() {
        return process::batch(changes);
    }
    changes.iter().try_for_each(|&(name, value)| match value {
        Some(value) => set(name, value),
        None => unset(name),
    })
}

/// All entries, as of one moment.
pub(crate) fn entries() -> Vec<Value> {
    let mut entries = Vec::new();
    loop {
        let found = process::snapshot(&mut entries);
        if found <= entries.len() {
            entries.truncate(found);
            // SAFETY: L2, L4 of the core's list: entries are strings that stay.
            return entries.into_iter().map(|entry| unsafe { CStr::from_ptr(entry) }).collect();
        }
        // A few more than there are now: others may add some before we look again.
        entries.resize(found + found / 8 + 8, c"".as_ptr());
    }
}
