//! System calls without libc: they leave `errno` alone, and nobody's wrapper is called.

use core::arch::asm;
use core::ffi::{CStr, c_int, c_long};

/// What the kernel answers: a value, or an `errno` negated.
pub(crate) type Answer = isize;

/// # Safety
/// - the call with these arguments touches no memory but what the caller may let it touch.
#[cfg(target_arch = "x86_64")]
unsafe fn call(number: c_long, a: [usize; 6]) -> Answer {
    let answer;
    // SAFETY: the caller's promise; the kernel changes rax, rcx and r11 alone.
    unsafe {
        asm!("syscall", inlateout("rax") number as isize => answer, in("rdi") a[0], in("rsi") a[1], in("rdx") a[2],
             in("r10") a[3], in("r8") a[4], in("r9") a[5], lateout("rcx") _, lateout("r11") _, options(nostack));
    }
    answer
}

/// # Safety
/// - the call with these arguments touches no memory but what the caller may let it touch.
#[cfg(target_arch = "aarch64")]
unsafe fn call(number: c_long, a: [usize; 6]) -> Answer {
    let answer;
    // SAFETY: the caller's promise; the kernel changes x0 alone.
    unsafe {
        asm!("svc 0", in("x8") number, inlateout("x0") a[0] => answer, in("x1") a[1], in("x2") a[2], in("x3") a[3],
             in("x4") a[4], in("x5") a[5], options(nostack));
    }
    answer
}

const HERE: usize = libc::AT_FDCWD as usize;

/// A file descriptor; negative: an error.
pub(crate) fn open(path: &CStr, flags: i32) -> Answer {
    let flags = (flags | libc::O_CLOEXEC) as usize;
    // SAFETY: the kernel reads the path.
    unsafe { call(libc::SYS_openat, [HERE, path.as_ptr().addr(), flags, 0o600, 0, 0]) }
}

pub(crate) fn close(file: Answer) {
    // SAFETY: a descriptor that we opened.
    unsafe { call(libc::SYS_close, [file.cast_unsigned(), 0, 0, 0, 0, 0]) };
}

/// A file in memory without a name; negative: an error.
pub(crate) fn memory_file() -> Answer {
    // SAFETY: the kernel reads the name.
    unsafe {
        let name = c"mtsafe-env-trace".as_ptr().addr();
        call(libc::SYS_memfd_create, [name, libc::MFD_CLOEXEC as usize, 0, 0, 0, 0])
    }
}

/// Bytes read from the beginning; negative: an error.
pub(crate) fn read_start(file: Answer, into: &mut [u8]) -> Answer {
    // SAFETY: the kernel writes into the slice.
    unsafe { call(libc::SYS_pread64, [file.cast_unsigned(), into.as_mut_ptr().addr(), into.len(), 0, 0, 0]) }
}

/// Bytes read; negative: an error.
pub(crate) fn read(file: Answer, into: &mut [u8]) -> Answer {
    // SAFETY: the kernel writes into the slice.
    unsafe { call(libc::SYS_read, [file.cast_unsigned(), into.as_mut_ptr().addr(), into.len(), 0, 0, 0]) }
}

pub(crate) fn unlink(path: &CStr) {
    // SAFETY: the kernel reads the path.
    unsafe { call(libc::SYS_unlinkat, [HERE, path.as_ptr().addr(), 0, 0, 0, 0]) };
}

/// True if the file now has this size.
pub(crate) fn set_length(file: Answer, bytes: usize) -> bool {
    // SAFETY: a file of ours.
    unsafe { call(libc::SYS_ftruncate, [file.cast_unsigned(), bytes, 0, 0, 0, 0]) == 0 }
}

/// True if the file system has promised room for these bytes, so that touching them cannot fail.
pub(crate) fn promise(file: Answer, offset: usize, bytes: usize) -> bool {
    // SAFETY: a file of ours; its content stays.
    unsafe { call(libc::SYS_fallocate, [file.cast_unsigned(), 0, offset, bytes, 0, 0]) == 0 }
}

/// True if these bytes of a shared mapping have room of their own now, so that touching them cannot fail.
pub(crate) fn populate(at: usize, bytes: usize) -> bool {
    // SAFETY: a mapping of ours; its content stays.
    unsafe { call(libc::SYS_madvise, [at, bytes, libc::MADV_POPULATE_WRITE as usize, 0, 0, 0]) == 0 }
}

/// Bytes that a file of this process may have. A write behind them would raise a signal that kills.
pub(crate) fn size_limit() -> u64 {
    let mut limit = [u64::MAX; 2];
    let resource = libc::RLIMIT_FSIZE as usize;
    // SAFETY: the kernel writes the two words.
    unsafe { call(libc::SYS_prlimit64, [0, resource, 0, limit.as_mut_ptr().addr(), 0, 0]) };
    limit[0]
}

/// Makes a directory.
pub(crate) fn make_directory(path: &CStr) {
    // SAFETY: the kernel reads the path.
    unsafe { call(libc::SYS_mkdirat, [HERE, path.as_ptr().addr(), 0o700, 0, 0, 0]) };
}

