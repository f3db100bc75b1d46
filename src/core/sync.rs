//! The only switch between the machine and the model checker: atomics, cells, memory, futex, and `trace`.
//!
//! Every other file is the same text in both worlds, so what loom explores is what ships.

#[cfg(all(not(loom), any(test, miri, not(any(target_arch = "x86_64", target_arch = "aarch64")))))]
pub(crate) use core::sync::atomic::fence;
#[cfg(not(loom))]
pub(crate) use core::sync::atomic::{AtomicPtr, AtomicU16, AtomicU32, AtomicUsize, Ordering};
#[cfg(all(loom, not(shuttle)))]
pub(crate) use loom::sync::atomic::{AtomicU32, Ordering, fence};
#[cfg(shuttle)]
pub(crate) use shuttle::sync::atomic::{AtomicU32, Ordering, fence};

/// `pub const fn new()` in real builds; loom's atomics cannot be made in a `const fn`. With the `Default` that goes with it.
macro_rules! const_new {
    ($type:ty, $(#[$meta:meta])* $vis:vis fn new() -> $ret:ty $body:block) => {
        impl $type {
            #[cfg(not(loom))]
            $(#[$meta])*
            $vis const fn new() -> $ret $body
            #[cfg(loom)]
            $(#[$meta])*
            $vis fn new() -> $ret $body
        }

        impl Default for $type {
            fn default() -> Self {
                Self::new()
            }
        }
    };
}
pub(crate) use const_new;

/// One byte of a string that its owner may be changing (a `putenv` string). An ordinary load in machine code; atomic so
/// that a racing writer is not undefined behaviour here, and so that no compiler turns the loop around it into a call of
/// `strlen` or `memcmp`, which may not be bound yet when an IFUNC resolver calls `getenv`.
///
/// # Safety
/// - `at` is readable.
#[inline(always)]
pub(crate) unsafe fn byte(at: *const u8) -> u8 {
    // SAFETY: readable by the caller's promise; alignment of one byte is always right. Relaxed: the bytes of an entry were
    // made visible by the Acquire load of its slot.
    unsafe { core::sync::atomic::AtomicU8::from_ptr(at.cast_mut()) }
        .load(core::sync::atomic::Ordering::Relaxed)
}

#[cfg(not(loom))]
pub(crate) use crate::system::*;

/// The same under loom. Plain memory is invisible to loom, so each object whose bytes travel through a Release/Acquire
/// pair has a loom cell in a side table, found by its address; a read that is not ordered after the write fails the model.
///
/// With `cfg(shuttle)` besides, shuttle's atomics take the place of loom's, for random schedules of larger scenes.
#[cfg(loom)]
mod model {
    use super::{AtomicU32, Ordering};
    #[cfg(not(shuttle))]
    use loom::sync::{Condvar, Mutex, atomic};
    #[cfg(shuttle)]
    use shuttle::sync::{Condvar, Mutex, atomic};
    use std::alloc::Layout;
    #[cfg(not(shuttle))]
    use std::cell::Cell;
    use std::cell::RefCell;
    use std::collections::HashMap;
    use std::ops::Range;
    use std::ptr::NonNull;
    use std::rc::Rc;

    /// Threads that sleep on one futex word.
    type Queue = Rc<(Mutex<()>, Condvar)>;

    // Thread-local because loom runs all threads of a model on one real thread, and tests run on several.
    std::thread_local! {
        #[cfg(not(shuttle))]
        static CELLS: RefCell<HashMap<usize, Rc<loom::cell::UnsafeCell<()>>>> = RefCell::default();
        static QUEUES: RefCell<HashMap<usize, Queue>> = RefCell::default();
        /// All memory handed out in this execution: freed by `reset`.
        static MAPPED: RefCell<Vec<(usize, Layout)>> = const { RefCell::new(Vec::new()) };
        #[cfg(not(shuttle))]
        static SOLE_WRITER: Cell<Option<loom::thread::ThreadId>> = const { Cell::new(None) };
        static INITIAL: RefCell<Range<usize>> = const { RefCell::new(0..0) };
    }

    /// The model's strings of the initial environment.
    pub(crate) fn initial_strings() -> Range<usize> {
        INITIAL.with_borrow(Clone::clone)
    }

    /// The model's stack goes on behind them.
    pub(crate) fn initial_end(strings: &Range<usize>) -> usize {
        strings.end + 64
    }

    /// Models have threads, unless a store says otherwise.
    pub(crate) fn single_threaded() -> Option<bool> {
        Some(false)
    }

    pub(crate) fn thread() -> usize {
        2
    }

    pub(crate) fn tell_perl() {}

    pub(crate) fn others() -> bool {
        false
    }

    pub(crate) fn keep_order() {}

    pub(crate) fn secret() -> [usize; 2] {
        [0x9e37_79b9_7f4a_7c15, 0xd1b5_4a32_d192_ed03]
    }

    /// Lists of the models can be written.
    pub(crate) fn is_constant<T>(_at: *const T) -> bool {
        false
    }

    pub(crate) fn from_malloc(bytes: usize) -> Option<NonNull<u8>> {
        map(bytes)
    }

    pub(crate) unsafe fn to_malloc(_at: NonNull<u8>) {}

    /// Memory of a model goes with it.
    pub(crate) unsafe fn discard(_range: Range<usize>) {}

    /// Says where these are.
    pub fn set_initial_strings(strings: Range<usize>) {
        INITIAL.set(strings);
    }

    pub(crate) fn map(bytes: usize) -> Option<NonNull<u8>> {
        let layout = Layout::from_size_align(bytes, 64).ok()?;
        // SAFETY: the size is not zero: the callers map whole chunks.
        let at = NonNull::new(unsafe { std::alloc::alloc_zeroed(layout) })?;
        MAPPED.with_borrow_mut(|mapped| mapped.push((at.as_ptr().addr(), layout)));
        Some(at)
    }

    /// Forgets the previous execution: to be called first in each model.
    pub fn reset() {
        #[cfg(not(shuttle))]
        {
            SOLE_WRITER.set(None);
            CELLS.with_borrow_mut(HashMap::clear);
        }
        QUEUES.with_borrow_mut(HashMap::clear);
        set_initial_strings(0..0);
        for (at, layout) in MAPPED.take() {
            // SAFETY: made by `map` with this layout; the execution that used it is over.
            unsafe { std::alloc::dealloc(at as *mut u8, layout) };
        }
    }

    /// The calling thread claims to be the only one that stores in this model from now on. Its loads then give what it stored
    /// itself, and loom need not see them as atomic; see [`AtomicPtr::load`]. Loom checks the claim.
    #[cfg(not(shuttle))]
    pub fn sole_writer() {
        SOLE_WRITER.set(Some(loom::thread::current().id()));
    }

    /// True if loads of the calling thread need no search.
    fn is_sole_writer() -> bool {
        #[cfg(not(shuttle))]
        return SOLE_WRITER.get().is_some_and(|writer| writer == loom::thread::current().id());
        #[cfg(shuttle)]
        return false;
    }

    /// Loom's atomics, except for the loads of a sole writer.
    ///
    /// Loom's search compares a store with the *last* access to the atomic only. A thread's own load just before its
    /// store hides the loads of other threads before that, and loom explores next to nothing. So loads that need no
    /// search are kept out of it: those of a sole writer, and, through `own`, those of the lock's holder.
    macro_rules! atomic {
        ($name:ident $(<$t:ident>)?, $value:ty, $own:ident) => {
            pub(crate) struct $name$(<$t>)?(atomic::$name$(<$t>)?);

            // Derived, it would ask for `T: Debug`.
            impl$(<$t>)? std::fmt::Debug for $name$(<$t>)? {
                fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                    self.0.fmt(f)
                }
            }

            #[allow(dead_code)] // not each of them is used with each type
            impl$(<$t>)? $name$(<$t>)? {
                pub(crate) fn new(value: $value) -> Self {
                    Self(atomic::$name::new(value))
                }

                pub(crate) fn load(&self, order: Ordering) -> $value {
                    if is_sole_writer() { $own(self) } else { self.0.load(order) }
                }

                pub(crate) fn store(&self, value: $value, order: Ordering) {
                    self.0.store(value, order);
                }

                pub(crate) fn swap(&self, value: $value, order: Ordering) -> $value {
                    self.0.swap(value, order)
                }

                pub(crate) fn compare_exchange(
                    &self,
                    from: $value,
                    to: $value,
                    success: Ordering,
                    failure: Ordering,
                ) -> Result<$value, $value> {
                    self.0.compare_exchange(from, to, success, failure)
                }
            }

            /// Not an atomic load: see above. This form also fails the model if the lock does not order us.
            #[cfg(not(shuttle))]
            pub(crate) fn $own$(<$t>)?(word: &$name$(<$t>)?) -> $value {
                // SAFETY: loom checks the claim.
                unsafe { word.0.unsync_load() }
            }
            #[cfg(shuttle)]
            pub(crate) fn $own$(<$t>)?(word: &$name$(<$t>)?) -> $value {
                // Relaxed: as in real builds.
                word.0.load(Ordering::Relaxed)
            }
        };
    }

    atomic!(AtomicPtr<T>, *mut T, own);
    atomic!(AtomicUsize, usize, own_count);
    atomic!(AtomicU16, u16, own_tag);

    fn queue(word: &AtomicU32) -> Queue {
        QUEUES.with_borrow_mut(|queues| queues.entry(std::ptr::from_ref(word).addr()).or_default().clone())
    }

    /// The futex: compares and goes to sleep in one step, so that a wake-up that is lost is a deadlock, which loom reports.
    pub(crate) fn wait(word: &AtomicU32, expected: u32) {
        let queue = queue(word);
        let step = queue.0.lock().unwrap();
        // Relaxed: the kernel's own lock orders this comparison and the waker's store, as the mutex does here.
        if word.load(Ordering::Relaxed) == expected {
            drop(queue.1.wait(step));
        }
    }

    pub(crate) fn wake(word: &AtomicU32) {
        let queue = queue(word);
        let _step = queue.0.lock().unwrap();
        queue.1.notify_one();
    }

    pub(crate) const SPINS: u32 = 0;

    /// Tells loom that the plain memory behind `at` was written.
    #[cfg(not(shuttle))]
    pub fn wrote<T>(at: *const T) {
        CELLS.with_borrow_mut(|cells| cells.entry(at.addr()).or_default().clone()).with_mut(|_| ());
    }

    #[cfg(not(shuttle))]
    pub(crate) fn read<T>(at: *const T) {
        if let Some(cell) = CELLS.with_borrow(|cells| cells.get(&at.addr()).cloned()) {
            cell.with(|_| ());
        }
    }

    // Shuttle switches threads at atomics only, and knows no weak memory: bytes need no trace.
    /// Nothing.
    #[cfg(shuttle)]
    pub fn wrote<T>(_at: *const T) {}
    #[cfg(shuttle)]
    pub(crate) fn read<T>(_at: *const T) {}

    pub(crate) unsafe fn place<T>(at: *mut T, count: usize, make: impl Fn() -> T) {
        for i in 0..count {
            // SAFETY: the caller's promise.
            unsafe { at.add(i).write(make()) };
        }
    }
}
#[cfg(all(loom, not(shuttle)))]
pub use model::sole_writer;
#[cfg(loom)]
pub(crate) use model::{
    AtomicPtr, AtomicU16, AtomicUsize, SPINS, discard, from_malloc, initial_end, initial_strings,
    is_constant, keep_order, map, others, own, own_count, own_tag, place, read, secret, single_threaded,
    tell_perl, thread, to_malloc, wait, wake,
};
#[cfg(loom)]
pub use model::{reset, set_initial_strings, wrote};
