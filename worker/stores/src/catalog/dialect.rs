//! Statements, their arguments and their rows, in one form for both databases.
//!
//! A statement is written once, with `$1`, `$2` for its arguments. Parts that the databases spell differently are
//! marks in braces:
//!
//! - `{for update}` and every other mark that begins with `for`: a row lock of PostgreSQL. SQLite needs none, because a
//!   transaction that writes holds the file's write lock from its beginning.
//! - `{in $2}`, `{in $2 uuid}`: whether the value before it is in the list `$2` ([`Value::List`]).
//! - `{rows $2 as new (id text, revision bigint)}`: the rows `$2` ([`Value::Rows`]) as a table, so that many rows are
//!   one statement.
//!
//! Times are `timestamptz` and microseconds since the Unix epoch, UUIDs are `uuid` and text: [`Value`] and [`Row`] hide
//! that.

use std::borrow::Cow;
use std::fmt::Write as _;
use std::str::FromStr;

#[cfg(feature = "postgres")]
use chrono::SecondsFormat;
use chrono::{DateTime, Utc};
use jobs::JobId;
use serde::de::DeserializeOwned;
use serde_json::Map;
#[cfg(feature = "postgres")]
use sqlx::postgres::{PgArguments, PgRow};
use sqlx::query::Query;
use sqlx::sqlite::{SqliteArguments, SqliteRow};
use sqlx::{AssertSqlSafe, Row as _, SqlSafeStr as _, SqlStr};
#[cfg(feature = "postgres")]
use sqlx::{Column as _, TypeInfo as _};
use uuid::Uuid;

type Problem = Box<dyn std::error::Error + Send + Sync>;

/// Converts one row.
pub(crate) type Read<T> = fn(&Row) -> sqlx::Result<T>;

/// A statement with its arguments.
pub(crate) struct Sql<'q> {
    text: Cow<'static, str>,
    values: Vec<Value<'q>>,
}

/// A statement without arguments so far. See the [module](self) for its syntax.
pub(crate) const fn sql<'q>(text: &'static str) -> Sql<'q> {
    Sql { text: Cow::Borrowed(text), values: Vec::new() }
}

impl<'q> Sql<'q> {
    /// A statement about a table whose name comes from the database's own list of tables.
    pub(super) const fn of_table(text: String) -> Self {
        Self { text: Cow::Owned(text), values: Vec::new() }
    }

    /// Binds the next argument.
    pub(crate) fn bind(mut self, value: impl Into<Value<'q>>) -> Self {
        self.values.push(value.into());
        self
    }

    /// Binds a list of texts, or of values with a text form, for a mark `{in $2}`.
    pub(crate) fn bind_list(self, items: impl IntoIterator<Item = impl ToString>) -> Self {
        let list = items.into_iter().map(|item| item.to_string()).collect();
        self.bind(Value::List(list))
    }

    /// Binds rows of named values, for a mark `{rows $2 as new (…)}`.
    pub(crate) fn bind_rows<const N: usize>(
        self,
        rows: impl IntoIterator<Item = [(&'static str, Value<'q>); N]>,
    ) -> Self {
        let rows = rows.into_iter().map(Vec::from).collect();
        self.bind(Value::Rows(rows))
    }

    /// Statements that change rows as one that does, and returns in `total` how many rows each of them changed, in
    /// order. None sees what another one changed.
    #[cfg(feature = "postgres")]
    pub(super) fn together(statements: Vec<Self>) -> Self {
        let (mut parts, mut totals, mut values) = (Vec::new(), Vec::new(), Vec::new());
        for (at, statement) in statements.into_iter().enumerate() {
            parts.push(format!("w{at} as ({} returning 1)", renumbered(&statement.text, values.len())));
            totals.push(format!("select {at} as at, count(*) as total from w{at}"));
            values.extend(statement.values);
        }
        let text = format!("with {} {} order by at", parts.join(", "), totals.join(" union all "));
        Self { text: Cow::Owned(text), values }
    }

    #[cfg(feature = "postgres")]
    pub(super) fn postgres(self) -> Query<'static, sqlx::Postgres, PgArguments> {
        let query = sqlx::query(Dialect::Postgres.text(self.text));
        self.values.into_iter().fold(query, |query, value| match value {
            Value::Text(text) => query.bind(text.map(Cow::into_owned)),
            Value::Number(number) => query.bind(number),
            Value::Flag(flag) => query.bind(flag),
            Value::Time(time) => query.bind(time),
            Value::Uuid(uuid) => query.bind(uuid),
            many => query.bind(many.json(Dialect::Postgres).to_string()),
        })
    }

    pub(super) fn sqlite(self) -> Query<'static, sqlx::Sqlite, SqliteArguments> {
        let query = sqlx::query(Dialect::Sqlite.text(self.text));
        self.values.into_iter().fold(query, |query, value| match value {
            Value::Text(text) => query.bind(text.map(Cow::into_owned)),
            Value::Number(number) => query.bind(number),
            Value::Flag(flag) => query.bind(flag),
            Value::Time(time) => query.bind(time.map(|at| at.timestamp_micros())),
            Value::Uuid(uuid) => query.bind(uuid.map(|uuid| uuid.to_string())),
            many => query.bind(many.json(Dialect::Sqlite).to_string()),
        })
    }
}

