//! What the crate `mtsafe-env` and its preload library share: the lock-free environment list, without std.
//!
//! Depend on `mtsafe-env`, not on this package: what is public here may change with any version.
//!
//! | file | its one job |
//! |---|---|
//! | `list` | the array, the head, reading, the moves of writers: the algorithm |
//! | `hints` | what is known of a slot without touching the string in it: faster reads |
//! | `wide` | loads of many bytes or slots at once |
//! | `inherited` | hints that readers build, for a list that was never changed |
//! | `store` | set, put, unset, clear: the update lock and what is done under it |
//! | `adopt` | taking over a list that is not ours |
//! | `batch` | several changes published at once, and the read that sees all or none of them |
//! | `owned` | the list of an `Environ`, whose memory comes and goes |
//! | `keep` | memory that is never given back; interned strings |
//! | `entry` | the bytes of one `NAME=VALUE` |
//! | `process` | the one store of the process, bound to `environ`; fork |
//! | `c` | the six C functions and `interpose!` |
//! | `lock`, `error`, `sync` | the futex lock; why a change is refused; the switch to loom |

//!
//! Elsewhere than on Linux only `list` and what it needs are here: `mtsafe-env` builds its owned lists from them.

#![cfg_attr(not(any(test, loom)), no_std)]
// Elsewhere only part of it is used.
#![cfg_attr(not(any(loom, target_os = "linux")), allow(dead_code, unused_imports))]

#[cfg(any(loom, target_os = "linux"))]
mod adopt;
#[cfg(any(loom, target_os = "linux"))]
mod batch;
#[cfg(all(target_os = "linux", not(loom)))]
pub mod c;
mod entry;
mod error;
mod hints;
#[cfg(any(loom, target_os = "linux"))]
mod inherited;
#[cfg(any(loom, target_os = "linux"))]
mod keep;
mod list;
#[cfg(any(loom, target_os = "linux"))]
mod lock;
mod owned;
#[cfg(all(target_os = "linux", not(loom)))]
pub mod process;
#[cfg(any(loom, target_os = "linux"))]
mod store;
mod sync;
mod wide;

#[cfg(any(loom, target_os = "linux"))]
pub use batch::Change;
pub use entry::{CName, Name};
pub use error::Error;
pub use list::{Head, Slot};
#[doc(hidden)]
pub use owned::{Memory, Owned};
#[cfg(any(loom, target_os = "linux"))]
pub use store::Store;
#[cfg(all(loom, not(shuttle)))]
pub use sync::sole_writer;
#[cfg(loom)]
pub use sync::{reset, set_initial_strings, wrote};
