//! What the crate `mtsafe-env` and its preload library share: the lock-free environment list, without std.
//!
//! Depend on `mtsafe-env`, not on this package: what is public here may change with any version.
//!
//! | file | its one job |
//! |---|---|
//! | `list` | the array, the head, reading, the moves of writers: the algorithm |
//! | `store` | set, put, unset, clear: the update lock and what is done under it |
//! | `adopt` | taking over a list that is not ours |
//! | `keep` | memory that is never given back; interned strings |
//! | `entry` | the bytes of one `NAME=VALUE` |
//! | `process` | the one store of the process, bound to `environ`; fork |
//! | `c` | the six C functions and `interpose!` |
//! | `lock`, `error`, `sync` | the futex lock; why a change is refused; the switch to loom |

#![cfg_attr(not(any(test, loom)), no_std)]

mod adopt;
#[cfg(not(loom))]
pub mod c;
mod entry;
mod error;
mod keep;
mod list;
mod lock;
#[cfg(not(loom))]
pub mod process;
mod store;
mod sync;

pub use entry::{CName, Name};
pub use error::Error;
pub use list::{Head, Slot};
pub use store::Store;
#[cfg(all(loom, not(shuttle)))]
pub use sync::sole_writer;
#[cfg(loom)]
pub use sync::{reset, wrote};