/// The text of a statement whose arguments come after `others` other ones: `$1` is `$3` after two.
#[cfg(feature = "postgres")]
fn renumbered(text: &str, others: usize) -> String {
    let mut parts = text.split('$');
    let mut renumbered = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        let end = part.find(|character: char| !character.is_ascii_digit()).unwrap_or(part.len());
        let number = part[..end].parse::<usize>().map_or(0, |number| number + others);
        let _ = write!(renumbered, "${number}{}", &part[end..]);
    }
    renumbered
}

/// An argument.
#[derive(Debug, Clone)]
pub(crate) enum Value<'q> {
    Text(Option<Cow<'q, str>>),
    Number(Option<i64>),
    Flag(bool),
    /// Truncated to microseconds.
    Time(Option<DateTime<Utc>>),
    Uuid(Option<Uuid>),
    /// For a mark `{in $2}`.
    List(Vec<String>),
    /// For a mark `{rows $2 as new (…)}`.
    Rows(Vec<Vec<(&'static str, Value<'q>)>>),
}

impl Value<'_> {
    /// The argument as JSON, in which form lists and rows and the values in them are sent.
    fn json(self, dialect: Dialect) -> serde_json::Value {
        match self {
            Self::Text(text) => text.map(Cow::into_owned).into(),
            Self::Number(number) => number.into(),
            Self::Flag(flag) => flag.into(),
            Self::Time(time) => match dialect {
                #[cfg(feature = "postgres")]
                Dialect::Postgres => time.map(|at| at.to_rfc3339_opts(SecondsFormat::Micros, true)).into(),
                Dialect::Sqlite => time.map(|at| at.timestamp_micros()).into(),
            },
            Self::Uuid(uuid) => uuid.map(|uuid| uuid.to_string()).into(),
            Self::List(items) => items.into(),
            Self::Rows(rows) => rows
                .into_iter()
                .map(|row| {
                    let named = |(name, value): (&str, Self)| (name.to_owned(), value.json(dialect));
                    row.into_iter().map(named).collect::<Map<_, _>>()
                })
                .collect(),
        }
    }
}

/// A count as `bigint`. Saturates, because no count gets near the largest one.
fn wide(count: impl TryInto<i64>) -> i64 {
    count.try_into().unwrap_or(i64::MAX)
}

impl From<i64> for Value<'_> {
    fn from(number: i64) -> Self {
        Self::Number(Some(number))
    }
}

impl From<u64> for Value<'_> {
    fn from(number: u64) -> Self {
        Self::Number(Some(wide(number)))
    }
}

impl From<u32> for Value<'_> {
    fn from(number: u32) -> Self {
        Self::Number(Some(number.into()))
    }
}

impl From<u16> for Value<'_> {
    fn from(number: u16) -> Self {
        Self::Number(Some(number.into()))
    }
}

impl From<bool> for Value<'_> {
    fn from(flag: bool) -> Self {
        Self::Flag(flag)
    }
}

impl<'q> From<&'q str> for Value<'q> {
    fn from(text: &'q str) -> Self {
        Self::Text(Some(text.into()))
    }
}

impl<'q> From<&'q String> for Value<'q> {
    fn from(text: &'q String) -> Self {
        Self::Text(Some(text.into()))
    }
}

impl From<String> for Value<'_> {
    fn from(text: String) -> Self {
        Self::Text(Some(text.into()))
    }
}

impl<'q> From<Option<&'q str>> for Value<'q> {
    fn from(text: Option<&'q str>) -> Self {
        Self::Text(text.map(Into::into))
    }
}

impl From<Option<String>> for Value<'_> {
    fn from(text: Option<String>) -> Self {
        Self::Text(text.map(Into::into))
    }
}

impl From<DateTime<Utc>> for Value<'_> {
    fn from(time: DateTime<Utc>) -> Self {
        Self::Time(Some(time))
    }
}

impl From<Option<DateTime<Utc>>> for Value<'_> {
    fn from(time: Option<DateTime<Utc>>) -> Self {
        Self::Time(time)
    }
}

impl From<Uuid> for Value<'_> {
    fn from(uuid: Uuid) -> Self {
        Self::Uuid(Some(uuid))
    }
}

impl From<Option<Uuid>> for Value<'_> {
    fn from(uuid: Option<Uuid>) -> Self {
        Self::Uuid(uuid)
    }
}

