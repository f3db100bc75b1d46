//! `mtsafe-env-trace [options] [--] COMMAND ARGS`: see the library of this package.

use std::process::ExitCode;

fn main() -> ExitCode {
    mtsafe_env_trace_cli::run("mtsafe-env-trace", std::env::args_os().skip(1))
}
