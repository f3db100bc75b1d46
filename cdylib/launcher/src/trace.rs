//! `mtsafe-env trace`: who changes the environment while threads run, and who reads it then. The tracer is a program of its own beside this
//! one, since most of it reads debugging information: it takes this one's place.

use crate::commands::Command;
use crate::failure::Failure;
use lexopt::Parser;
use std::io::ErrorKind;
use std::os::unix::process::CommandExt;

/// The tracer's program, in this one's folder.
const PROGRAM: &str = "mtsafe-env-trace";
/// Exit statuses, as `env` has them.
const CANNOT_START: u8 = 126;
const NOT_FOUND: u8 = 127;

pub(crate) const COMMAND: Command = Command {
    name: "trace",
    arguments: "[OPTION]... [--] COMMAND [ARGUMENT]...",
    summary: "Run a command and report who changes its environment while threads run; its options: mtsafe-env trace --help",
    options: &[],
    words: &[],
    run,
};

fn run(parser: &mut Parser) -> Result<u8, Failure> {
    let beside = std::env::current_exe().map(|this| this.with_file_name(PROGRAM));
    let program = beside.unwrap_or_else(|_| PROGRAM.into());
    let error = std::process::Command::new(&program).args(parser.raw_args()?).exec();
    Err(match error.kind() {
        ErrorKind::NotFound => Failure::with_status(
            NOT_FOUND,
            format!("no tracer at {}: install {PROGRAM} beside this program", program.display()),
        ),
        _ => Failure::with_status(CANNOT_START, format!("cannot start {}: {error}", program.display())),
    })
}
