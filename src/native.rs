//! The process environment on Linux: this implementation, where the process uses it, and std's reading functions where not.

use crate::asking::is_ours;
use crate::error::Reason;
use crate::fallback;
use crate::process::{self, Error};
use core::ffi::CStr;
use mtsafe_env_core::process as here;
use std::alloc::{Layout, handle_alloc_error};
use std::borrow::Cow;

pub(crate) use crate::process::{batch, clear, set, unset};

/// Why a change was refused whose names and values were checked.
pub(crate) fn reason(error: Error) -> Reason {
    match error {
        Error::NotInterposed(status) => Reason::NotInterposed(status),
        _ => Reason::OutOfMemory,
    }
}

#[inline]
pub(crate) fn with<R>(name: &[u8], read: impl FnOnce(&CStr) -> R) -> Option<R> {
    // A load and a comparison are all that a read pays for the question.
    if is_ours() { here::get(name).map(read) } else { with_there(name, read) }
}

#[cold]
#[inline(never)] // or every read makes room for what this needs
fn with_there<R>(name: &[u8], read: impl FnOnce(&CStr) -> R) -> Option<R> {
    match process::get(name) {
        Ok(value) => value.map(read),
        Err(Error::NotInterposed(_)) => fallback::with(name, read),
        // A long name was to be copied. As std.
        Err(_) => handle_alloc_error(Layout::for_value(name)),
    }
}

/// All entries, as of one moment.
pub(crate) fn entries() -> Vec<Cow<'static, CStr>> {
    let mut entries = Vec::new();
    loop {
        // Refused for one reason only.
        let Ok(found) = process::snapshot(&mut entries) else { return fallback::entries() };
        if found <= entries.len() {
            entries.truncate(found);
            // SAFETY: L2, L4 of the core's list: entries are strings that stay.
            let string = |entry| Cow::Borrowed(unsafe { CStr::from_ptr(entry) });
            return entries.into_iter().map(string).collect();
        }
        // A few more than there are now: others may add some before we look again.
        entries.resize(found + found / 8 + 8, c"".as_ptr());
    }
}