impl From<JobId> for Value<'_> {
    fn from(id: JobId) -> Self {
        // The text form of an id is a UUID.
        Self::Uuid(id.to_string().parse().ok())
    }
}

impl From<Option<JobId>> for Value<'_> {
    fn from(id: Option<JobId>) -> Self {
        Self::Uuid(id.and_then(|id| id.to_string().parse().ok()))
    }
}

/// The database whose spelling is used for marks.
#[derive(Debug, Clone, Copy)]
enum Dialect {
    #[cfg(feature = "postgres")]
    Postgres,
    Sqlite,
}

impl Dialect {
    fn text(self, text: Cow<'static, str>) -> SqlStr {
        // Other braces are JSON.
        if !["{for ", "{in ", "{rows "].iter().any(|mark| text.contains(mark)) {
            return AssertSqlSafe(text).into_sql_str();
        }
        let (mut spelled, mut rest) = (String::with_capacity(text.len() * 2), &*text);
        while let Some((before, after)) = rest.split_once('{') {
            spelled.push_str(before);
            let (mark, after) = after.split_once('}').unwrap_or((after, ""));
            self.spell(mark, &mut spelled);
            rest = after;
        }
        spelled.push_str(rest);
        // Consists of the program's own literals only, and of no input.
        AssertSqlSafe(spelled).into_sql_str()
    }

    fn spell(self, mark: &str, to: &mut String) {
        let (name, operand) = mark.split_once(' ').unwrap_or((mark, ""));
        match (self, name) {
            #[cfg(feature = "postgres")]
            (Self::Postgres, "for") => to.push_str(mark),
            (Self::Sqlite, "for") => {}
            #[cfg(feature = "postgres")]
            (Self::Postgres, "in") => {
                let (list, kind) = operand.split_once(' ').unwrap_or((operand, "text"));
                // The subquery makes the array once, so that the index is used as for a constant array.
                let _ = write!(to, "= any (array(select json_array_elements_text({list}::json)::{kind}))");
            }
            (Self::Sqlite, "in") => {
                let (list, _) = operand.split_once(' ').unwrap_or((operand, "text"));
                let _ = write!(to, "in (select value from json_each({list}))");
            }
            (_, "rows") => {
                let (rows, alias) = operand.split_once(" as ").unwrap_or((operand, ""));
                let (alias, columns) = alias.trim_end_matches(')').split_once(" (").unwrap_or((alias, ""));
                match self {
                    #[cfg(feature = "postgres")]
                    Self::Postgres => {
                        let _ = write!(to, "json_to_recordset({rows}::json) as {alias} ({columns})");
                    }
                    Self::Sqlite => {
                        let names = columns.split(", ").filter_map(|column| column.split(' ').next());
                        let values = names.map(|name| format!("value ->> '{name}' as {name}"));
                        let values = values.collect::<Vec<_>>().join(", ");
                        let _ = write!(to, "(select {values} from jsonb_each({rows})) as {alias}");
                    }
                }
            }
            // Not a mark: JSON, or a mistake that the database will reject.
            _ => {
                let _ = write!(to, "{{{mark}}}");
            }
        }
    }
}

/// A row of a result. Columns are read by name.
pub(crate) enum Row {
    #[cfg(feature = "postgres")]
    Postgres(PgRow),
    Sqlite(SqliteRow),
}

/// Reads a column with a type that both drivers support.
macro_rules! get {
    ($row:expr, $column:expr) => {
        match $row {
            #[cfg(feature = "postgres")]
            Row::Postgres(row) => row.try_get($column),
            Row::Sqlite(row) => row.try_get($column),
        }
    };
}

fn unreadable(column: &str, problem: impl Into<Problem>) -> sqlx::Error {
    sqlx::Error::ColumnDecode { index: column.to_owned(), source: problem.into() }
}

impl Row {
    /// A text, or a UUID in its text form.
    pub(crate) fn text(&self, column: &'static str) -> sqlx::Result<String> {
        #[cfg(feature = "postgres")]
        if let Self::Postgres(row) = self
            && row.try_column(column)?.type_info().name() == "UUID"
        {
            return row.try_get::<Uuid, _>(column).map(|uuid| uuid.to_string());
        }
        get!(self, column)
    }

    /// A text or null.
    pub(crate) fn text_or_null(&self, column: &'static str) -> sqlx::Result<Option<String>> {
        get!(self, column)
    }

