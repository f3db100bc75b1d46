//! `libmtsafe_env_trace.so`: records who changes the environment, and who reads it then, for the front end outside.
//!
//! It is preloaded into a program and must not change it. So it has no lock, no allocation, no thread-local storage and no output;
//! it leaves `errno` alone; it calls nothing that calls back (`python` has the one exception, and why it is none); and what it keeps lies in a file of bounded size that the process and
//! the front end share (see `mtsafe-env-trace-layout`). Every step may be interrupted by a signal handler, a fork or death: a record
//! that is not complete is only that. Memory that another thread may free is read through the kernel, never by a load.
//!
//! A read costs a look into a table; a stack is copied when a place is seen for the first time, and unwound by the front end.

#![cfg_attr(not(test), no_std)]
#![cfg(not(test))]

#[cfg(not(all(
    target_os = "linux",
    target_pointer_width = "64",
    any(target_arch = "x86_64", target_arch = "aarch64")
)))]
compile_error!("the tracer saves registers and walks tables of x86-64 and aarch64 Linux");

mod exports;
mod file;
mod frame;
mod list;
mod modules;
mod next;
mod python;
mod record;
mod sys;
mod threads;

use core::sync::atomic::AtomicPtr;

#[link(name = "c")]
unsafe extern "C" {
    #[link_name = "environ"]
    static ENVIRON: AtomicPtr<*const u8>;
}

/// libc's `environ`; `None` before the dynamic linker has come to this library (in an IFUNC resolver of a library behind it): then
/// nothing of libc can be called.
fn environ() -> Option<&'static AtomicPtr<*const u8>> {
    let at: *const AtomicPtr<*const u8>;
    // By hand, since the language knows no static whose address is null.
    #[cfg(target_arch = "x86_64")]
    // SAFETY: a load from our own table of addresses.
    unsafe {
        core::arch::asm!("mov {}, qword ptr [rip + {}@GOTPCREL]", out(reg) at, sym ENVIRON,
            options(readonly, nostack, preserves_flags));
    }
    #[cfg(target_arch = "aarch64")]
    // SAFETY: a load from our own table of addresses.
    unsafe {
        core::arch::asm!("adrp {0}, :got:{1}", "ldr {0}, [{0}, :got_lo12:{1}]", out(reg) at, sym ENVIRON,
            options(readonly, nostack, preserves_flags));
    }
    // SAFETY: one word of libc that outlives everything, accessed as an atomic here.
    unsafe { at.as_ref() }
}

fn is_unbound() -> bool {
    environ().is_none()
}

/// Before `main`: what the library is to do is read now, since a program may clear its environment.
extern "C" fn start() {
    file::prepare();
    next::find_all();
    python::find();
}

/// When the process calls `exit`.
extern "C" fn end() {
    record::exit();
}

#[used]
#[unsafe(link_section = ".init_array")]
static START: extern "C" fn() = start;
#[used]
#[unsafe(link_section = ".fini_array")]
static END: extern "C" fn() = end;

mod runtime {
    use core::arch::{asm, global_asm};

    /// Not reached: no path panics. Should one ever, the process ends here rather than unwind into C.
    #[panic_handler]
    fn panic(_: &core::panic::PanicInfo<'_>) -> ! {
        stop_for_ever()
    }

    fn stop_for_ever() -> ! {
        loop {
            // SAFETY: an instruction that raises SIGILL or SIGTRAP.
            #[cfg(target_arch = "x86_64")]
            unsafe {
                asm!("ud2")
            }
            // SAFETY: as above.
            #[cfg(target_arch = "aarch64")]
            unsafe {
                asm!("udf 0")
            }
        }
    }

    // The prebuilt `core` refers to this name wherever it has landing pads, which are never run (panic = "abort"). Hidden: exporting
    // it would take it away from the program's own Rust code.
    global_asm!(
        ".hidden rust_eh_personality",
        ".globl rust_eh_personality",
        ".set rust_eh_personality, {stop}",
        stop = sym personality,
    );

    extern "C" fn personality() -> ! {
        stop_for_ever()
    }
}
