//! The process's one environment: C's `environ`, and the store that changes it.
//!
//! `environ` itself is the list head. It is bound by its reserved name `__environ` (a program may define an unrelated `environ`)
//! when the program is linked or loaded. Reads need nothing else: no initialisation, no thread-local storage, no system call.
//!
//! # fork
//! The lock lies in a page of its own that the kernel wipes to zero in a forked child (`MADV_WIPEONFORK`, Linux 4.14), with a word
//! that says whether this process has changed anything. So a child that was forked while another thread was inside `setenv` finds the
//! lock free. At its first change it sees by the zero that it is new, and by a word that is not wiped whether a change was under way at the
//! fork. If not, it goes on with its parent's list, arrays, notes and strings, which were at rest. If so, it forgets them and copies the
//! list, which is proper after every single store, into memory of its own. Nothing runs at fork time. `pthread_atfork` was not chosen:
//! its handlers are ordered among other libraries' handlers, raw `clone` skips them, and a signal handler that forks while its own thread
//! is inside `setenv`, as crash handlers do, would wait for itself for ever.
//!
//! What readers search by is neither wiped nor forgotten (see `inherited`): it holds in the child as it did in the parent.
//!
//! What writers use are pointers to objects that describe themselves, and no two words of it must agree (A1, Y1, K3). That is for
//! the child that *returns* from such a handler into the interrupted `setenv`. The frame goes on with the array, chunk and
//! table it has in hand, which nobody else uses: whatever the handler did in the child, it did with new ones. Every move of the
//! head is a compare-and-exchange, and a change counts only if the head still points into the array that was changed, so the
//! frame either completes its change or starts over on the list that the handler left. (Threads that such a handler started
//! before it returned are not covered; POSIX allows it no `pthread_create`.)
//!
//! A `vfork` child shares the page and the lock with its parent, as it shares the list.
//!
//! Where the kernel refuses the advice, all else works, and this is lost: a child forked while another thread was inside a change
//! may find the lock taken for ever when it makes a change itself. Reads in it are not affected. [`survives_fork`] tells.

pub use crate::batch::Change;
use crate::entry::CName;
use crate::error::Error;
use crate::slot::Head;
use crate::store::Store;
use crate::sync::{self, AtomicU32, Ordering};
use core::ffi::{CStr, c_char};
use core::ptr;

#[link(name = "c")]
unsafe extern "C" {
    // Invariant: one word, valid for the life of the process. C code writes it as a plain pointer.
    #[link_name = "__environ"]
    static ENVIRON: Head;
}

/// All zero, so in .bss, whose whole pages are anonymous memory, as the advice demands.
static STORE: Store = Store::new();

/// What became of the advice. Not on the wiped page: a child inherits the advice, too.
static ADVICE: AtomicU32 = AtomicU32::new(UNASKED);
const UNASKED: u32 = 0;
const TAKEN: u32 = 1;
const REFUSED: u32 = 2;

/// The list head of this process, or `None` as long as the dynamic linker has not bound `environ` for us.
///
/// That is so while it relocates libraries that come before this one, which may call `getenv` from an IFUNC resolver. libc has
/// not set `environ` itself by then, and its own `getenv` finds nothing either.
#[inline(always)]
fn head() -> Option<&'static Head> {
    let at: *const Head;
    // The address as the linker filled it in, or not yet: the language takes the address of a static to be never null.
    #[cfg(all(target_arch = "x86_64", not(miri)))]
    // SAFETY: one load from our own global offset table.
    unsafe {
        core::arch::asm!("mov {}, qword ptr [rip + {}@GOTPCREL]", out(reg) at, sym ENVIRON,
            options(pure, readonly, nostack, preserves_flags));
    }
    #[cfg(all(target_arch = "aarch64", not(miri)))]
    // SAFETY: as above.
    unsafe {
        core::arch::asm!("adrp {0}, :got:{1}", "ldr {0}, [{0}, :got_lo12:{1}]", out(reg) at, sym ENVIRON,
            options(pure, readonly, nostack, preserves_flags));
    }
    #[cfg(any(miri, not(any(target_arch = "x86_64", target_arch = "aarch64"))))]
    {
        // The compiler, to which it is never null, cannot know what comes out.
        at = core::hint::black_box(ptr::addr_of!(ENVIRON));
    }
    // SAFETY: libc's `environ` is one word that outlives everything; we only access it atomically.
    unsafe { at.as_ref() }
}