    /// A text, parsed.
    pub(crate) fn parsed<T>(&self, column: &'static str) -> sqlx::Result<T>
    where
        T: FromStr<Err: std::error::Error + Send + Sync + 'static>,
    {
        self.text(column)?.parse().map_err(|error: T::Err| unreadable(column, error))
    }

    /// A text or null, parsed.
    pub(crate) fn parsed_or_null<T>(&self, column: &'static str) -> sqlx::Result<Option<T>>
    where
        T: FromStr<Err: std::error::Error + Send + Sync + 'static>,
    {
        let text = self.text_or_null(column)?;
        text.map(|text| text.parse().map_err(|error: T::Err| unreadable(column, error))).transpose()
    }

    /// An id that is a UUID, or null. A null is one of any type.
    pub(crate) fn id_or_null<T>(&self, column: &'static str) -> sqlx::Result<Option<T>>
    where
        T: FromStr<Err: std::error::Error + Send + Sync + 'static>,
    {
        #[cfg(feature = "postgres")]
        if let Self::Postgres(row) = self {
            let id = row.try_get::<Option<Uuid>, _>(column)?.map(|id| id.to_string().parse());
            return id.transpose().map_err(|error: T::Err| unreadable(column, error));
        }
        self.parsed_or_null(column)
    }

    /// A text that contains JSON, deserialised.
    pub(crate) fn json<T: DeserializeOwned>(&self, column: &'static str) -> sqlx::Result<T> {
        serde_json::from_str(&self.text(column)?).map_err(|error| unreadable(column, error))
    }

    /// An integer, converted to the given type; an error when it does not fit.
    pub(crate) fn number<T: TryFrom<i64>>(&self, column: &'static str) -> sqlx::Result<T> {
        self.number_or_null(column)?.ok_or_else(|| unreadable(column, "no number"))
    }

    /// An integer or null.
    pub(crate) fn number_or_null<T: TryFrom<i64>>(&self, column: &'static str) -> sqlx::Result<Option<T>> {
        let number: Option<i64> = match self {
            #[cfg(feature = "postgres")]
            Self::Postgres(row) if row.try_column(column)?.type_info().name() == "INT4" => {
                row.try_get::<Option<i32>, _>(column)?.map(Into::into)
            }
            row => get!(row, column)?,
        };
        number.map(|number| T::try_from(number).map_err(|_| unreadable(column, "out of range"))).transpose()
    }

    /// A boolean.
    pub(crate) fn flag(&self, column: &'static str) -> sqlx::Result<bool> {
        get!(self, column)
    }

    /// A time.
    pub(crate) fn time(&self, column: &'static str) -> sqlx::Result<DateTime<Utc>> {
        self.time_or_null(column)?.ok_or_else(|| unreadable(column, "no time"))
    }

    /// A time or null.
    pub(crate) fn time_or_null(&self, column: &'static str) -> sqlx::Result<Option<DateTime<Utc>>> {
        match self {
            #[cfg(feature = "postgres")]
            Self::Postgres(row) => row.try_get(column),
            Self::Sqlite(row) => {
                let time =
                    |us| DateTime::from_timestamp_micros(us).ok_or_else(|| unreadable(column, "no time"));
                row.try_get::<Option<i64>, _>(column)?.map(time).transpose()
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_stands_in_braces_is_spelled_as_each_database_does() {
        let text = "insert into t (id, flows) select new.id, '{}' from {rows $2 as new (id uuid, n bigint)} \
                    where id {in $3 uuid} and name {in $4} {for update skip locked}";
        #[cfg(feature = "postgres")]
        assert_eq!(
            Dialect::Postgres.text(text.into()).as_str(),
            "insert into t (id, flows) select new.id, '{}' from \
             json_to_recordset($2::json) as new (id uuid, n bigint) \
             where id = any (array(select json_array_elements_text($3::json)::uuid)) \
             and name = any (array(select json_array_elements_text($4::json)::text)) for update skip locked"
        );
        assert_eq!(
            Dialect::Sqlite.text(text.into()).as_str(),
            "insert into t (id, flows) select new.id, '{}' from \
             (select value ->> 'id' as id, value ->> 'n' as n from jsonb_each($2)) as new \
             where id in (select value from json_each($3)) \
             and name in (select value from json_each($4)) "
        );
    }

    #[cfg(feature = "postgres")]
    #[test]
    fn several_statements_are_one_with_the_arguments_of_all() {
        let first = sql("insert into a select $1, new.id from {rows $2 as new (id text)} where true")
            .bind("acme")
            .bind_rows([[("id", Value::from("x"))]]);
        let second = sql("delete from b where tenant_id = $1 and n < $2").bind("acme").bind(12_u64);
        let both = Sql::together(vec![first, second]);
        assert_eq!(
            both.text,
            "with w0 as (insert into a select $1, new.id from {rows $2 as new (id text)} where true returning 1), \
             w1 as (delete from b where tenant_id = $3 and n < $4 returning 1) \
             select 0 as at, count(*) as total from w0 union all select 1 as at, count(*) as total from w1 \
             order by at"
        );
        assert_eq!(both.values.len(), 4);
    }
}
