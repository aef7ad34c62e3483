//! What the product sent to PostgreSQL for one piece of work, from the server's own log, as a script by which `pgbench` sends the
//! same statements in the same order, each time for another session. So the baseline is what the product does, whatever that is.
//!
//! What comes out of the database and goes into later statements (numbers of events, heads of chains, fences) does so here, too.
//! What the product computes (hashes) stands there as it was.

use std::collections::HashMap;

use serde_json::Value;

use super::Result;

/// What differs from one piece of work to the next: the text as it was logged, and the SQL that stands in its place.
pub(crate) type Marks<'a> = &'a [(&'a str, &'a str)];

/// One logged statement.
struct Statement {
    sql: String,
    /// `None` is NULL.
    parameters: Vec<Option<String>>,
}

/// Statements whose answers later ones need. `\gset` makes variables of their columns, named `answer_` and the column.
const ANSWERS: [&str; 3] = ["RETURNING technician, last_event", "FROM chains WHERE", "RETURNING key, fence"];

/// Parameters that are made of such answers: a part of the statement, which parameter, and what stands there.
const FROM_ANSWERS: [(&str, usize, &str); 4] = [
    ("INSERT INTO events", 2, "(:answer_last_event::bigint - 1)"),
    ("INSERT INTO audit", 2, "ARRAY[:answer_seq::bigint + 1]"),
    ("INSERT INTO audit", 11, "ARRAY[:answer_seq::bigint + 1]"),
    ("SET lease_holder = NULL", 3, ":answer_fence"),
];

/// The statements of the work that these marks tell, as a script; `first` is what it begins with. What a broker sends by the clock
/// (renewals, looks at what is due) and on the connection that listens is no part of it.
pub(crate) fn script(log: &str, first: &str, marks: Marks<'_>) -> Result<Script> {
    let mut text = format!("{first}\n");
    let mut count = 0;
    for statement in of_the_work(log, marks)? {
        let answers = ANSWERS.iter().any(|part| statement.sql.contains(part));
        text.push_str(&filled(&statement, marks)?);
        text.push_str(if answers { " \\gset answer_\n" } else { ";\n" });
        count += 1;
    }
    if count == 0 {
        return Err("the server logged no statement of the work".into());
    }
    Ok(Script { text, statements: count })
}

/// A script for `pgbench -M prepared`.
pub(crate) struct Script {
    pub(crate) text: String,
    /// With BEGIN and COMMIT.
    pub(crate) statements: usize,
}

fn of_the_work(log: &str, marks: Marks<'_>) -> Result<Vec<Statement>> {
    let mut found = Vec::new();
    // Transactions that are not over, by the connection.
    let mut open: HashMap<String, Vec<Statement>> = HashMap::new();
    for line in log.lines() {
        let said: Value = serde_json::from_str(line)?;
        let text = |field: &str| said[field].as_str().unwrap_or_default();
        let Some(sql) = sql_of(text("message")) else { continue };
        if text("application_name") != "ticketgate" || sql.contains("AS held(name, fence)") {
            continue;
        }
        let statement = Statement { sql: sql.to_owned(), parameters: parameters(text("detail"))? };
        let connection = text("session_id").to_owned();
        if let Some(mut begun) = open.remove(&connection) {
            let is_over = statement.sql == "COMMIT" || statement.sql == "ROLLBACK";
            begun.push(statement);
            if !is_over {
                open.insert(connection, begun);
            } else if begun.iter().any(|statement| statement.is_of(marks)) {
                found.extend(begun);
            }
        } else if statement.sql.starts_with("BEGIN") || statement.sql.starts_with("START") {
            open.insert(connection, vec![statement]);
        } else if statement.is_of(marks) {
            found.push(statement);
        }
    }
    Ok(found)
}

fn sql_of(message: &str) -> Option<&str> {
    let (how, sql) = message.split_once(": ")?;
    (how == "statement" || how.starts_with("execute ")).then(|| sql.trim())
}

