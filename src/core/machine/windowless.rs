//! What the machines have in common whose loads stay within a string: no windows are loaded there, and nobody asks for these.

use super::WINDOW;
use crate::sync::byte;

pub(crate) const MAY_HAVE_WINDOWS: bool = false;

/// Whoever watches sees no window.
pub(crate) fn is_watched() -> bool {
    false
}

/// See [`super::window_ends`].
///
/// # Safety
/// - as there.
pub(crate) unsafe fn window_ends(at: *const u8) -> u32 {
    // SAFETY: the caller's promise.
    let is_end = |i| matches!(unsafe { byte(at.add(i)) }, 0 | b'=');
    (0..WINDOW).fold(0, |ends, i| ends | u32::from(is_end(i)) << i)
}

/// See [`super::are_alike`].
///
/// # Safety
/// - as there; `len` is at most [`WINDOW`].
pub(crate) unsafe fn are_alike(a: *const u8, b: *const u8, len: usize) -> bool {
    // SAFETY: the caller's promise.
    (0..len).all(|i| unsafe { byte(a.add(i)) == byte(b.add(i)) })
}
