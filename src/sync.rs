//! The only switch between the machine and the model checker in this package: atomics, the lock, memory, the hash.
//!
//! With `--cfg loom` alone, as in other people's models, crossbeam's epochs are not part of the model: memory may be given back during a
//! later execution, and so is not tracked. With `--cfg loom --cfg crossbeam_loom`, as in ours, both are.

use std::alloc::Layout;
use std::ptr::NonNull;

#[cfg(not(loom))]
pub(crate) use std::sync::{
    Mutex, MutexGuard, PoisonError,
    atomic::{AtomicPtr, Ordering},
};
#[cfg(loom)]
pub(crate) use {
    loom::sync::{
        Mutex, MutexGuard,
        atomic::{AtomicPtr, Ordering},
    },
    std::sync::PoisonError,
};

/// How names are hashed: keyed, so that nobody can choose names that collide.
#[cfg(not(loom))]
pub(crate) type Hasher = std::hash::RandomState;
/// Each run of a model must be the same.
#[cfg(loom)]
pub(crate) type Hasher = std::hash::BuildHasherDefault<std::hash::DefaultHasher>;

/// Zeroed memory, or `None`. `layout` has a size.
pub(crate) fn allocate(layout: Layout) -> Option<NonNull<u8>> {
    #[cfg(all(loom, crossbeam_loom))]
    use loom::alloc::alloc_zeroed;
    #[cfg(not(all(loom, crossbeam_loom)))]
    use std::alloc::alloc_zeroed;

    debug_assert!(layout.size() > 0);
    // SAFETY: every object here has a header, so a size.
    NonNull::new(unsafe { alloc_zeroed(layout) })
}

/// Gives memory back.
///
/// # Safety
/// - `at` was allocated by [`allocate`] with this layout, and nobody uses it any more.
pub(crate) unsafe fn free(at: NonNull<u8>, layout: Layout) {
    #[cfg(all(loom, crossbeam_loom))]
    use loom::alloc::dealloc;
    #[cfg(not(all(loom, crossbeam_loom)))]
    use std::alloc::dealloc;

    // SAFETY: the caller's promise.
    unsafe { dealloc(at.as_ptr(), layout) };
}

/// Stands for the plain bytes of an object, which loom cannot see: a read that is not ordered after the write fails the model.
#[derive(Debug, Default)]
pub(crate) struct Traced(#[cfg(all(loom, crossbeam_loom))] loom::cell::UnsafeCell<()>);

impl Traced {
    #[inline(always)]
    pub(crate) fn wrote(&self) {
        #[cfg(all(loom, crossbeam_loom))]
        self.0.with_mut(|_| ());
    }

    #[inline(always)]
    pub(crate) fn read(&self) {
        #[cfg(all(loom, crossbeam_loom))]
        self.0.with(|_| ());
    }
}
