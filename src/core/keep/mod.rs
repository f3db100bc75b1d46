//! Memory that is never given back, and the strings in it.
//!
//! A value that `getenv` returned to C may be used for ever, so nothing that was published is freed. No `malloc`: this works
//! inside a malloc implementation, before `main`, and in a forked child.

mod arena;
mod strings;

pub(crate) use strings::{Strings, is};
