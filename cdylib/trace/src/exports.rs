//! The functions that programs meet. Each saves the registers that an unwinder needs, and passes the call on.
//!
//! Those that change or answer call their hook, which calls the definition behind; the others, whose arguments are none of our
//! business, are counted and jumped to, with every argument register as it was.

use crate::file::{self, file};
use crate::frame::Frame;
use crate::record::{Asked, behind, change, read};
use crate::sys;
use core::arch::naked_asm;
use core::ffi::{CStr, c_char, c_int};
use core::ptr;
use core::sync::atomic::Ordering;
use mtsafe_env_trace_layout as layout;

type Get = unsafe extern "C" fn(*const c_char) -> *mut c_char;
type Set = unsafe extern "C" fn(*const c_char, *const c_char, c_int) -> c_int;
type Put = unsafe extern "C" fn(*const c_char) -> c_int;
type Clear = unsafe extern "C" fn() -> c_int;

const FAILED: c_int = -1;

/// What `getenv` answers while libc's is not known: before libc is there, when there is no environment, either; and to whoever is
/// asked where libc's is.
///
/// # Safety
/// - `name` is a string, and nobody changes the environment meanwhile: there is one thread so early.
#[cold]
unsafe fn early(name: *const c_char) -> *mut c_char {
    // Relaxed: as the promise says.
    let mut slot = crate::environ().map_or(ptr::null_mut(), |environ| environ.load(Ordering::Relaxed));
    // SAFETY: the caller's promise; the list ends in a null.
    unsafe {
        let name = CStr::from_ptr(name).to_bytes();
        while !slot.is_null() && !(*slot).is_null() {
            let entry = CStr::from_ptr((*slot).cast()).to_bytes();
            if let Some([b'=', value @ ..]) = entry.strip_prefix(name) {
                return value.as_ptr().cast::<c_char>().cast_mut();
            }
            slot = slot.add(1);
        }
    }
    ptr::null_mut()
}

/// # Safety
/// - `frame` is what the entry point saved; the rest is C's contract.
unsafe extern "C" fn hook_getenv(name: *const c_char, frame: &Frame) -> *mut c_char {
    if let Some(file) = file() {
        read(file, frame, layout::GETENV);
    }
    // SAFETY: the type is getenv's; the caller's promise.
    unsafe { behind::<Get>(layout::GETENV).map_or_else(|| early(name), |getenv| getenv(name)) }
}

/// # Safety
/// - as above.
unsafe extern "C" fn hook_secure_getenv(name: *const c_char, frame: &Frame) -> *mut c_char {
    if let Some(file) = file() {
        read(file, frame, layout::SECURE_GETENV);
    }
    // SAFETY: as above. A process that the kernel marks as privileged preloads nothing from a path.
    unsafe { behind::<Get>(layout::SECURE_GETENV).map_or_else(|| early(name), |getenv| getenv(name)) }
}

/// # Safety
/// - as above.
unsafe extern "C" fn hook_setenv(
    name: *const c_char,
    value: *const c_char,
    overwrite: c_int,
    frame: &Frame,
) -> c_int {
    // SAFETY: the type is setenv's.
    let Some(setenv) = (unsafe { behind::<Set>(layout::SETENV) }) else { return FAILED };
    // SAFETY: the caller's promise.
    let make = || unsafe { setenv(name, value, overwrite) };
    match file() {
        // SAFETY: as above.
        Some(file) => change(file, frame, &unsafe { Asked::setenv(name, value, overwrite) }, make),
        None => make(),
    }
}

/// # Safety
/// - as above.
unsafe extern "C" fn hook_putenv(string: *const c_char, frame: &Frame) -> c_int {
    // SAFETY: the type is putenv's.
    let Some(putenv) = (unsafe { behind::<Put>(layout::PUTENV) }) else { return FAILED };
    // SAFETY: the caller's promise.
    let make = || unsafe { putenv(string) };
    match file() {
        // SAFETY: as above.
        Some(file) => change(file, frame, &unsafe { Asked::putenv(string) }, make),
        None => make(),
    }
}

/// # Safety
/// - as above.
unsafe extern "C" fn hook_unsetenv(name: *const c_char, frame: &Frame) -> c_int {
    // SAFETY: the type is unsetenv's.
    let Some(unsetenv) = (unsafe { behind::<Put>(layout::UNSETENV) }) else { return FAILED };
    // SAFETY: the caller's promise.
    let make = || unsafe { unsetenv(name) };
    match file() {
        // SAFETY: as above.
        Some(file) => change(file, frame, &unsafe { Asked::unsetenv(name) }, make),
        None => make(),
    }
}

