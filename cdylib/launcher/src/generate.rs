//! What is made from the table of subcommands: help, the manual page, completion for shells.

use crate::commands::{COMMANDS, Command, GLOBAL, Opt};
use crate::failure::Failure;
use std::ffi::OsStr;
use std::fmt::Write as _;
use std::io::{self, Write};

const VERSION: &str = env!("CARGO_PKG_VERSION");
/// The page's words that no table has: `OPTIONS` stands where the table goes.
const MANUAL: &str = include_str!("../mtsafe-env.1.in");

fn print(text: &str) -> Result<u8, Failure> {
    io::stdout().write_all(text.as_bytes()).map_err(Failure::output)?;
    Ok(0)
}

pub(crate) fn version() -> Result<u8, Failure> {
    print(&format!("mtsafe-env {VERSION}\n"))
}

pub(crate) fn help() -> Result<u8, Failure> {
    let mut text = String::from(
        "mtsafe-env: programs that do not die when one thread reads the environment and another changes it\n\n",
    );
    for command in &COMMANDS {
        let shown = if command.name == "run" { "[run]" } else { command.name };
        let _ = writeln!(text, "  mtsafe-env {shown} {}\n      {}", command.arguments, command.summary);
        options(&mut text, command.options, "      ");
    }
    text.push_str("\nin place of a command:\n");
    options(&mut text, &GLOBAL, "  ");
    text.push_str("\nmtsafe-env(1) and mtsafe-env(7) say more.\n");
    print(&text)
}

fn options(text: &mut String, options: &[Opt], indent: &str) {
    for option in options {
        let _ = writeln!(text, "{indent}{:<22} {}", shown(option), option.help);
    }
}

fn shown(option: &Opt) -> String {
    match option.value {
        Some(value) => format!("--{} {value}", option.name),
        None => format!("--{}", option.name),
    }
}

pub(crate) fn generate(what: &OsStr) -> Result<u8, Failure> {
    match what.to_str() {
        Some("man") => print(&manual()),
        Some("bash") => print(&bash()),
        Some("zsh") => print(&zsh()),
        Some("fish") => print(&fish()),
        _ => Err(Failure::new("--generate man, bash, zsh or fish?")),
    }
}

fn manual() -> String {
    let mut table = String::new();
    for command in &COMMANDS {
        let shown = if command.name == "run" { "[run]" } else { command.name };
        let _ = writeln!(
            table,
            ".SS \"{} {}\"\n{}.",
            roff(shown),
            roff(command.arguments),
            roff(command.summary)
        );
        roff_options(&mut table, command.options);
    }
    table.push_str(".SS In place of a command\n");
    roff_options(&mut table, &GLOBAL);
    MANUAL.replace("@VERSION@", VERSION).replace("@COMMANDS@\n", &table)
}

fn roff_options(text: &mut String, options: &[Opt]) {
    for option in options {
        let _ = writeln!(text, ".TP\n.B {}\n{}.", roff(&shown(option)), roff(option.help));
    }
}

/// Text as roff has it: a hyphen that may be copied, no line that begins with a dot.
fn roff(text: &str) -> String {
    text.replace('\\', "\\e").replace('-', "\\-")
}

fn long(options: &[Opt]) -> String {
    options.iter().map(|option| format!("--{}", option.name)).collect::<Vec<_>>().join(" ")
}

/// Names of all subcommands.
fn names() -> String {
    COMMANDS.iter().map(|command| command.name).collect::<Vec<_>>().join(" ")
}

/// True if a command follows, with arguments of its own.
fn starts(command: &Command) -> bool {
    command.arguments.contains("COMMAND [ARGUMENT]")
}

/// Words behind a subcommand's name.
fn words(command: &Command) -> String {
    [&long(command.options), &command.words.join(" ")]
        .into_iter()
        .filter(|words| !words.is_empty())
        .cloned()
        .collect::<Vec<_>>()
        .join(" ")
}

