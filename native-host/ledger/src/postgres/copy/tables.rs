//! The tables of both databases, column by column. A table only.

use self::Kind::{Bytes, Number, Text, Truth};

/// What a column holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Text,
    Number,
    Truth,
    Bytes,
}

/// A table as both databases have it.
pub(super) struct Table {
    pub(super) name: &'static str,
    /// PostgreSQL's columns, each with SQLite's where that has another name.
    pub(super) columns: &'static [(&'static str, &'static str, Kind)],
    pub(super) order: &'static str,
    /// The column that counts by itself.
    pub(super) counts: Option<&'static str>,
}

/// Written once and never changed: goes on where it was broken off.
pub(super) const AUDIT: Table = Table {
    name: "audit",
    columns: &[
        ("id", "position", Number),
        ("chain", "chain", Text),
        ("seq", "seq", Number),
        ("at", "at", Text),
        ("action", "action", Text),
        ("actor", "actor", Text),
        ("outcome", "outcome", Text),
        ("details", "details", Text),
        ("hash", "hash", Bytes),
        ("about", "details ->> '$.technician'", Text),
    ],
    order: "id",
    counts: Some("id"),
};

/// Changed all the time: taken whole, after what is written once.
pub(super) const REST: [Table; 13] = [
    Table {
        name: "accounts",
        columns: &[
            ("key", "key", Text),
            ("directory", "directory", Text),
            ("mode", "mode", Text),
            ("technician", "technician", Text),
            ("name", "name", Text),
            ("identity", "identity", Text),
            ("display_name", "display_name", Text),
            ("token", "token", Text),
            ("password_generation", "password_generation", Number),
            ("standing", "standing", Text),
            ("settled", "settled", Truth),
            ("attempts", "attempts", Number),
            ("next_try", "next_try", Text),
            ("version", "version", Number),
            ("gone", "gone", Truth),
        ],
        order: "key",
        counts: None,
    },
    Table {
        name: "sessions",
        columns: &[
            ("number", "rowid", Number),
            ("id", "id", Text),
            ("state", "state", Text),
            ("technician", "technician", Text),
            ("customer", "customer", Text),
            ("directory", "directory", Text),
            ("policy", "policy", Text),
            ("policy_name", "policy_name", Text),
            ("mode", "mode", Text),
            ("account", "account", Text),
            ("rights", "rights", Text),
            ("reason", "reason", Text),
            ("ticket", "ticket", Text),
            ("requested_at", "requested_at", Text),
            ("\"from\"", "\"from\"", Text),
            ("until", "until", Text),
            ("latest_end", "latest_end", Text),
            ("active_at", "active_at", Text),
            ("end_cause", "end_cause", Text),
            ("ended_at", "ended_at", Text),
            ("trouble", "trouble", Text),
            ("version", "version", Number),
            ("whole", "whole", Text),
        ],
        order: "id",
        counts: Some("number"),
    },
    Table {
        name: "requests",
        columns: &[
            ("technician", "technician", Text),
            ("key", "key", Text),
            ("request", "request", Bytes),
            ("session", "session", Text),
            ("at", "at", Text),
        ],
        order: "technician, key",
        counts: None,
    },
    Table {
        name: "attempts",
        columns: &[("number", "number", Number), ("technician", "technician", Text), ("at", "at", Text)],
        order: "number",
        counts: Some("number"),
    },
    Table {
        name: "events",
        columns: &[
            ("technician", "technician", Text),
            ("number", "number", Number),
            ("session", "session", Text),
            ("at", "at", Text),
        ],
        order: "technician, number",
        counts: None,
    },
    Table {
        name: "chains",
        columns: &[("chain", "chain", Text), ("seq", "seq", Number), ("hash", "hash", Bytes)],
        order: "chain",
        counts: None,
    },
    Table {
        name: "checkpoints",
        columns: &[
            ("chain", "chain", Text),
            ("seq", "seq", Number),
            ("hash", "hash", Bytes),
            ("at", "at", Text),
            ("signature", "signature", Bytes),
            ("seal", "seal", Number),
        ],
        order: "chain, seq",
        counts: None,
    },
    Table {
        name: "seal",
        columns: &[
            ("number", "number", Number),
            ("at", "at", Text),
            ("digest", "digest", Bytes),
            ("signature", "signature", Bytes),
        ],
        order: "number",
        counts: None,
    },
    Table {
        name: "notes",
        columns: &[
            ("position", "position", Number),
            ("mark", "mark", Text),
            ("session", "session", Text),
            ("psa", "psa", Text),
            ("ticket", "ticket", Text),
            ("text", "text", Text),
            ("at", "at", Text),
            ("next_try", "next_try", Text),
            ("attempts", "attempts", Number),
            ("sending", "sending", Truth),
        ],
        order: "position",
        counts: Some("position"),
    },
    Table {
        name: "sign_ins",
        columns: &[
            ("id", "id", Text),
            ("technician", "technician", Text),
            ("issuer", "issuer", Text),
            ("claim", "claim", Text),
            ("value", "value", Text),
            ("subject", "subject", Text),
            ("session", "session", Text),
            ("name", "name", Text),
            ("groups", "groups", Text),
            ("key", "key", Text),
            ("\"from\"", "\"from\"", Text),
            ("renewed", "renewed", Text),
            ("until", "until", Text),
            ("ended", "ended", Text),
            ("ended_by", "ended_by", Text),
        ],
        order: "id",
        counts: None,
    },
    Table {
        name: "sign_in_tokens",
        columns: &[
            ("token", "token", Bytes),
            ("sign_in", "sign_in", Text),
            ("\"from\"", "\"from\"", Text),
            ("until", "until", Text),
        ],
        order: "token",
        counts: None,
    },
    Table {
        name: "api_tokens",
        columns: &[
            ("id", "id", Text),
            ("name", "name", Text),
            ("token", "token", Bytes),
            ("scopes", "scopes", Text),
            ("customers", "customers", Text),
            ("made_by", "made_by", Text),
            ("\"from\"", "\"from\"", Text),
            ("until", "until", Text),
            ("ended", "ended", Text),
        ],
        order: "id",
        counts: None,
    },
    Table {
        name: "technicians",
        columns: &[("technician", "technician", Text), ("last_event", "last_event", Number)],
        order: "technician",
        counts: None,
    },
];

impl Table {
    /// The order of the rows, by the columns that SQLite has.
    pub(super) fn order_in_sqlite(&self) -> String {
        let of = |name: &str| {
            let column = self.columns.iter().find(|(ours, ..)| *ours == name);
            column.map_or(name.to_owned(), |(_, theirs, _)| (*theirs).to_owned())
        };
        self.order.split(", ").map(of).collect::<Vec<_>>().join(", ")
    }
}