impl Statement {
    fn is_of(&self, marks: Marks<'_>) -> bool {
        self.parameters.iter().flatten().any(|value| marks.iter().any(|(mark, _)| value.contains(mark)))
    }
}

/// `parameters: $1 = 'it''s', $2 = NULL`
fn parameters(detail: &str) -> Result<Vec<Option<String>>> {
    let mut rest = detail.strip_prefix("parameters: ").or(detail.strip_prefix("Parameters: ")).unwrap_or("");
    let mut values = Vec::new();
    while let Some((_, after)) = rest.split_once(" = ") {
        if let Some(after) = after.strip_prefix("NULL") {
            values.push(None);
            rest = after;
            continue;
        }
        let mut value = String::new();
        let mut letters =
            after.strip_prefix('\'').ok_or("no quote before a parameter")?.char_indices().peekable();
        let end = loop {
            match letters.next().ok_or("a parameter without an end")? {
                (_, '\'') if letters.next_if(|(_, next)| *next == '\'').is_some() => value.push('\''),
                (at, '\'') => break at + 2,
                (_, letter) => value.push(letter),
            }
        };
        values.push(Some(value));
        rest = after.get(end..).unwrap_or_default();
    }
    Ok(values)
}

/// The statement with its parameters in it.
fn filled(statement: &Statement, marks: Marks<'_>) -> Result<String> {
    let mut text = String::new();
    let mut parts = statement.sql.split('$');
    text.push_str(parts.next().unwrap_or_default());
    for part in parts {
        let digits = part.find(|letter: char| !letter.is_ascii_digit()).unwrap_or(part.len());
        let (number, after) = part.split_at(digits);
        let number: usize = number.parse()?;
        let made = FROM_ANSWERS.iter().find(|(of, at, _)| *at == number && statement.sql.contains(of));
        match (made, statement.parameters.get(number - 1).ok_or("a parameter is missing")?) {
            (Some((_, _, sql)), _) => text.push_str(sql),
            (None, None) => text.push_str("NULL"),
            (None, Some(value)) => text.push_str(&value_sql(value, marks)),
        }
        text.push_str(after);
    }
    // In one line, as pgbench reads it more easily.
    Ok(text.split_whitespace().collect::<Vec<_>>().join(" "))
}

/// A value, made anew where a mark is in it.
fn value_sql(value: &str, marks: Marks<'_>) -> String {
    let mut pieces = Vec::new();
    let mut rest = value;
    let next = |rest: &str| {
        let found = marks.iter().filter_map(|(mark, sql)| Some((rest.find(mark)?, mark.len(), *sql)));
        found.min_by_key(|(at, length, _)| (*at, usize::MAX - length))
    };
    while let Some((at, length, sql)) = next(rest) {
        if at > 0 {
            pieces.push(literal(&rest[..at]));
        }
        pieces.push(sql.to_owned());
        rest = &rest[at + length..];
    }
    if pieces.is_empty() {
        return literal(value);
    }
    if !rest.is_empty() {
        pieces.push(literal(rest));
    }
    // Of all values that have a mark in them only arrays begin so.
    let kind = if value.starts_with('{') { "text[]" } else { "text" };
    match &pieces[..] {
        [piece] => format!("({piece})::{kind}"),
        _ => format!("concat({})::{kind}", pieces.join(", ")),
    }
}

/// A colon before a letter would be a variable to pgbench, and white space is made less of above.
fn literal(text: &str) -> String {
    let mut sql = "E'".to_owned();
    for letter in text.chars() {
        match letter {
            '\'' => sql.push_str("''"),
            '\\' => sql.push_str("\\\\"),
            ':' | ' ' | '\n' | '$' => sql.push_str(&format!("\\x{:02x}", u32::from(letter))),
            letter => sql.push(letter),
        }
    }
    sql.push('\'');
    sql
}
