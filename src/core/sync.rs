//! The only switch between the machine and the model checker: atomics, cells, memory, futex, and `trace`.
//!
//! Every other file is the same text in both worlds, so what loom explores is what ships.

#[cfg(not(loom))]
pub(crate) use core::sync::atomic::{AtomicPtr, AtomicU32, AtomicUsize, Ordering};
#[cfg(loom)]
pub(crate) use loom::sync::atomic::{AtomicPtr, AtomicU32, AtomicUsize, Ordering};

use core::ptr::NonNull;

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
mod machine {
    use super::{AtomicPtr, AtomicU32, NonNull, Ordering};
    use core::ptr;

    /// Fresh zeroed memory from the kernel, `bytes` long (rounded up to pages), or `None`. Never given back.
    #[cfg(target_os = "linux")]
    pub(crate) fn map(bytes: usize) -> Option<NonNull<u8>> {
        // SAFETY: a fresh private anonymous mapping touches nothing that exists.
        let at = unsafe {
            libc::mmap(
                ptr::null_mut(),
                bytes,
                libc::PROT_READ | libc::PROT_WRITE,
                libc::MAP_PRIVATE | libc::MAP_ANONYMOUS,
                -1,
                0,
            )
        };
        if at == libc::MAP_FAILED {
            return None;
        }
        show_to_leak_checker(at, bytes);
        NonNull::new(at.cast())
    }

    /// Tells LeakSanitizer, if it is in the process, to look for pointers here, too. It searches the memory of `malloc` and static
    /// variables only, and would call each `putenv(strdup(..))` a leak once nothing but an array of ours points to the string.
    #[cfg(target_os = "linux")]
    fn show_to_leak_checker(at: *mut core::ffi::c_void, bytes: usize) {
        type Register = unsafe extern "C" fn(*const core::ffi::c_void, usize);
        let register: *const ();
        // The address in the table of the dynamic linker: null if nobody defines the function. (The stable language has no weak
        // symbols.)
        // SAFETY: loads one word of our own table.
        #[cfg(all(target_arch = "x86_64", not(miri)))]
        unsafe {
            core::arch::asm!(
                ".weak __lsan_register_root_region",
                "mov {at}, qword ptr [rip + __lsan_register_root_region@GOTPCREL]",
                at = out(reg) register, options(pure, readonly, nostack, preserves_flags)
            );
        }
        // SAFETY: as above.
        #[cfg(all(target_arch = "aarch64", not(miri)))]
        unsafe {
            core::arch::asm!(
                ".weak __lsan_register_root_region",
                "adrp {at}, :got:__lsan_register_root_region",
                "ldr {at}, [{at}, #:got_lo12:__lsan_register_root_region]",
                at = out(reg) register, options(pure, readonly, nostack, preserves_flags)
            );
        }
        #[cfg(any(miri, not(any(target_arch = "x86_64", target_arch = "aarch64"))))]
        {
            register = ptr::null();
        }
        // SAFETY: null is `None`; else the function has this type: LeakSanitizer's interface.
        if let Some(register) = unsafe { core::mem::transmute::<*const (), Option<Register>>(register) } {
            // SAFETY: a mapping that stays.
            unsafe { register(at, bytes) };
        }
    }

    /// Sleeps while `word` is `expected`, until woken; may return early. `errno` is as it was.
    #[cfg(target_os = "linux")]
    pub(crate) fn wait(word: &AtomicU32, expected: u32) {
        let op = libc::FUTEX_WAIT | libc::FUTEX_PRIVATE_FLAG;
        keeping_errno(|| {
            // SAFETY: the word outlives the call; the timeout is null: none.
            unsafe { libc::syscall(libc::SYS_futex, word.as_ptr(), op, expected, ptr::null::<u8>()) };
        });
    }

    /// Wakes one thread that sleeps on `word`. `errno` is as it was.
    #[cfg(target_os = "linux")]
    pub(crate) fn wake(word: &AtomicU32) {
        let op = libc::FUTEX_WAKE | libc::FUTEX_PRIVATE_FLAG;
        keeping_errno(|| {
            // SAFETY: the kernel uses the address as a key only.
            unsafe { libc::syscall(libc::SYS_futex, word.as_ptr(), op, 1) };
        });
    }

