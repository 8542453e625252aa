//! What a command prints on standard output: a table for people, or JSON for programs.

use std::io::{self, ErrorKind, IsTerminal as _, Write as _};

use api_thin::program::say;
use chrono::{DateTime, TimeDelta, Utc};
use clap::ValueEnum;
use comfy_table::presets::NOTHING;
use comfy_table::{Cell, CellAlignment, ContentArrangement, Table};
use indicatif::HumanBytes;
use jobs::clock::{Clock as _, SystemClock};
use serde_json::Value;

use super::failure::Failure;

/// The form of what is printed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, ValueEnum)]
pub(super) enum Format {
    /// For people.
    #[default]
    Table,
    /// As the API says it: an array for a list, an object for one thing.
    Json,
}

/// A column of a table: its heading, a JSON pointer into each item, and how to say what is there.
#[derive(Debug, Clone, Copy)]
pub(super) struct Column(pub(super) &'static str, pub(super) &'static str, pub(super) As);

/// How a value is said.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum As {
    Text,
    Number,
    Bytes,
    /// A moment, from now.
    Age,
    /// A moment, exactly.
    Time,
}

impl As {
    fn say(self, value: &Value, now: DateTime<Utc>) -> String {
        let moment = || value.as_str().and_then(|text| text.parse::<DateTime<Utc>>().ok());
        match self {
            Self::Bytes => value.as_u64().map(|bytes| HumanBytes(bytes).to_string()).unwrap_or_default(),
            Self::Age => moment().map(|at| age(at, now)).unwrap_or_default(),
            Self::Time => moment().map(|at| at.format("%Y-%m-%d %H:%M:%S").to_string()).unwrap_or_default(),
            Self::Text | Self::Number => text(value),
        }
    }

    fn alignment(self) -> CellAlignment {
        if matches!(self, Self::Number | Self::Bytes) { CellAlignment::Right } else { CellAlignment::Left }
    }
}

/// Prints in the form that was asked for.
#[derive(Debug, Clone, Copy)]
pub(super) struct Output {
    pub(super) format: Format,
}

impl Output {
    /// A list of things.
    pub(super) fn list(self, columns: &[Column], items: &[Value]) -> Result<(), Failure> {
        if self.format == Format::Json {
            return json(&items);
        }
        if items.is_empty() {
            say("none");
            return Ok(());
        }
        write(&table(columns, items))
    }

    /// One thing, with all that is known of it.
    pub(super) fn show(self, item: &Value) -> Result<(), Failure> {
        if self.format == Format::Json {
            return json(item);
        }
        let mut fields = Vec::new();
        flatten("", item, &mut fields);
        fields.sort_by_key(|(name, _)| name != "id");
        let width = fields.iter().map(|(name, _)| name.chars().count()).max().unwrap_or_default();
        let lines: Vec<_> = fields.iter().map(|(name, value)| format!("{name:<width$}  {value}")).collect();
        write(&lines.join("\n"))
    }

    /// What a change did: a sentence for people, the API's answer for programs.
    pub(super) fn done(self, answer: &Value, sentence: &str) -> Result<(), Failure> {
        self.report(answer, &plain(sentence))
    }

    /// The same with several lines, made of what [`table`] and [`plain`] return.
    pub(super) fn report(self, answer: &Value, lines: &str) -> Result<(), Failure> {
        if self.format == Format::Json { json(answer) } else { write(lines) }
    }
}

/// Lines of aligned columns. Long cells are wrapped where a terminal shows them.
pub(super) fn table(columns: &[Column], items: &[Value]) -> String {
    let now = SystemClock.now();
    let mut table = Table::new();
    table.load_style(NOTHING).set_header(columns.iter().map(|Column(heading, ..)| *heading));
    if io::stdout().is_terminal() {
        table.set_content_arrangement(ContentArrangement::Dynamic);
    }
    for item in items {
        let cell = |Column(_, pointer, said): &Column| {
            let value = item.pointer(pointer).unwrap_or(&Value::Null);
            Cell::new(said.say(value, now)).set_alignment(said.alignment())
        };
        table.add_row(columns.iter().map(cell));
    }
    for column in table.column_iter_mut() {
        column.set_padding((0, 2));
    }
    table.lines().map(|line| line.trim_end().to_owned()).collect::<Vec<_>>().join("\n")
}

