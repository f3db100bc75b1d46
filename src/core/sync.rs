//! The only switch between the machine and the model checker: atomics, cells, memory, futex, and `trace`.
//!
//! Every other file is the same text in both worlds, so what loom explores is what ships.

#[cfg(not(loom))]
#[cfg(all(not(loom), any(miri, not(any(target_arch = "x86_64", target_arch = "aarch64")))))]
pub(crate) use core::sync::atomic::fence;
#[cfg(not(loom))]
pub(crate) use core::sync::atomic::{AtomicPtr, AtomicU16, AtomicU32, AtomicUsize, Ordering};
#[cfg(all(loom, not(shuttle)))]
pub(crate) use loom::sync::atomic::{AtomicU32, Ordering, fence};
#[cfg(shuttle)]
pub(crate) use shuttle::sync::atomic::{AtomicU32, Ordering, fence};

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
    use super::{AtomicPtr, AtomicU16, AtomicU32, AtomicUsize, NonNull, Ordering};
    use core::ops::Range;
    use core::ptr;

    /// Fresh zeroed memory from the kernel, `bytes` long (rounded up to pages), or `None`. Never given back. `errno` is as it was.
    #[cfg(target_os = "linux")]
    pub(crate) fn map(bytes: usize) -> Option<NonNull<u8>> {
        let (access, kind) = (libc::PROT_READ | libc::PROT_WRITE, libc::MAP_PRIVATE | libc::MAP_ANONYMOUS);
        let mut at = libc::MAP_FAILED;
        // SAFETY: a fresh private anonymous mapping touches nothing that exists.
        keeping_errno(|| at = unsafe { libc::mmap(ptr::null_mut(), bytes, access, kind, -1, 0) });
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

    /// The same.
    #[inline(always)]
    pub(crate) fn own_count(word: &AtomicUsize) -> usize {
        // Relaxed: as above.
        word.load(Ordering::Relaxed)
    }

    /// The same.
    #[inline(always)]
    pub(crate) fn own_tag(word: &AtomicU16) -> u16 {
        // Relaxed: as above.
        word.load(Ordering::Relaxed)
    }

    /// Where the kernel put the strings of the initial environment: between the random bytes and the file name that it leaves above
    /// the first stack frame. Empty if they are too far apart to be that. Source: `create_elf_tables` and `bprm_stack_limits` of Linux.
    #[cfg(target_os = "linux")]
    pub(crate) fn initial_strings() -> Range<usize> {
        const MOST: usize = 6 << 20;
        let [random, file] = [libc::AT_RANDOM, libc::AT_EXECFN]
            // SAFETY: `getauxval` has no conditions.
            .map(|key| unsafe { libc::getauxval(key) } as usize);
        if random == 0 || file.wrapping_sub(random) >= MOST {
            return 0..0;
        }
        // The file name, too, and the word behind it: so far it can be read. (Otherwise the last variable would end too near the end.)
        // SAFETY: where the kernel put a string.
        let name = unsafe { core::ffi::CStr::from_ptr(ptr::with_exposed_provenance(file)) };
        random..file + name.count_bytes() + 1 + size_of::<usize>()
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
///
/// With `cfg(shuttle)` besides, shuttle's atomics take the place of loom's, for random schedules of larger scenes.
#[cfg(loom)]
mod model {
    use super::{AtomicU32, NonNull, Ordering};
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
    AtomicPtr, AtomicU16, AtomicUsize, SPINS, initial_strings, map, own, own_count, own_tag, place, read,
    wait, wake,
};
#[cfg(loom)]
pub use model::{reset, set_initial_strings, wrote};