    /// Runs `call` and puts `errno` back: a `setenv` that succeeds leaves no trace of its system calls.
    #[cfg(target_os = "linux")]
    pub(crate) fn keeping_errno(call: impl FnOnce()) {
        // SAFETY: libc gives the calling thread's own errno, always valid.
        let errno = unsafe { libc::__errno_location() };
        // SAFETY: as above; the two accesses are this thread's.
        let before = unsafe { *errno };
        call();
        // SAFETY: as above.
        unsafe { *errno = before };
    }

    /// How often a thread looks at a taken lock before it sleeps.
    pub(crate) const SPINS: u32 = 100;

    /// Loads a word that only holders of the update lock store, for one of them.
    #[inline(always)]
    pub(crate) fn own<T>(word: &AtomicPtr<T>) -> *mut T {
        // Relaxed: the lock orders us after the stores of every other holder.
        word.load(Ordering::Relaxed)
    }

    /// Tells loom that the plain memory behind `at` was written. Nothing in real builds.
    #[inline(always)]
    pub(crate) fn wrote<T>(_at: *const T) {}

    /// Tells loom that the plain memory behind `at` is read. Nothing in real builds.
    #[inline(always)]
    pub(crate) fn read<T>(_at: *const T) {}

    /// Makes `count` atomics of type `T` at `at`, all zero. Nothing in real builds, where zeroed memory is that.
    ///
    /// # Safety
    /// - `at` is zeroed memory for `count` values of `T`, aligned, and nobody else's.
    pub(crate) unsafe fn place<T>(_at: *mut T, _count: usize, _make: impl Fn() -> T) {}
}
#[cfg(not(loom))]
pub(crate) use machine::*;

/// The same under loom. Plain memory is invisible to loom, so each object whose bytes travel through a Release/Acquire
/// pair has a loom cell in a side table, found by its address; a read that is not ordered after the write fails the model.
#[cfg(loom)]
mod model {
    use super::{AtomicPtr, AtomicU32, NonNull};
    use std::alloc::Layout;
    use std::cell::RefCell;
    use std::collections::HashMap;
    use std::rc::Rc;

    // Thread-local because loom runs all threads of a model on one real thread, and tests run on several.
    std::thread_local! {
        static CELLS: RefCell<HashMap<usize, Rc<loom::cell::UnsafeCell<()>>>> = RefCell::default();
        /// All memory handed out in this execution: freed by `reset`.
        static MAPPED: RefCell<Vec<(usize, Layout)>> = const { RefCell::new(Vec::new()) };
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
        CELLS.with_borrow_mut(HashMap::clear);
        for (at, layout) in MAPPED.take() {
            // SAFETY: made by `map` with this layout; the execution that used it is over.
            unsafe { std::alloc::dealloc(at as *mut u8, layout) };
        }
    }

    pub(crate) fn wait(_word: &AtomicU32, _expected: u32) {
        loom::thread::yield_now();
    }

    pub(crate) fn wake(_word: &AtomicU32) {}

    pub(crate) const SPINS: u32 = 0;

    /// Not an atomic load, which would hide the readers' loads before it from loom's search: it looks at the last access to an
    /// atomic only, and would explore next to nothing. This form also fails the model if the lock does not order us.
    pub(crate) fn own<T>(word: &AtomicPtr<T>) -> *mut T {
        // SAFETY: loom checks the claim.
        unsafe { word.unsync_load() }
    }

    pub(crate) fn wrote<T>(at: *const T) {
        CELLS.with_borrow_mut(|cells| cells.entry(at.addr()).or_default().clone()).with_mut(|_| ());
    }

    pub(crate) fn read<T>(at: *const T) {
        if let Some(cell) = CELLS.with_borrow(|cells| cells.get(&at.addr()).cloned()) {
            cell.with(|_| ());
        }
    }

    pub(crate) unsafe fn place<T>(at: *mut T, count: usize, make: impl Fn() -> T) {
        for i in 0..count {
            // SAFETY: the caller's promise.
            unsafe { at.add(i).write(make()) };
        }
    }
}
#[cfg(loom)]
pub use model::reset;
#[cfg(loom)]
pub(crate) use model::{SPINS, map, own, place, read, wait, wake, wrote};