/// Text from elsewhere, so that it cannot steer the terminal.
pub(super) fn plain(text: &str) -> String {
    let said = |letter: char| {
        // Direction marks make a name look like another one.
        let misleads =
            matches!(letter, '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}');
        let escaped = (letter.is_control() || misleads).then(|| letter.escape_default().to_string());
        escaped.unwrap_or_else(|| letter.to_string())
    };
    text.chars().map(said).collect()
}

/// How long ago, or in how long.
pub(super) fn age(at: DateTime<Utc>, now: DateTime<Utc>) -> String {
    let length = duration(now - at);
    if at > now { format!("in {length}") } else { length }
}

/// A length of time in its largest unit.
pub(super) fn duration(of: TimeDelta) -> String {
    let seconds = of.num_seconds().abs();
    match seconds {
        0..=119 => format!("{seconds}s"),
        120..=7199 => format!("{}m", seconds / 60),
        7200..=172_799 => format!("{}h", seconds / 3600),
        _ => format!("{}d", seconds / 86_400),
    }
}

/// A value on one line.
pub(super) fn text(value: &Value) -> String {
    match value {
        Value::Null => String::new(),
        Value::String(text) => plain(text),
        Value::Array(items) => items.iter().map(text).collect::<Vec<_>>().join(", "),
        Value::Object(fields) => {
            let said = fields.iter().map(|(name, value)| format!("{}: {}", plain(name), text(value)));
            said.collect::<Vec<_>>().join("; ")
        }
        Value::Bool(_) | Value::Number(_) => value.to_string(),
    }
}

/// A line for each field; fields of objects are named with their object, things in a list have a line each.
fn flatten(name: &str, value: &Value, fields: &mut Vec<(String, String)>) {
    match value {
        Value::Object(inner) if !inner.is_empty() => {
            for (field, value) in inner {
                let whole = if name.is_empty() { plain(field) } else { format!("{name}.{}", plain(field)) };
                flatten(&whole, value, fields);
            }
        }
        Value::Array(items) if items.iter().any(Value::is_object) => {
            fields.extend(items.iter().map(|item| (name.to_owned(), text(item))));
        }
        _ => fields.push((name.to_owned(), text(value))),
    }
}

fn json(value: &impl serde::Serialize) -> Result<(), Failure> {
    let text = serde_json::to_string_pretty(value).expect("JSON was read, and can be written");
    write(&text)
}

/// A reader that has seen enough, such as `head`, is no failure.
pub(super) fn write(text: &str) -> Result<(), Failure> {
    let mut out = io::stdout().lock();
    match writeln!(out, "{text}").and_then(|()| out.flush()) {
        Err(error) if error.kind() != ErrorKind::BrokenPipe => {
            let reason = jobs::error::plain_io(&error);
            Err(Failure::Failed(format!("standard output cannot be written: {reason}")))
        }
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_table_has_its_columns_and_no_control_characters() {
        let columns = [Column("NAME", "/name", As::Text), Column("SIZE", "/of/size", As::Number)];
        let items = [json!({ "name": "a\u{1b}[2J", "of": { "size": 7 } }), json!({ "of": { "size": 8 } })];
        let table = table(&columns, &items);
        let lines: Vec<_> = table.lines().collect();
        assert_eq!(lines, ["NAME        SIZE", "a\\u{1b}[2J     7", "               8"]);
    }

    #[test]
    fn everything_known_of_a_thing_has_a_line() {
        let mut fields = Vec::new();
        let job = json!({ "id": "1", "error": { "code": "x" }, "waits_for": [{ "code": "cap", "text": "4 of 4" }],
            "tags": ["a", "b"], "note": null });
        flatten("", &job, &mut fields);
        let lines: Vec<_> = fields.iter().map(|(name, value)| format!("{name}={value}")).collect();
        assert_eq!(
            lines,
            ["error.code=x", "id=1", "note=", "tags=a, b", "waits_for=code: cap; text: 4 of 4"]
        );
    }

    #[test]
    fn times_are_said_from_now() {
        let now: DateTime<Utc> = "2027-01-15T12:00:00Z".parse().unwrap();
        let at = |seconds| age(now + TimeDelta::seconds(seconds), now);
        assert_eq!([at(0), at(-119), at(-120), at(7200), at(-400_000)], ["0s", "119s", "2m", "in 2h", "4d"]);
    }
}