/// True if nothing of libc can be called yet: see `head`.
pub(crate) fn is_unbound() -> bool {
    head().is_none()
}

/// [`head`] for a change.
fn bound() -> Result<&'static Head, Error> {
    head().ok_or(Error::OutOfMemory)
}

/// The store of this process, in wiped pages from the first time on.
fn store() -> &'static Store {
    STORE.inherited.threads.notice();
    // Relaxed: asking twice does no harm, and who finds an answer needs nothing else.
    if ADVICE.load(Ordering::Relaxed) == UNASKED {
        ask();
    }
    &STORE
}

#[cold]
fn ask() {
    let (at, len) = STORE.wiped();
    let at: *mut core::ffi::c_void = at.cast_mut().cast();
    sync::keeping_errno(|| {
        // Whole pages of this kernel, or it would wipe more than that, or nothing.
        // SAFETY: `getauxval` has no conditions.
        let page = unsafe { libc::getauxval(libc::AT_PAGESZ) } as usize;
        let whole = page != 0 && at.addr() % page == 0 && len % page == 0;
        // A kernel or an emulator that says yes to advice that does not exist says yes to anything.
        // SAFETY: the advice concerns our own pages only; there is none with this number.
        let pretends = || unsafe { libc::madvise(at, len, NO_ADVICE) } == 0;
        // SAFETY: as above; it takes effect in children.
        let taken = whole && !pretends() && unsafe { libc::madvise(at, len, libc::MADV_WIPEONFORK) } == 0;
        // Relaxed: as in `store`.
        ADVICE.store(if taken { TAKEN } else { REFUSED }, Ordering::Relaxed);
    });
}

/// No advice to `madvise` has this number.
const NO_ADVICE: i32 = -1;

/// True if a child forked at any moment can change its environment at once; false if the kernel refuses `MADV_WIPEONFORK`.
pub fn survives_fork() -> bool {
    store();
    // Relaxed: as in `store`.
    ADVICE.load(Ordering::Relaxed) == TAKEN
}

/// Bytes allocated for the environment by this process, for ever: entries, arrays and tables. In a forked child, what its
/// parent had allocated until then is counted, too. Of this copy of the implementation: where another one answers, such as the preload library, this
/// one allocates nothing, and says 0.
pub fn retained_bytes() -> usize {
    store().retained()
}

/// The value of `name`, as a C program gets it. MT-Safe, AS-Safe, wait-free: at most two passes over the array.
///
/// # Safety
/// - `name` is a readable NUL-terminated string.
#[inline(always)]
pub(crate) unsafe fn get_c(name: *const c_char) -> *mut c_char {
    // First: libc need not be there yet.
    let Some(head) = head() else { return ptr::null_mut() };
    // SAFETY: the caller's promise; `environ` is a proper list, or the program broke it.
    unsafe {
        if !STORE.inherited.threads.is_settled() {
            return get_c_and_notice(head, name);
        }
        STORE.find(head, CName::new(name)).cast_mut()
    }
}

/// The same as long as calls have to be noticed.
///
/// # Safety
/// - as there.
#[cold]
#[inline(never)]
unsafe fn get_c_and_notice(head: &Head, name: *const c_char) -> *mut c_char {
    STORE.inherited.threads.notice();
    // SAFETY: the caller's promise.
    unsafe { STORE.find(head, CName::new(name)) }.cast_mut()
}

/// The value of `name`, or `None`. Copies nothing, takes no lock, stores nothing. Wait-free beside everything but batches: if a
/// [`batch`] began meanwhile, it reads again.
///
/// The string lives as long as the process. It is constant if it was stored by this library; the buffers of C's `putenv`, and
/// strings of a list that the program assigned to `environ`, belong to whoever made them.
pub fn get(name: &[u8]) -> Option<&'static CStr> {
    if name.contains(&0) {
        return None;
    }
    let head = head()?;
    STORE.inherited.threads.notice();
    // Not `store()`: reads make no system call.
    // SAFETY: `environ` is a proper list, or the program broke it.
    let value = unsafe { STORE.get(head, name) }?;
    // SAFETY: L2, L4: the value ends at its entry's NUL, and entries stay.
    Some(unsafe { CStr::from_ptr(value) })
}

/// Sets `name` to `value`; with `overwrite` false only if it has no value yet.
///
/// # Errors
/// `InvalidName`, `InvalidValue`, `OutOfMemory`; nothing was changed.
pub fn set(name: &[u8], value: &[u8], overwrite: bool) -> Result<(), Error> {
    let head = bound()?;
    // SAFETY: `environ` is a proper list, or the program broke it.
    unsafe { store().set(head, name, value, overwrite) }
}