/// `syscall`, where libc's cannot be called yet. Without `errno`, which belongs to libc.
///
/// # Safety
/// - as for the system call.
pub(crate) unsafe extern "C" fn raw(
    number: c_long,
    a: usize,
    b: usize,
    c: usize,
    d: usize,
    e: usize,
) -> c_long {
    // SAFETY: the caller's promise. A sixth argument is not passed on: no call that is made so early has one.
    let answer = unsafe { call(number, [a, b, c, d, e, 0]) };
    if (-4095..0).contains(&answer) { -1 } else { answer as c_long }
}

/// `prctl`, likewise.
///
/// # Safety
/// - as for the system call.
pub(crate) unsafe extern "C" fn raw_prctl(a: usize, b: usize, c: usize, d: usize, e: usize) -> c_int {
    // SAFETY: the caller's promise.
    unsafe { raw(libc::SYS_prctl, a, b, c, d, e) as c_int }
}

/// New memory: of the file, shared, or anonymous and private (`None`). Zero: the kernel refuses.
pub(crate) fn map(file: Option<Answer>, bytes: usize) -> usize {
    let (flags, file) = match file {
        Some(file) => (libc::MAP_SHARED, file),
        None => (libc::MAP_PRIVATE | libc::MAP_ANONYMOUS, -1),
    };
    let protection = (libc::PROT_READ | libc::PROT_WRITE) as usize;
    // SAFETY: a new mapping where there is none.
    let at = unsafe { call(libc::SYS_mmap, [0, bytes, protection, flags as usize, file.cast_unsigned(), 0]) };
    if (-4095..0).contains(&at) { 0 } else { at.cast_unsigned() }
}

/// # Safety
/// - nobody uses these bytes, which `map` returned.
pub(crate) unsafe fn unmap(at: usize, bytes: usize) {
    // SAFETY: the caller's promise.
    unsafe { call(libc::SYS_munmap, [at, bytes, 0, 0, 0, 0]) };
}

/// True if a forked child will find this page zero.
pub(crate) fn wipe_on_fork(page: usize, bytes: usize) -> bool {
    // SAFETY: the advice concerns a page of ours, in children. One that nobody knows is asked for first: who accepts that, lies.
    unsafe {
        call(libc::SYS_madvise, [page, bytes, usize::MAX, 0, 0, 0]) != 0
            && call(libc::SYS_madvise, [page, bytes, libc::MADV_WIPEONFORK as usize, 0, 0, 0]) == 0
    }
}

pub(crate) fn process_id() -> u32 {
    // SAFETY: no memory.
    unsafe { call(libc::SYS_getpid, [0; 6]) as u32 }
}

pub(crate) fn parent_id() -> u32 {
    // SAFETY: no memory.
    unsafe { call(libc::SYS_getppid, [0; 6]) as u32 }
}

pub(crate) fn thread_id() -> u32 {
    // SAFETY: no memory.
    unsafe { call(libc::SYS_gettid, [0; 6]) as u32 }
}

/// ns of the monotonic clock.
pub(crate) fn now() -> u64 {
    let mut time = [0u64; 2];
    // SAFETY: the kernel writes the two words.
    unsafe {
        call(libc::SYS_clock_gettime, [libc::CLOCK_MONOTONIC as usize, time.as_mut_ptr().addr(), 0, 0, 0, 0])
    };
    time[0] * 1_000_000_000 + time[1]
}

/// The calling thread's name, zeros behind it.
pub(crate) fn thread_name() -> [u8; 16] {
    let mut name = [0; 16];
    // SAFETY: the kernel writes at most 16 bytes.
    unsafe { call(libc::SYS_prctl, [libc::PR_GET_NAME as usize, name.as_mut_ptr().addr(), 0, 0, 0, 0]) };
    name
}

/// Hard links of a path.
pub(crate) fn links(path: &CStr) -> Option<u64> {
    let mut about = core::mem::MaybeUninit::<libc::stat>::zeroed();
    // SAFETY: the kernel reads the path and writes the structure, whose layout is the kernel's on our machines.
    let answer = unsafe {
        call(libc::SYS_newfstatat, [HERE, path.as_ptr().addr(), about.as_mut_ptr().addr(), 0, 0, 0])
    };
    #[allow(clippy::useless_conversion)] // 32 bits on some machines
    // SAFETY: numbers; zeros are numbers.
    (answer == 0).then(|| unsafe { about.assume_init().st_nlink }.into())
}

/// Entries of a directory, as the kernel packs them; the bytes filled.
pub(crate) fn entries(directory: Answer, into: &mut [u8]) -> Answer {
    // SAFETY: the kernel writes into the slice.
    unsafe {
        call(libc::SYS_getdents64, [directory.cast_unsigned(), into.as_mut_ptr().addr(), into.len(), 0, 0, 0])
    }
}

/// Copies memory of this process that may not be there: whole elements of `from`, in turn, up to the first that cannot be read. The
/// bytes copied; negative: an error.
///
/// # Safety
/// - as many bytes as `from` names can be written at `to`.
pub(crate) unsafe fn peek(thread: u32, from: &[libc::iovec], to: *mut u8) -> Answer {
    let bytes = from.iter().map(|part| part.iov_len).sum();
    let to = libc::iovec { iov_base: to.cast(), iov_len: bytes };
    let (at, from, parts) = ((&raw const to).addr(), from.as_ptr().addr(), from.len());
    // SAFETY: the caller's promise; the kernel reads what `from` names only where it may be read.
    unsafe { call(libc::SYS_process_vm_readv, [thread as usize, at, 1, from, parts, 0]) }
}
