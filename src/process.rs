//! The process environment for those who have no std: bytes and C strings, no allocation.
//!
//! These are the functions under everything else in this crate. They need nothing but libc, and work before `main`, inside an
//! allocator, and in a forked child. (Linux only. `put` and [`snapshot`] are C's `putenv` and a walk, without its races.)
//!
//! They change the list through *this copy* of the crate. Where [`status`](crate::status) says `Preloaded`, another copy answers C's
//! `setenv`, under a lock of its own: memory is as safe as ever, but of two changes made at the same instant by the two copies
//! one may be lost. The functions at the root of the crate go through the other copy then.
//!
//! # Examples
//! ```
//! use mtsafe_env::{Error, process};
//!
//! process::set(b"COLOUR", b"red", true)?;
//! assert_eq!(process::get(b"COLOUR"), Some(c"red"));
//! process::set(b"COLOUR", b"blue", false)?; // it has a value: left alone
//! assert_eq!(process::get(b"COLOUR"), Some(c"red"));
//!
//! // Several at once: readers through `get` see all or none.
//! process::batch(&[(b"COLOUR", None), (b"SHAPE", Some(b"round"))])?;
//! assert_eq!(process::get(b"COLOUR"), None);
//!
//! // The caller's own string becomes the entry: it must live for ever.
//! // SAFETY: a literal does.
//! unsafe { process::put(c"SIZE=9".as_ptr().cast_mut())? };
//! assert_eq!(process::get(b"SIZE"), Some(c"9"));
//! process::unset(b"SIZE")?;
//!
//! // All entries as of one moment, without allocating: too many for the array are counted, not stored.
//! let mut entries = [std::ptr::null(); 1000];
//! let count = process::snapshot(&mut entries);
//! # if count < 1000 {
//! // SAFETY: entries live as long as the process.
//! let first = unsafe { std::ffi::CStr::from_ptr(entries[0]) };
//! assert!(entries[..count].contains(&first.as_ptr()));
//! # }
//!
//! assert!(process::retained_bytes() > 0); // of this process, for ever
//! assert_eq!(process::set(b"A=B", b"", true), Err(Error::InvalidName));
//! process::clear()?;
//! assert_eq!(process::get(b"SHAPE"), None);
//! let _every_child_can_write = process::survives_fork();
//! # Ok::<(), Error>(())
//! ```

pub use mtsafe_env_core::process::{
    Change, batch, clear, get, put, retained_bytes, set, snapshot, survives_fork, unset,
};
