//! What is asked of the kernel, of libc and of the machine: memory, the futex, threads, where the initial strings are.
//!
//! Everything else reaches these through [`sync`](crate::sync), which has a model of each for loom.

use core::ffi::{CStr, c_char};
use core::ops::Range;
use core::ptr::{self, NonNull};
use core::sync::atomic::{AtomicPtr, AtomicU8, AtomicU16, AtomicU32, AtomicUsize, Ordering};

/// The address of a symbol that need not exist: null where nobody defines it. (The stable language has no weak symbols.) Elsewhere than
/// below, and under Miri, always null.
#[allow(unused_macros)] // where one below takes its place
macro_rules! weak {
    ($symbol:literal) => {
        ptr::null::<()>()
    };
}

/// From the word that the dynamic linker fills in, which is 0 where nobody defines the symbol.
#[cfg(all(target_arch = "x86_64", target_pointer_width = "64", not(miri)))]
macro_rules! weak {
    ($symbol:literal) => {{
        let at: *const ();
        // SAFETY: loads one word of our own table of addresses, as the dynamic linker filled it in.
        unsafe {
            core::arch::asm!(
                concat!(".weak ", $symbol),
                concat!("mov {at}, qword ptr [rip + ", $symbol, "@GOTPCREL]"),
                at = out(reg) at, options(pure, readonly, nostack, preserves_flags)
            );
        }
        at
    }};
}

/// From the word that the dynamic linker fills in, which is 0 where nobody defines the symbol.
#[cfg(all(target_arch = "aarch64", not(miri)))]
macro_rules! weak {
    ($symbol:literal) => {{
        let at: *const ();
        // SAFETY: as above.
        unsafe {
            core::arch::asm!(
                concat!(".weak ", $symbol),
                concat!("adrp {at}, :got:", $symbol),
                concat!("ldr {at}, [{at}, #:got_lo12:", $symbol, "]"),
                at = out(reg) at, options(pure, readonly, nostack, preserves_flags)
            );
        }
        at
    }};
}

// Where the compiler loads the address from that table by itself. (Not for PowerPC, for which Rust 1.85 has no assembly.)
#[cfg(all(
    any(target_arch = "x86", target_arch = "arm", target_arch = "riscv64", target_arch = "s390x"),
    target_os = "linux",
    not(miri)
))]
macro_rules! weak {
    ($symbol:literal) => {{
        unsafe extern "C" {
            #[link_name = $symbol]
            static SYMBOL: u8;
        }
        let mut at: *const () = (&raw const SYMBOL).cast();
        // SAFETY: no instruction. It stands where the address is used, so in the same object file; and the compiler, to which the address
        // of a static is never null, cannot know what comes out.
        unsafe {
            core::arch::asm!(
                concat!(".weak ", $symbol), "/* {} */",
                inout(reg) at, options(pure, nomem, nostack, preserves_flags)
            );
        }
        at
    }};
}

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
    let register = weak!("__lsan_register_root_region");
    // SAFETY: null is `None`; else the function has this type: LeakSanitizer's interface.
    if let Some(register) = unsafe { core::mem::transmute::<*const (), Option<Register>>(register) } {
        // SAFETY: a mapping that stays.
        unsafe { register(at, bytes) };
    }
}