/// # Safety
/// - as above.
unsafe extern "C" fn hook_clearenv(frame: &Frame) -> c_int {
    // SAFETY: the type is clearenv's.
    let Some(clearenv) = (unsafe { behind::<Clear>(layout::CLEARENV) }) else { return FAILED };
    // SAFETY: no condition.
    let make = || unsafe { clearenv() };
    match file() {
        Some(file) => change(file, frame, &Asked::clearenv(), make),
        None => make(),
    }
}

/// Counts, and says where to go on. 0: there is no such function in this libc.
extern "C" fn hook_door(frame: &Frame, function: u32) -> usize {
    if let Some(file) = file() {
        read(file, frame, function);
    }
    crate::next::next(function).unwrap_or(0)
}

/// An argument register as a door has saved it below its frame.
fn argument(frame: &Frame, index: usize) -> usize {
    let words = core::ptr::from_ref(frame).cast::<usize>();
    let below = if cfg!(target_arch = "x86_64") { 1 + index } else { 10 - index };
    // SAFETY: `door!` keeps them there: on x86-64 rdi next to the frame and the others below, on aarch64 x0 80 bytes below it.
    unsafe { *words.sub(below) }
}

/// Notices that the program limits its own system calls, and says where to go on.
extern "C" fn hook_filter(frame: &Frame, function: u32) -> usize {
    let prctl = function == layout::FILTERS;
    let first = argument(frame, 0);
    // A filter that is null asks whether there are filters.
    let (strict, filter) = match prctl {
        true => (first == libc::PR_SET_SECCOMP as usize, argument(frame, 2) != 0 || argument(frame, 1) == 1),
        false => (
            first == libc::SYS_seccomp as usize && argument(frame, 1) <= 1,
            argument(frame, 3) != 0 || argument(frame, 1) == 0,
        ),
    };
    if strict && filter {
        file(); // as long as one can be made
        file::be_silent();
    }
    let early = if prctl { sys::raw_prctl as *const () } else { sys::raw as *const () };
    crate::next::next(function).unwrap_or(early.addr())
}

/// Saves a `Frame` and calls `hook` with its address behind the arguments.
#[cfg(target_arch = "x86_64")]
macro_rules! entry {
    ($name:ident, $hook:ident, $arguments:literal) => {
        #[unsafe(naked)]
        #[unsafe(no_mangle)]
        unsafe extern "C" fn $name() {
            naked_asm!(
                ".cfi_startproc",
                "endbr64",
                "sub rsp, 8",
                ".cfi_adjust_cfa_offset 8",
                "push rbp",
                ".cfi_adjust_cfa_offset 8",
                "push rbx",
                ".cfi_adjust_cfa_offset 8",
                "push r12",
                ".cfi_adjust_cfa_offset 8",
                "push r13",
                ".cfi_adjust_cfa_offset 8",
                "push r14",
                ".cfi_adjust_cfa_offset 8",
                "push r15",
                ".cfi_adjust_cfa_offset 8",
                concat!("mov ", $arguments, ", rsp"),
                "call {hook}",
                "add rsp, 56", // nobody has changed the registers
                ".cfi_adjust_cfa_offset -56",
                "ret",
                ".cfi_endproc",
                hook = sym $hook,
            )
        }
    };
}

/// Saves a `Frame` and the argument registers, calls the hook, and goes on where it says.
#[cfg(target_arch = "x86_64")]
macro_rules! door {
    ($hook:ident: $($function:literal $name:ident)*) => {$(
        const _: () = assert!(is_name($function, stringify!($name)));
        #[unsafe(naked)]
        #[unsafe(no_mangle)]
        unsafe extern "C" fn $name() {
            naked_asm!(
                ".cfi_startproc",
                "endbr64",
                "sub rsp, 8",
                "push rbp",
                "push rbx",
                "push r12",
                "push r13",
                "push r14",
                "push r15",
                ".cfi_adjust_cfa_offset 56",
                "push rdi",
                "push rsi",
                "push rdx",
                "push rcx",
                "push r8",
                "push r9",
                ".cfi_adjust_cfa_offset 48",
                "lea rdi, [rsp + 48]",
                "mov esi, {function}",
                "call {hook}",
                "pop r9",
                "pop r8",
                "pop rcx",
                "pop rdx",
                "pop rsi",
                "pop rdi",
                "add rsp, 56",
                ".cfi_adjust_cfa_offset -104",
                "test rax, rax",
                "jz 2f",
                "mov r11, rax",
                "xor eax, eax", // no vector registers for a function with variable arguments
                "jmp r11",
                "2: ret", // rax is 0
                ".cfi_endproc",
                function = const $function,
                hook = sym $hook,
            )
        }
    )*};
}

