//! The same host in Rust, with the macro.

mtsafe_env::interpose!();

fn main() {
    let args: Vec<_> = std::env::args().skip(1).map(|arg| std::ffi::CString::new(arg).unwrap()).collect();
    // SAFETY: a C string; the plugin was named by who runs this, and defines the function so.
    unsafe {
        let plugin = libc::dlopen(args.last().unwrap().as_ptr(), libc::RTLD_NOW);
        assert!(!plugin.is_null());
        let run = libc::dlsym(plugin, c"run".as_ptr());
        assert!(!run.is_null());
        let run: extern "C" fn(u64) = std::mem::transmute(run);
        run(args[0].to_str().unwrap().parse().unwrap());
    }
}