fn bash() -> String {
    let mut cases = String::new();
    for command in COMMANDS.iter().filter(|command| !starts(command)) {
        let more = if command.name == "check" { " $(compgen -c -- \"$word\" | sort -u)" } else { "" };
        let _ = writeln!(
            cases,
            "    {}) COMPREPLY=($(compgen -W \"{}{more}\"{} -- \"$word\")) ;;",
            command.name,
            words(command),
            if command.words.is_empty() { " -f" } else { "" }
        );
    }
    format!(
        "# bash completion for mtsafe-env\n\
         _mtsafe_env() {{\n    \
         local word=${{COMP_WORDS[COMP_CWORD]}} i\n    \
         if [ \"$COMP_CWORD\" -eq 1 ]; then\n        \
         COMPREPLY=($(compgen -W \"{} {} {}\" -c -- \"$word\"))\n        \
         return\n    fi\n    \
         case ${{COMP_WORDS[1]}} in\n{cases}    \
         *)\n        # what is started completes its own arguments\n        \
         for ((i = 1; i < COMP_CWORD; i++)); do\n            \
         case ${{COMP_WORDS[i]}} in run | trace | -*) ;; *) break ;; esac\n        done\n        \
         if declare -F _command_offset >/dev/null; then _command_offset \"$i\"; else COMPREPLY=($(compgen -c -f -- \"$word\")); fi ;;\n    \
         esac\n}}\n\
         complete -F _mtsafe_env mtsafe-env\n",
        names(),
        long(COMMANDS[0].options),
        long(&GLOBAL),
    )
}

fn zsh() -> String {
    let mut described = String::new();
    let mut cases = String::new();
    let plain = |text: &str| text.replace('\'', "").replace(['[', ']'], "").replace(':', "\\:");
    let arguments = |options: &[Opt]| {
        options.iter().fold(String::new(), |mut all, option| {
            let value = option.value.map_or(String::new(), |value| format!(":{value}:_files"));
            let _ = write!(all, " '--{}[{}]{value}'", option.name, plain(option.help));
            all
        })
    };
    for command in &COMMANDS {
        let _ = write!(described, " '{}:{}'", command.name, plain(command.summary));
        let rest = match command.name {
            _ if starts(command) => "'*::command:_normal'".into(),
            "check" => {
                "'1:process or command:_alternative processes:process:_pids commands:command:_command_names'"
                    .into()
            }
            _ if command.words.is_empty() => "'1:file:_files'".into(),
            _ => format!("'1:what:({})'", command.words.join(" ")),
        };
        let _ = writeln!(
            cases,
            "    {}) shift words; (( CURRENT-- )); _arguments{} {rest} ;;",
            command.name,
            arguments(command.options)
        );
    }
    format!(
        "#compdef mtsafe-env\n\
         local -a commands=({described} )\n\
         if (( CURRENT == 2 )); then\n  _describe command commands\n  _arguments{}{}\n  _command_names -e\n  return\nfi\n\
         case $words[2] in\n{cases}    *) shift words; (( CURRENT-- )); _normal ;;\nesac\n",
        arguments(COMMANDS[0].options),
        arguments(&GLOBAL),
    )
}

fn fish() -> String {
    let mut text = String::from(
        "# fish completion for mtsafe-env\ncomplete -c mtsafe-env -n __fish_use_subcommand -xa '(__fish_complete_subcommand)'\n",
    );
    let line = |condition: &str, option: &Opt| {
        format!(
            "complete -c mtsafe-env -n '{condition}' -l {}{} -d '{}'\n",
            option.name,
            if option.value.is_some() { " -r" } else { "" },
            option.help.replace('\'', "\\'")
        )
    };
    for option in GLOBAL.iter().chain(COMMANDS[0].options) {
        text.push_str(&line("__fish_use_subcommand", option));
    }
    for command in &COMMANDS {
        let _ = writeln!(
            text,
            "complete -c mtsafe-env -n __fish_use_subcommand -a {} -d '{}'",
            command.name, command.summary
        );
        let condition = format!("__fish_seen_subcommand_from {}", command.name);
        for option in command.options {
            text.push_str(&line(&condition, option));
        }
        if starts(command) {
            let _ = writeln!(
                text,
                "complete -c mtsafe-env -n '{condition}' -xa '(__fish_complete_subcommand --fcs-skip=2)'"
            );
        }
        if !command.words.is_empty() {
            let _ =
                writeln!(text, "complete -c mtsafe-env -n '{condition}' -xa '{}'", command.words.join(" "));
        }
    }
    text
}
