//! Environment access that is safe beside `setenv`, for Rust and for the C code in the same process.
//!
//! `std::env::set_var` is unsafe, because C libraries read the environment without asking anybody, and libc's `setenv` frees what they
//! read. This crate replaces the implementation under all of them by one whose writers never take away what a reader may hold.
//! Reads take no lock.
//!
//! ```
//! mtsafe_env::interpose!(); // once, in the executable: C libraries and `std::env` now use this implementation
//!
//! # fn main() {
//! # if cfg!(miri) { return }
//! std::thread::scope(|threads| {
//!     threads.spawn(|| mtsafe_env::set_var("LANG", "C")); // safe
//!     threads.spawn(|| mtsafe_env::var("LANG"));
//!     threads.spawn(|| std::net::TcpListener::bind("localhost:0")); // libc reads the environment
//! });
//! assert!(mtsafe_env::interposed());
//! # }
//! ```
//!
//! Without the macro nothing is less safe than with `std::env`: reads go through std, and changes are refused with an error that says what
//! to add. [Which way is whose](which_way) says where the macro belongs.
//!
//! # What is here
//! | | MT level | progress | errors |
//! |---|---|---|---|
//! | [`var`], [`var_os`], [`with_var`] | MT-Safe | wait-free¹: a load per variable | as `std` |
//! | [`vars`], [`vars_os`], [`snapshot()`] | MT-Safe, one moment | blocking: a pass over the pointers | none |
//! | [`set_var`], [`set_var_if_absent`], [`remove_var`], [`clear`] | MT-Safe | blocking | panic, as `std` |
//! | [`try_set_var`] and so on, [`Batch`], [`Scope`] | MT-Safe | blocking | [`ChangeError`] |
//! | [`env`](mod@env): all of `std::env`, with these functions in it | as these | as these | as `std` |
//! | [`process`]: bytes and C strings, no std | `get`: AS-Safe, too | as above | [`process::Error`] |
//! | [`Environ`]: an owned list | MT-Safe | reads lock-free, constant time | [`ChangeError`] |
//! | [`interpose!`] | | | |
//! | [`status()`], [`interposed`] | MT-Safe | wait-free after the first call | none |
//!
//! ¹ Beside a `Batch` lock-free: a read starts over if one begins meanwhile. Without the macro or the preload library: std's lock.
//!
//! `use mtsafe_env as env;` or `use mtsafe_env::env;` does for `use std::env;`. No function here panics, but `set_var`,
//! `set_var_if_absent`, `remove_var` and `clear`. What is promised, and why it holds, is written down in [`soundness`]
//! and [`why_it_is_right`], what is not in [`limits`]; the words are in the [`glossary`].
//! How it is tested is in [`testing`], what it costs in [`benchmarks`], and there are [`recipes`] for who runs programs.
//!
//! # Features
//! - `std` (default): all but `process`, `status` and `interpose!`. Without it the crate is `no_std` and allocates nothing but from
//!   the kernel.
//! - `epoch` (default): [`Environ`], with the dependency crossbeam-epoch.
//!
//! # Platforms
//! Linux with glibc or musl for the process environment: x86-64, i686, aarch64, armv7, riscv64, ppc64le and s390x are tested; x32 is
//! refused by the compiler. `Environ` wherever std is. Elsewhere than on Linux the reading
//! functions are std's, the writing ones are there on Windows only, and `process` is not: what would be unsound does not compile.
//! `interpose!`, `status` and `interposed` are everywhere, so that a program needs no `cfg`; where there is nothing to do they do nothing, and
//! say so.
//!
//! # In your own loom models
//! With `--cfg loom` this crate uses loom's atomics and locks in `Environ`, so that a model may use one (add
//! `--cfg crossbeam_loom` to explore its reclamation, too). The process environment is not part of a model: its functions are std's there.
//! So they are under Miri.
//!
//! # Versions
//! The least Rust version is 1.85, with which the tests run, too.

#![cfg_attr(not(feature = "std"), no_std)]

#[cfg(all(target_os = "linux", not(loom)))]
mod asking;
#[cfg(all(feature = "std", any(windows, target_os = "linux")))]
mod batch;
#[cfg(all(feature = "std", any(windows, target_os = "linux")))]
mod change;
#[cfg(all(target_os = "linux", not(loom)))]
mod elsewhere;
#[cfg(feature = "std")]
pub mod env;
#[cfg(feature = "epoch")]
mod environ;
#[cfg(feature = "epoch")]
mod envp;
#[cfg(feature = "std")]
#[cfg_attr(not(any(windows, target_os = "linux")), allow(dead_code))]
// its users are the writing functions and `Environ`
mod error;
#[cfg(feature = "std")]
mod fallback;
#[cfg(feature = "epoch")]
mod index;
#[cfg(all(feature = "std", target_os = "linux", not(loom), not(miri)))]
mod native;
#[cfg(all(target_os = "linux", not(loom)))]
pub mod process;
#[cfg(all(feature = "std", any(windows, target_os = "linux")))]
mod scope;
#[cfg(feature = "std")]
mod snapshot;
mod status;
#[cfg(feature = "epoch")]
mod sync;
#[cfg(feature = "std")]
mod text;
#[cfg(feature = "std")]
mod vars;

/// Where the functions of the process environment get it from.
#[cfg(all(feature = "std", not(all(target_os = "linux", not(loom), not(miri)))))]
use fallback as imp;
#[cfg(all(feature = "std", target_os = "linux", not(loom), not(miri)))]
use native as imp;