/// Gives back the memory of the whole pages in `range`, which becomes zero; the addresses stay. `errno` is as it was.
///
/// # Safety
/// - it is part of a mapping of [`map`], and nobody needs what is in it.
#[cfg(target_os = "linux")]
pub(crate) unsafe fn discard(range: Range<usize>) {
    const PAGE: usize = 1 << 16; // the largest there is
    let (start, end) = (range.start.next_multiple_of(PAGE), range.end & !(PAGE - 1));
    if start < end {
        let at = ptr::with_exposed_provenance_mut(start);
        // SAFETY: the caller's promise.
        keeping_errno(|| _ = unsafe { libc::madvise(at, end - start, libc::MADV_DONTNEED) });
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

/// True if a store to the word at `at` would kill the process. Asks the kernel to OR 0 into it, which changes nothing, and which it
/// refuses with `EFAULT` for memory that is read-only. `errno` is as it was.
#[cfg(target_os = "linux")]
pub(crate) fn is_constant<T>(at: *const T) -> bool {
    /// OR 0; no comparison that wakes anybody. Source: futex(2), `FUTEX_OP(FUTEX_OP_OR, 0, FUTEX_OP_CMP_EQ, 0)`.
    const OR_ZERO: u32 = 2 << 28;
    let word = AtomicU32::new(0);
    let op = libc::FUTEX_WAKE_OP | libc::FUTEX_PRIVATE_FLAG;
    let mut refused = false;
    keeping_errno(|| {
        // SAFETY: the kernel checks the address; the operation leaves the word as it is.
        let answer = unsafe { libc::syscall(libc::SYS_futex, word.as_ptr(), op, 0, 0, at, OR_ZERO) };
        // SAFETY: the calling thread's own errno.
        refused = answer == -1 && unsafe { *libc::__errno_location() } == libc::EFAULT;
    });
    refused
}

/// `bytes` bytes from `malloc`, which the program may free, or `None`.
#[cfg(target_os = "linux")]
pub(crate) fn from_malloc(bytes: usize) -> Option<NonNull<u8>> {
    // SAFETY: `malloc` has no conditions.
    NonNull::new(unsafe { libc::malloc(bytes) }.cast())
}

/// Gives back what [`from_malloc`] gave and nobody has seen.
///
/// # Safety
/// - as said.
#[cfg(target_os = "linux")]
pub(crate) unsafe fn to_malloc(at: NonNull<u8>) {
    // SAFETY: the caller's promise.
    unsafe { libc::free(at.as_ptr().cast()) };
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

/// Whether this process never had a second thread, if libc tells: glibc 2.32 and newer. False for ever once a thread was made, in
/// forked children, too.
///
/// Source: libc manual, `__libc_single_threaded`. Some programs define a variable of that name, always 1, for older libcs; so it
/// counts only if a function that came with the same version is there.
#[inline]
pub(crate) fn single_threaded() -> Option<bool> {
    let flag: *const AtomicU8 = weak!("__libc_single_threaded").cast();
    let companion = weak!("sigabbrev_np");
    // SAFETY: null, or libc's variable: one byte, which libc stores plainly before it makes a thread.
    let flag = unsafe { flag.as_ref() }.filter(|_| !companion.is_null())?;
    // Relaxed: what our own thread did, or what happened before it was made.
    Some(flag.load(Ordering::Relaxed) != 0)
}

/// Whether AVX2 may be used, if libc tells: glibc 2.33 and newer, which knows it from its own start.
///
/// Source: libc manual, "X86-specific Facilities"; `struct cpuid_feature` in `sys/platform/x86.h`: what `cpuid` says, then what of it may be used.
#[cfg(target_arch = "x86_64")]
pub(crate) fn has_avx2() -> Option<bool> {
    const LEAF_7: u32 = 1; // its number there
    const EBX: usize = 1;
    const AVX2: u32 = 1 << 5;
    type Leaf = unsafe extern "C" fn(u32) -> *const [[u32; 4]; 2];
    let leaf = weak!("__x86_get_cpuid_feature_leaf");
    // SAFETY: null, or libc's function of this name and type.
    let leaf: Option<Leaf> = unsafe { core::mem::transmute(leaf) };
    // SAFETY: a function without conditions; null, or a table of libc's.
    unsafe { leaf?(LEAF_7).as_ref() }.map(|[_, usable]| usable[EBX] & AVX2 != 0)
}

/// A number that is this thread's as long as it runs: never 0, nor 1.
#[inline]
pub(crate) fn thread() -> usize {
    let number: usize;
    #[cfg(all(target_arch = "x86_64", not(miri)))]
    // SAFETY: the thread pointer, which points to itself in every libc.
    unsafe {
        core::arch::asm!("mov {}, fs:0", out(reg) number, options(pure, readonly, nostack, preserves_flags));
    }
    #[cfg(all(target_arch = "aarch64", not(miri)))]
    // SAFETY: reads a register.
    unsafe {
        core::arch::asm!("mrs {}, tpidr_el0", out(reg) number, options(pure, nomem, nostack, preserves_flags));
    }
    #[cfg(all(target_arch = "x86", not(miri)))]
    // SAFETY: as on x86-64.
    unsafe {
        core::arch::asm!("mov {}, gs:0", out(reg) number, options(pure, readonly, nostack, preserves_flags));
    }
    #[cfg(all(
        target_os = "linux",
        any(miri, not(any(target_arch = "x86_64", target_arch = "aarch64", target_arch = "x86")))
    ))]
    {
        // SAFETY: the address of the calling thread's errno.
        number = unsafe { libc::__errno_location() }.addr();
    }
    #[cfg(not(any(
        target_os = "linux",
        all(any(target_arch = "x86_64", target_arch = "aarch64", target_arch = "x86"), not(miri))
    )))]
    {
        number = 2;
    }
    number
}