/// The same as a C program does it.
///
/// # Safety
/// - `name` is a readable NUL-terminated string.
pub(crate) unsafe fn set_c(name: *const c_char, value: &CStr, overwrite: bool) -> Result<(), Error> {
    let head = bound()?;
    // SAFETY: the caller's promise; `environ` is a proper list, or the program broke it; a C string has no NUL in it.
    unsafe { store().set_text(head, CName::new(name), value.to_bytes(), overwrite) }
}

/// Makes `string` itself, `NAME=VALUE`, an entry; see [`Store::put`].
///
/// # Errors
/// `InvalidName`, `OutOfMemory`; nothing was changed.
///
/// # Safety
/// - `string` is NUL-terminated, and stays so and readable as long as anybody may read it: for ever, if in doubt.
pub unsafe fn put(string: *mut c_char) -> Result<(), Error> {
    let head = bound()?;
    // SAFETY: the caller's promise; `environ` is a proper list, or the program broke it.
    unsafe { store().put(head, string) }
}

/// Removes every entry named `name`.
///
/// # Errors
/// `InvalidName`, `OutOfMemory`; nothing was changed.
pub fn unset(name: &[u8]) -> Result<(), Error> {
    let head = bound()?;
    // SAFETY: `environ` is a proper list, or the program broke it.
    unsafe { store().unset(head, name) }
}

/// The same as a C program does it.
///
/// # Safety
/// - `name` is a readable NUL-terminated string.
pub(crate) unsafe fn unset_c(name: *const c_char) -> Result<(), Error> {
    let head = bound()?;
    // SAFETY: the caller's promise; `environ` is a proper list, or the program broke it.
    unsafe { store().unset(head, CName::new(name)) }
}

/// Empties the environment.
///
/// # Errors
/// `OutOfMemory`; nothing was changed.
pub fn clear() -> Result<(), Error> {
    let head = bound()?;
    // SAFETY: `environ` is a proper list, or the program broke it.
    unsafe { store().clear(head) }
}

/// Makes all `changes`, in their order, or none. See [`Store::batch`] for who sees what.
///
/// # Errors
/// `InvalidName`, `InvalidValue`, `OutOfMemory`; nothing was changed.
pub fn batch(changes: &[Change<'_>]) -> Result<(), Error> {
    let head = bound()?;
    // SAFETY: `environ` is a proper list, or the program broke it.
    unsafe { store().batch(head, changes) }
}

/// Fills `entries` with all entries as of one moment and returns how many there are; if that is more than fit, none of
/// them counts. Blocking (the update lock, for one pass over the pointers), not AS-Safe.
pub fn snapshot(entries: &mut [*const c_char]) -> usize {
    // SAFETY: `environ` is a proper list, or the program broke it.
    head().map_or(0, |head| unsafe { store().snapshot(head, entries) })
}

#[cfg(all(test, target_os = "linux", not(loom), not(miri)))]
mod tests {
    use super::*;
    use core::cell::Cell;
    use core::ffi::{c_int, c_void};

    std::thread_local! {
        /// True while this thread's kernel says yes to any advice, and follows none.
        static PRETENDS: Cell<bool> = const { Cell::new(false) };
    }

    /// In the place of libc's, for this program.
    ///
    /// # Safety
    /// - as there.
    #[unsafe(no_mangle)]
    unsafe extern "C" fn madvise(at: *mut c_void, len: usize, advice: c_int) -> c_int {
        if PRETENDS.get() {
            return 0;
        }
        // SAFETY: the caller's promise.
        unsafe { libc::syscall(libc::SYS_madvise, at, len, advice) as c_int }
    }

    /// An emulator's yes is none: a child would find the lock as it was.
    #[test]
    fn a_kernel_that_says_yes_to_anything_is_not_believed() {
        let answer = |pretends| {
            PRETENDS.set(pretends);
            ask();
            PRETENDS.set(false);
            // Relaxed: our own store.
            ADVICE.load(Ordering::Relaxed)
        };
        assert_eq!(answer(true), REFUSED);
        let (at, len) = STORE.wiped();
        // SAFETY: there is no such advice.
        let is_honest = unsafe { madvise(at.cast_mut().cast(), len, NO_ADVICE) } != 0;
        assert_eq!(answer(false), if is_honest { TAKEN } else { REFUSED });
    }
}
