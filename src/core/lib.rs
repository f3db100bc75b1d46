//! What the crate `mtsafe-env` and its preload library share: the lock-free environment list, without std.
//!
//! Depend on `mtsafe-env`, not on this package: what is public here may change with any version.
//!
//! A file uses files of its own floor and of those below, and none in a circle: `tests/tidy.rs` reads this plan.
//!
//! | floor | file | its one job |
//! |---|---|---|
//! | 1 | `system`, `sync` | what is asked of kernel and libc; the switch to loom |
//! | 1 | `error` | why a change was refused, and why it must start over |
//! | 2 | `lock`, `threads` | the futex lock; whether there ever was a second thread |
//! | 2 | `machine` | loads that the language has no word for: chunks and windows of bytes, stretches of slots |
//! | 3 | `text`, `entry` | length, words and hash of a name; the bytes of one `NAME=VALUE` |
//! | 4 | `slot` | the two cells that C reads, and the plain scan |
//! | 5 | `hints` | what is known of a slot without touching the string in it: faster reads |
//! | 6 | `array` | one allocation: header, slots, notes |
//! | 7 | `list` | the moves of writers: the algorithm |
//! | 8 | `keep`, `arrays` | memory that is never given back, interned strings; the arrays used in turn |
//! | 9 | `inherited`, `plan`, `same`, `adopt` | the kernel's list; what a list is to be; what two arrays have in common; bringing a list into an array, linear |
//! | 9 | `program`, `batches` | changes in a list of the program's own; how many batches have begun |
//! | 10 | `store`, `batch` | set, put, unset, clear; several changes published at once |
//! | 11 | `process`, `c` | the one store of the process, bound to `environ`, and fork; the six C functions and `interpose!` |
//! | beside | `owned` | the list of an `Environ`, whose memory comes and goes |
//!
//! Elsewhere than on Linux only `slot`, `owned` and what they need are here: `mtsafe-env` builds its owned lists from them.

#![cfg_attr(not(any(test, loom)), no_std)]
// Elsewhere only part of it is used.
#![cfg_attr(not(any(loom, target_os = "linux")), allow(dead_code, unused_imports))]

#[cfg(all(target_arch = "x86_64", target_pointer_width = "32"))]
compile_error!("mtsafe-env does not know the x32 ABI; use the x86_64 or the i686 target");

#[cfg(any(loom, target_os = "linux"))]
mod adopt;
#[cfg(any(loom, target_os = "linux"))]
mod array;
#[cfg(any(loom, target_os = "linux"))]
mod arrays;
#[cfg(any(loom, target_os = "linux"))]
mod batch;
#[cfg(any(loom, target_os = "linux"))]
mod batches;
#[cfg(all(target_os = "linux", not(loom)))]
pub mod c;
mod entry;
mod error;
#[cfg(any(loom, target_os = "linux"))]
mod hints;
#[cfg(any(loom, target_os = "linux"))]
mod inherited;
#[cfg(any(loom, target_os = "linux"))]
mod keep;
#[cfg(any(loom, target_os = "linux"))]
mod list;
#[cfg(any(loom, target_os = "linux"))]
mod lock;
mod machine;
mod owned;
#[cfg(any(loom, target_os = "linux"))]
mod plan;
#[cfg(all(target_os = "linux", not(loom)))]
pub mod process;
#[cfg(any(loom, target_os = "linux"))]
mod program;
#[cfg(any(loom, target_os = "linux"))]
mod same;
mod slot;
#[cfg(any(loom, target_os = "linux"))]
mod store;
mod sync;
#[cfg(not(loom))]
mod system;
#[cfg(all(test, not(loom)))]
mod testing;
mod text;
#[cfg(any(loom, target_os = "linux"))]
mod threads;

#[cfg(any(loom, target_os = "linux"))]
pub use batch::Change;
pub use entry::{CName, Name};
pub use error::Error;
#[doc(hidden)]
pub use owned::{Memory, Owned};
pub use slot::{Head, Slot};
#[cfg(any(loom, target_os = "linux"))]
pub use store::Store;
#[cfg(all(loom, not(shuttle)))]
pub use sync::sole_writer;
#[cfg(loom)]
pub use sync::{reset, set_initial_strings, wrote};