/// Saves a `Frame` and calls `hook` with its address behind the arguments.
#[cfg(target_arch = "aarch64")]
macro_rules! entry {
    ($name:ident, $hook:ident, $arguments:literal) => {
        #[unsafe(naked)]
        #[unsafe(no_mangle)]
        unsafe extern "C" fn $name() {
            naked_asm!(
                ".cfi_startproc",
                "stp x29, x30, [sp, -96]!",
                ".cfi_def_cfa_offset 96",
                ".cfi_offset x29, -96",
                ".cfi_offset x30, -88",
                "stp x19, x20, [sp, 16]",
                "stp x21, x22, [sp, 32]",
                "stp x23, x24, [sp, 48]",
                "stp x25, x26, [sp, 64]",
                "stp x27, x28, [sp, 80]",
                concat!("mov ", $arguments, ", sp"),
                "bl {hook}",
                "ldp x29, x30, [sp], 96", // nobody has changed the others
                "ret",
                ".cfi_endproc",
                hook = sym $hook,
            )
        }
    };
}

/// Saves a `Frame` and the argument registers, calls the hook, and goes on where it says.
#[cfg(target_arch = "aarch64")]
macro_rules! door {
    ($hook:ident: $($function:literal $name:ident)*) => {$(
        const _: () = assert!(is_name($function, stringify!($name)));
        #[unsafe(naked)]
        #[unsafe(no_mangle)]
        unsafe extern "C" fn $name() {
            naked_asm!(
                ".cfi_startproc",
                "sub sp, sp, 176",
                ".cfi_def_cfa_offset 176",
                "stp x29, x30, [sp, 80]",
                ".cfi_offset x29, -96",
                ".cfi_offset x30, -88",
                "stp x19, x20, [sp, 96]",
                "stp x21, x22, [sp, 112]",
                "stp x23, x24, [sp, 128]",
                "stp x25, x26, [sp, 144]",
                "stp x27, x28, [sp, 160]",
                "stp x0, x1, [sp]",
                "stp x2, x3, [sp, 16]",
                "stp x4, x5, [sp, 32]",
                "stp x6, x7, [sp, 48]",
                "str x8, [sp, 64]",
                "add x0, sp, 80",
                "mov w1, {function}",
                "bl {hook}",
                "mov x16, x0",
                "ldp x0, x1, [sp]",
                "ldp x2, x3, [sp, 16]",
                "ldp x4, x5, [sp, 32]",
                "ldp x6, x7, [sp, 48]",
                "ldr x8, [sp, 64]",
                "ldp x29, x30, [sp, 80]",
                "add sp, sp, 176",
                "cbz x16, 2f",
                "br x16",
                "2: mov x0, 0",
                "ret",
                ".cfi_endproc",
                function = const $function,
                hook = sym $hook,
            )
        }
    )*};
}

/// True if the function with this number is called so: the list below cannot drift from the layout's.
const fn is_name(function: usize, name: &str) -> bool {
    let (a, b) = (layout::FUNCTIONS[function].as_bytes(), name.as_bytes());
    let mut i = 0;
    while i < a.len() && i < b.len() && a[i] == b[i] {
        i += 1;
    }
    i == a.len() && i == b.len()
}

#[cfg(target_arch = "x86_64")]
mod entries {
    use super::*;
    entry!(getenv, hook_getenv, "rsi");
    entry!(secure_getenv, hook_secure_getenv, "rsi");
    entry!(setenv, hook_setenv, "rcx");
    entry!(putenv, hook_putenv, "rsi");
    entry!(unsetenv, hook_unsetenv, "rsi");
    entry!(clearenv, hook_clearenv, "rdi");
}

#[cfg(target_arch = "aarch64")]
mod entries {
    use super::*;
    entry!(getenv, hook_getenv, "x1");
    entry!(secure_getenv, hook_secure_getenv, "x1");
    entry!(setenv, hook_setenv, "x3");
    entry!(putenv, hook_putenv, "x1");
    entry!(unsetenv, hook_unsetenv, "x1");
    entry!(clearenv, hook_clearenv, "x0");
}

door! {
    hook_door:
    8 tzset 9 localtime 10 localtime_r 11 mktime 12 strftime 13 setlocale 14 newlocale 15 getaddrinfo 16 gethostbyname
    17 gethostbyname_r 18 iconv_open 19 catopen 20 gettext 21 dgettext 22 dcgettext 23 execv 24 execvp 25 system 26 popen
    27 tempnam
}

door! { hook_filter: 28 prctl 29 syscall }
