//! How this program says that something did not work: one line that says what to do, and an exit status.

use std::io;

/// Exit status when this program itself failed, before any command was started; as of `env`.
pub(crate) const FAILED: u8 = 125;
/// The command was found and cannot be started.
pub(crate) const NOT_STARTED: u8 = 126;
/// There is no such command.
pub(crate) const NOT_FOUND: u8 = 127;

/// One line for standard error, and the exit status.
#[derive(Debug)]
pub(crate) struct Failure {
    pub(crate) line: String,
    pub(crate) status: u8,
}

impl Failure {
    pub(crate) fn new(line: impl Into<String>) -> Failure {
        Failure { line: line.into(), status: FAILED }
    }

    pub(crate) fn with_status(status: u8, line: impl Into<String>) -> Failure {
        Failure { line: line.into(), status }
    }

    /// Standard output cannot be written.
    pub(crate) fn output(error: io::Error) -> Failure {
        Failure::new(format!("cannot write to standard output: {error}"))
    }
}

impl From<lexopt::Error> for Failure {
    fn from(error: lexopt::Error) -> Failure {
        Failure::new(format!("{error}; mtsafe-env --help tells what there is"))
    }
}
