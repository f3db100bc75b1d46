//! Who answers `getenv` and `setenv` in this process.

#![forbid(unsafe_code)]

use core::fmt;

/// Whose environment functions the C code of this process calls: what [`status`] says.
///
/// # Examples
/// ```
/// mtsafe_env::interpose!();
///
/// # fn main() {
/// println!("{}", mtsafe_env::status()); // says what to do, too, where something can be done
/// # }
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Status {
    /// This crate's, linked in: the executable has [`interpose!`](crate::interpose). `std::env::set_var` is as safe as
    /// [`set_var`](crate::set_var).
    LinkedIn,
    /// Another copy of this implementation: the preload library, or the executable's own copy if this one is in a library that was
    /// loaded. As safe as `LinkedIn`; the functions of this crate go through that copy.
    Preloaded,
    /// libc's own, or there is no such implementation for this system. Changes are refused, and reads go through `std::env`.
    NotInterposed,
    /// libc's own, although [`interpose!`](crate::interpose) was expanded: in a shared library, where it does nothing, since programs
    /// look for the functions in the executable first, and then in libc. As `NotInterposed`.
    InLibrary,
    /// Somebody else's, wholly or in part: an executable that defines its own, such as bash, or another preloaded
    /// library. Nothing is known about writers there. As `NotInterposed`.
    Foreign,
}

impl Status {
    /// True if every writer that keeps to C's functions is this implementation.
    ///
    /// # Examples
    /// ```
    /// use mtsafe_env::Status;
    ///
    /// assert!(Status::LinkedIn.is_interposed() && Status::Preloaded.is_interposed());
    /// assert!(!Status::NotInterposed.is_interposed());
    /// ```
    pub const fn is_interposed(self) -> bool {
        matches!(self, Status::LinkedIn | Status::Preloaded)
    }
}

/// What it is, and what to do.
impl fmt::Display for Status {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Status::LinkedIn => "the environment functions are mtsafe-env's, linked in",
            Status::Preloaded => "the environment functions are those of another copy of mtsafe-env",
            Status::NotInterposed if cfg!(not(target_os = "linux")) => {
                "the environment functions are the system's; mtsafe-env has none of its own for it"
            }
            Status::NotInterposed => {
                "the environment functions are libc's: add `mtsafe_env::interpose!();` to the executable, or start it with \
                 LD_PRELOAD=libmtsafe_env_preload.so"
            }
            Status::InLibrary => {
                "the environment functions are libc's, since `mtsafe_env::interpose!` does nothing in a shared library: add \
                 it to the executable, or start that with LD_PRELOAD=libmtsafe_env_preload.so"
            }
            Status::Foreign => {
                "some of the environment functions are neither mtsafe-env's nor libc's: start the program without the library \
                 that defines them, or leave the environment alone"
            }
        })
    }
}

/// Says whether the environment functions of this process are this implementation.
///
/// The first call asks the dynamic linker (some microseconds); later ones read one byte. The answer cannot go stale: the functions
/// that a program or library calls are looked for in the executable, in what was preloaded and in its libraries, in an order that is
/// fixed before anything runs, and libraries that are loaded later come behind.
///
/// Always `NotInterposed` elsewhere than on Linux, under Miri, and with `--cfg loom`.
///
/// # Examples
/// ```
/// mtsafe_env::interpose!();
///
/// # fn main() {
/// # if cfg!(miri) { return }
/// assert_eq!(mtsafe_env::status(), mtsafe_env::Status::LinkedIn);
/// # }
/// ```
///
/// # Progress
/// MT-Safe, wait-free but for the first call, which takes the dynamic linker's lock; the first call is not AS-Safe.
#[inline]
pub fn status() -> Status {
    #[cfg(all(target_os = "linux", not(loom), not(miri)))]
    return crate::asking::status();
    #[cfg(not(all(target_os = "linux", not(loom), not(miri))))]
    Status::NotInterposed
}

/// True if every writer in this process that keeps to C's functions is this implementation, so that `std::env::set_var` and C's
/// `setenv` are safe beside any reader, and changes are not refused.
///
/// # Examples
/// ```
/// mtsafe_env::interpose!();
///
/// # fn main() {
/// # if cfg!(any(miri, not(target_os = "linux"))) { return }
/// assert!(mtsafe_env::interposed());
/// # }
/// ```
///
/// # Progress
/// As [`status`].
#[inline]
pub fn interposed() -> bool {
    status().is_interposed()
}