#[cfg(all(feature = "std", any(windows, target_os = "linux")))]
pub use batch::Batch;
#[cfg(all(feature = "std", any(windows, target_os = "linux")))]
pub use change::{
    clear, remove_var, set_var, set_var_if_absent, try_clear, try_remove_var, try_set_var,
    try_set_var_if_absent,
};
#[cfg(feature = "epoch")]
pub use environ::{Environ, Pinned};
#[cfg(feature = "epoch")]
pub use envp::Envp;
#[cfg(feature = "std")]
pub use error::{ChangeError, Reason};
#[cfg(all(target_os = "linux", not(loom)))]
#[doc(no_inline)]
pub use process::Error;
#[cfg(all(feature = "std", any(windows, target_os = "linux")))]
pub use scope::Scope;
#[cfg(feature = "std")]
pub use snapshot::{Snapshot, SnapshotIter, Vars, VarsOs, snapshot};
pub use status::{Status, interposed, status};
#[cfg(feature = "std")]
#[doc(no_inline)]
pub use std::env::VarError;
#[cfg(feature = "std")]
pub use vars::{var, var_os, vars, vars_os, with_var};

/// Makes everything in the process use this implementation of C's six environment functions: `getenv`, `secure_getenv`, `setenv`,
/// `putenv`, `unsetenv` and `clearenv`.
///
/// Expand it once, at the top level of an *executable* (a test binary is one): it defines the six functions there, and the
/// dynamic linker binds everybody to the executable's definitions: `std::env`, C code that is linked in, shared libraries, libraries
/// that are loaded later. No linker flag is needed; it works with link-time optimisation, stripped, and with lld, bfd and gold.
///
/// A library crate must leave it to the executable: expanded twice in one program it is an error, of the compiler or the linker, that
/// names `mtsafe_env_interpose_is_expanded_twice__keep_it_in_the_executable_only`. In a shared library that others load (a plugin, a Python
/// extension) it does nothing: [`status()`] and every refused change say so. [Which way is whose](which_way) has the whole list.
///
/// What it does not reach: libc's own internal callers, which need not be reached (see [`soundness`]); a library that was opened
/// with `RTLD_DEEPBIND`. `std::env::var` still takes std's lock; it no longer protects anything.
///
/// Under Miri, which calls no C, it expands to nothing, and so it does elsewhere than on Linux.
///
/// # Examples
/// ```
/// mtsafe_env::interpose!();
///
/// # fn main() {
/// # if cfg!(any(miri, not(target_os = "linux"))) { return }
/// // SAFETY: the C function behind this is ours: safe beside any reader.
/// unsafe { std::env::set_var("COLOUR", "red") };
/// assert_eq!(mtsafe_env::process::get(b"COLOUR"), Ok(Some(c"red")));
/// assert!(mtsafe_env::interposed());
/// # }
/// ```
///
/// # Source
/// Symbol interposition as in the ELF specification and POSIX's `dlopen`: the executable comes first in the search order.
#[cfg(all(target_os = "linux", not(loom)))]
pub use mtsafe_env_core::interpose;

/// Makes everything in the process use this implementation: on Linux. Here there is none, and it expands to nothing.
#[cfg(not(all(target_os = "linux", not(loom))))]
#[macro_export]
macro_rules! interpose {
    () => {};
}

// The pages below are shown by the repository, too. Their links are made by name: there the definitions at the end of each page hold, here
// those before it, since the first definition of a name counts.

#[doc = "[`Environ`]: crate::Environ"]
#[doc = "[`status()`]: crate::status()"]
#[doc = "[`Reason::NotInterposed`]: crate::Reason::NotInterposed"]
#[doc = ""]
#[doc = include_str!("which_way.md")]
#[doc = "```toml"]
#[doc = include_str!("../examples/clippy.toml")]
#[doc = "```"]
pub mod which_way {}

#[doc = "[`interposed()`]: crate::interposed()"]
#[doc = "[`status`]: crate::status()"]
#[doc = "[`process`]: mod@crate::process"]
#[doc = "[`Batch`]: crate::Batch"]
#[doc = "[`process::put`]: crate::process::put"]
#[doc = "[`survives_fork`]: crate::process::survives_fork"]
#[doc = "[`Environ`]: crate::Environ"]
#[doc = "[`Pinned`]: crate::Pinned"]
#[doc = "[`Pinned::as_ptr`]: crate::Pinned::as_ptr"]
#[doc = "[why it is right]: crate::why_it_is_right"]
#[doc = ""]
#[doc = include_str!("soundness.md")]
pub mod soundness {}

#[doc = "[glossary]: crate::glossary"]
#[doc = "[limits]: crate::limits"]
#[doc = "[testing]: crate::testing"]
#[doc = ""]
#[doc = include_str!("why_it_is_right.md")]
pub mod why_it_is_right {}

#[doc = "[Why it is right]: crate::why_it_is_right"]
#[doc = ""]
#[doc = include_str!("../LIMITS.md")]
pub mod limits {}

#[doc = include_str!("glossary.md")]
pub mod glossary {}

#[doc = "[Why it is right]: crate::why_it_is_right"]
#[doc = "[limits]: crate::limits"]
#[doc = "[benchmarks]: crate::benchmarks"]
#[doc = ""]
#[doc = include_str!("../TESTING.md")]
pub mod testing {}

#[doc = include_str!("../cdylib/RECIPES.md")]
pub mod recipes {}

#[doc = "[plots]: crate::benchmarks#plots"]
#[doc = ""]
#[doc = include_str!("../benches/README.md")]
#[doc = "## Plots"]
#[doc = include_str!("../benches/inherited.svg")]
#[doc = ""]
#[doc = include_str!("../benches/time.svg")]
#[doc = ""]
#[doc = include_str!("../benches/threads.svg")]
pub mod benchmarks {}
