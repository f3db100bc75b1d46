//! Link arguments of the tracer library.

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    for argument in [
        "-nostartfiles",   // no start-up code but our own two functions
        "-Wl,-z,defs",     // an undefined symbol is an error here, not in somebody's process
        "-Wl,-z,nodelete", // calls may be inside when somebody closes it
        "-Wl,-z,now",      // nothing is bound lazily, inside somebody's signal handler
    ] {
        println!("cargo::rustc-cdylib-link-arg={argument}");
    }
}
