//! The report for programs.

use crate::launch::End;
use crate::options::Options;
use crate::report::{Place, Process, Reader, Report};
use crate::symbols::Frame;
use crate::text::{effect_name, verdict};
use std::fmt;
use std::os::unix::process::ExitStatusExt;

/// A value.
#[derive(Debug)]
pub(crate) enum Json {
    Null,
    Bool(bool),
    Number(i128),
    Text(String),
    List(Vec<Json>),
    Object(Vec<(&'static str, Json)>),
}

impl fmt::Display for Json {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Json::Null => f.write_str("null"),
            Json::Bool(value) => write!(f, "{value}"),
            Json::Number(value) => write!(f, "{value}"),
            Json::Text(text) => quoted(text, f),
            Json::List(values) => {
                f.write_str("[")?;
                for (index, value) in values.iter().enumerate() {
                    write!(f, "{}{value}", if index > 0 { ", " } else { "" })?;
                }
                f.write_str("]")
            }
            Json::Object(members) => {
                f.write_str("{")?;
                for (index, (name, value)) in members.iter().enumerate() {
                    write!(f, "{}\"{name}\": {value}", if index > 0 { ", " } else { "" })?;
                }
                f.write_str("}")
            }
        }
    }
}

fn quoted(text: &str, f: &mut fmt::Formatter<'_>) -> fmt::Result {
    f.write_str("\"")?;
    for c in text.chars() {
        match c {
            '"' => f.write_str("\\\"")?,
            '\\' => f.write_str("\\\\")?,
            '\n' => f.write_str("\\n")?,
            c if c < ' ' => write!(f, "\\u{:04x}", c as u32)?,
            c => write!(f, "{c}")?,
        }
    }
    f.write_str("\"")
}

impl From<&str> for Json {
    fn from(text: &str) -> Json {
        Json::Text(text.into())
    }
}

impl<T: Into<Json>> From<Option<T>> for Json {
    fn from(value: Option<T>) -> Json {
        value.map_or(Json::Null, Into::into)
    }
}

macro_rules! numbers {
    ($($number:ty)*) => {$(
        impl From<$number> for Json {
            fn from(number: $number) -> Json {
                Json::Number(number as i128)
            }
        }
    )*};
}
numbers! { u32 u64 i32 usize }

impl From<bool> for Json {
    fn from(value: bool) -> Json {
        Json::Bool(value)
    }
}

fn list<T>(values: &[T], one: impl FnMut(&T) -> Json) -> Json {
    Json::List(values.iter().map(one).collect())
}

fn missing((process, why): &(u32, String)) -> Json {
    Json::Object(vec![("id", (*process).into()), ("reason", why.as_str().into())])
}

/// The whole report. Times are ns since the process was first seen.
pub(crate) fn of(report: &Report, options: &Options) -> Json {
    let (exit, signal) = match report.end {
        End::Running(_) => (None, None),
        End::Ended(_, status) => (status.code(), status.signal()),
    };
    Json::Object(vec![
        ("format", 1u32.into()),
        ("command", options.command.to_string_lossy().as_ref().into()),
        ("process", report.end.process().into()),
        ("exit_status", exit.into()),
        ("signal", signal.into()),
        ("protected", report.protected.into()),
        ("faults", report.faults().into()),
        ("processes", list(&report.processes, process)),
        ("processes_not_kept", report.removed.into()),
        ("not_recorded", list(&report.missing, missing)),
    ])
}

fn process(process: &Process) -> Json {
    Json::Object(vec![
        ("id", process.id.into()),
        ("parent", process.parent.into()),
        ("command", process.command.as_str().into()),
        ("ending", process.ending.as_str().into()),
        ("libc", process.libc.name().as_str().into()),
        ("verdict", verdict(process).as_str().into()),
        ("changes", process.changes.into()),
        ("changes_beside_threads", process.threaded.into()),
        ("allowed", process.allowed.into()),
        ("faults", process.faults().into()),
        ("most_threads", process.most_threads.into()),
        ("threads_at_risk", process.threads_at_risk().into()),
        ("places", list(&process.places, place)),
        ("direct_changes", list(&process.direct, place)),
        ("changes_by_one_thread_alone", list(&process.alone, place)),
        ("readers", list(&process.readers, reader)),
        ("changes_only_counted", process.changes_unrecorded.into()),
        ("reads_only_counted", process.reads_unrecorded.into()),
        ("changes_with_threads_not_counted", process.uncounted.into()),
        ("changes_under_a_filter", process.under_filter.into()),
        ("python_cannot_be_asked", process.silent_interpreter.into()),
    ])
}

fn place(place: &Place) -> Json {
    Json::Object(vec![
        ("function", place.function.into()),
        ("changes", place.changes.into()),
        ("beside_threads", place.threaded.into()),
        ("allowed", place.allowed.into()),
        ("most_threads", place.most_threads.into()),
        ("crashes_here", place.crashes.into()),
        ("crashes_glibc_before_2_41", place.crashes_old_glibc.into()),
        ("crashes_musl", place.crashes_musl.into()),
        ("python", list(&place.script, frame)),
        ("stack", list(&place.stack, frame)),
        (
            "events",
            list(&place.events, |event| {
                Json::Object(vec![
                    ("time", event.time.into()),
                    ("thread", event.thread.into()),
                    ("thread_name", event.thread_name.as_str().into()),
                    ("threads", event.threads.into()),
                    ("name", event.name.as_str().into()),
                    ("value", event.value.as_deref().into()),
                    ("effect", effect_name(event.effect).into()),
                    ("result", event.result.into()),
                    ("allowed", event.allowed.into()),
                ])
            }),
        ),
    ])
}

fn reader(reader: &Reader) -> Json {
    Json::Object(vec![
        ("function", reader.function.into()),
        ("inside_libc", reader.door.into()),
        ("reads", reader.reads().into()),
        ("at_risk", reader.at_risk().into()),
        (
            "threads",
            list(&reader.threads, |thread| {
                Json::Object(vec![
                    ("id", thread.id.into()),
                    ("name", thread.name.as_str().into()),
                    ("reads", thread.reads.into()),
                    ("at_risk", thread.at_risk.into()),
                ])
            }),
        ),
        ("stack", list(&reader.stack, frame)),
    ])
}

fn frame(frame: &Frame) -> Json {
    let location = frame.location.as_ref();
    Json::Object(vec![
        ("function", frame.function.as_deref().into()),
        ("file", location.map(|location| location.0.as_str()).into()),
        ("line", location.map(|location| location.1).into()),
        ("module", frame.module.as_str().into()),
        ("offset", frame.offset.into()),
        ("address", frame.address.into()),
    ])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_is_quoted() {
        let json = Json::List(vec!["a\"b\\c\n\u{1}é".into(), Json::Null, (-1i32).into(), true.into()]);
        assert_eq!(json.to_string(), r#"["a\"b\\c\n\u0001é", null, -1, true]"#);
    }
}
