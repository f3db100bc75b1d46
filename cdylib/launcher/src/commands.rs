//! The subcommands: what they are called, which options they have. Help, manual page and completion are made from this table, so a
//! new subcommand is a file of its own with a [`Command`] in it, and a line in [`COMMANDS`].

use crate::failure::Failure;
use crate::{check, diagnose, run, system, trace};
use lexopt::Parser;

/// One subcommand.
#[derive(Debug)]
pub(crate) struct Command {
    pub(crate) name: &'static str,
    /// Its arguments, for help.
    pub(crate) arguments: &'static str,
    /// One line without a full stop.
    pub(crate) summary: &'static str,
    pub(crate) options: &'static [Opt],
    /// Words that its first argument may be, for completion.
    pub(crate) words: &'static [&'static str],
    /// Parses what follows the name, and does it.
    pub(crate) run: fn(&mut Parser) -> Result<u8, Failure>,
}

/// An option, `--name` or `--name VALUE`.
#[derive(Debug)]
pub(crate) struct Opt {
    pub(crate) name: &'static str,
    pub(crate) value: Option<&'static str>,
    pub(crate) help: &'static str,
}

/// Of several subcommands.
pub(crate) const LIBRARY: Opt = Opt {
    name: "library",
    value: Some("FILE"),
    help: "Use this library, not the one that belongs to this program",
};

pub(crate) const COMMANDS: [Command; 5] =
    [run::COMMAND, check::COMMAND, diagnose::COMMAND, trace::COMMAND, system::COMMAND];

/// Options in place of a subcommand.
pub(crate) const GLOBAL: [Opt; 4] = [
    Opt { name: "print-library", value: None, help: "Print the path of the library, for LD_PRELOAD" },
    Opt {
        name: "generate",
        value: Some("WHAT"),
        help: "Print man (the manual page), bash, zsh or fish (completion)",
    },
    Opt { name: "version", value: None, help: "Print the version" },
    Opt { name: "help", value: None, help: "Print this" },
];
