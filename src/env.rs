//! All of `std::env`, with the variables this crate's: `use mtsafe_env::env;` where `use std::env;` was.
//!
//! What is about variables is what is at the root of this crate; the rest is std's own.
//!
//! # Examples
//! ```
//! use mtsafe_env::env; // std::env
//!
//! # mtsafe_env::interpose!();
//! env::set_var("COLOUR", "red"); // no `unsafe`
//! assert_eq!(env::var("COLOUR").as_deref(), Ok("red"));
//! assert_eq!(env::var("NO_SUCH_COLOUR"), Err(env::VarError::NotPresent));
//! assert!(env::args().count() > 0 && env::current_dir().is_ok() && !env::consts::OS.is_empty());
//! ```

#[cfg(any(windows, target_os = "linux"))]
pub use crate::change::{remove_var, set_var};
pub use crate::snapshot::{Vars, VarsOs};
pub use crate::vars::{var, var_os, vars, vars_os};
#[allow(deprecated)] // `home_dir` was, until Rust 1.87
#[doc(no_inline)]
pub use std::env::{
    Args, ArgsOs, JoinPathsError, SplitPaths, VarError, args, args_os, consts, current_dir, current_exe,
    home_dir, join_paths, set_current_dir, split_paths, temp_dir,
};