/// `environ` is about to point to something that perl did not make. Perl before 5.37.1 keeps the list in memory of its own `malloc`, which it
/// would give to `realloc` and `free`, whatever `environ` points to by then, unless this variable of its tells it to call `putenv`. (It sets
/// that to false itself at the start; so it is told each time.) Nothing elsewhere. Source: `Perl_my_setenv` in perl's `util.c`.
#[cfg(target_os = "linux")]
pub(crate) fn tell_perl() {
    let safe: *const AtomicU8 = weak!("PL_use_safe_putenv").cast();
    // SAFETY: null, or perl's variable: one byte, or an int of 0 or 1, of which the first byte counts alike where it is the lowest.
    if let Some(safe) = unsafe { safe.as_ref() } {
        // Relaxed: perl's own thread reads it.
        safe.store(1, Ordering::Relaxed);
    }
}

/// Elsewhere there is no `environ` of ours.
#[cfg(not(target_os = "linux"))]
pub(crate) fn tell_perl() {}

/// True if this thread can be seen to have company, in a libc that does not tell by itself: in musl 1.2 on x86-64, where the words 2 and 3 of
/// what the thread pointer points to are the neighbours in a ring of all threads. A ring of one is the thread itself, twice. Older glibcs
/// have the thread itself in word 2, and no address in word 3; older musls have zeros. Source: `pthread_impl.h` of musl, `tls.h` of glibc.
#[inline]
pub(crate) fn others() -> bool {
    #[cfg(all(target_os = "linux", target_arch = "x86_64", target_pointer_width = "64", not(miri)))]
    {
        let this = thread();
        let word = |i: usize| {
            // Relaxed: each word is looked at by itself.
            // SAFETY: the first words of the thread's own block, which every libc has; another thread may be changing the ring.
            unsafe { &*ptr::with_exposed_provenance::<AtomicUsize>(this + i * size_of::<usize>()) }
                .load(Ordering::Relaxed)
        };
        // Relaxed: who made a thread put it into the ring before.
        return word(2) != this && word(2) != 0;
    }
    #[allow(unreachable_code)]
    false
}

/// Two numbers that nobody outside can know, the same ones whenever this is called; at least the first is not 0.
#[cfg(target_os = "linux")]
pub(crate) fn secret() -> [usize; 2] {
    // SAFETY: `getauxval` has no conditions.
    let random: *const [usize; 2] =
        ptr::with_exposed_provenance(unsafe { libc::getauxval(libc::AT_RANDOM) } as usize);
    // Without it, an address that is random where addresses are.
    let at = random.addr().max(ptr::from_ref(&SPINS).addr());
    // SAFETY: null, or 16 bytes that the kernel left for this.
    let [a, b] = if random.is_null() { [at, !at] } else { unsafe { random.read_unaligned() } };
    [not_zero(a), b]
}

fn not_zero(number: usize) -> usize {
    number | 1
}

/// Elsewhere there are no hashes to key.
#[cfg(not(target_os = "linux"))]
pub(crate) fn secret() -> [usize; 2] {
    [1, 0]
}

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
    random..file
}

/// Where the stack ends that the kernel made: behind the file name of the program and a word. So far it can be read.
#[cfg(target_os = "linux")]
pub(crate) fn initial_end(strings: &Range<usize>) -> usize {
    // SAFETY: where the kernel put a string.
    let name = unsafe { CStr::from_ptr(ptr::with_exposed_provenance::<c_char>(strings.end)) };
    strings.end + name.count_bytes() + 1 + size_of::<usize>()
}

/// The stores before come before those after it, for our own thread's signal handlers and for who is forked. No instruction.
#[inline(always)]
pub(crate) fn keep_order() {
    core::sync::atomic::compiler_fence(Ordering::SeqCst);
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

#[cfg(all(test, target_os = "linux", not(miri)))]
mod tests;
