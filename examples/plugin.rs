//! A plugin that refuses to load where its changes would not be safe: `cargo build --example plugin`
//!
//! Here the macro would do nothing: it belongs into the program. So the plugin asks, and says what the program lacks.

use std::ffi::c_int;

/// Called by the program, once, before anything else. Returns 0, or -1 if the plugin must not be used here.
#[unsafe(no_mangle)]
pub extern "C" fn plugin_start() -> c_int {
    if !mtsafe_env::interposed() {
        eprintln!("plugin: not loaded: {}", mtsafe_env::status());
        return -1;
    }
    match mtsafe_env::try_set_var("PLUGIN", "loaded") {
        Ok(()) => 0,
        Err(error) => {
            eprintln!("plugin: not loaded: {error}");
            -1
        }
    }
}
