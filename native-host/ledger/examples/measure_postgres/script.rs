//! The statements of one activation and its end, as the ledger sends them, for `pgbench`. What the ledger computes (hashes) stands
//! there as it is; what it reads to go on with (the heads of chains, numbers of events) is read here too.

/// A script for `pgbench -M prepared`. Sessions of different rounds have different numbers.
pub(super) fn text(round: usize) -> String {
    let number = format!(
        "\\set number random(1, 1000000000) + {round} * 1000000000\n\\set technician :number % 2000\n"
    );
    let begin = [
        technician(1),
        account_lock(),
        forget(&["requests", "attempts", "events"]),
        ANSWERED.into(),
        OPEN.into(),
    ];
    let more = [attempts(), session_new(), ACCOUNT_NEW.into(), event(), REQUEST.into(), audit()];
    let active = [
        technician(1),
        account_lock(),
        forget(&["events"]),
        session(2, "active"),
        ACCOUNT.into(),
        event(),
        audit(),
    ];
    let over = [technician(1), account_lock(), forget(&["events"]), session(3, "ended"), due(), event()];
    let commit = |statements: &[String]| format!("BEGIN;\n{}COMMIT;\n", statements.concat());
    [number, commit(&[&begin[..], &more[..]].concat()), commit(&active), commit(&over)].concat()
}

const NOW: &str = "'2026-01-02T03:04:05.000000000Z'";
const WHO: &str = "concat('tech', :technician::bigint)";
const SESSION: &str = "concat('s-', :number::bigint)";
const KEY: &str = "concat('acme-ad/burner/s-', :number::bigint)";
const CHAIN: &str = "concat('customer', :client_id::bigint)";

const ANSWERED: &str = "SELECT request, session FROM requests
    WHERE technician = concat('tech', :technician::bigint) AND key = concat('k-', :number::bigint);\n";

const OPEN: &str =
    "SELECT id, coalesce(whole, id) FROM sessions WHERE technician = concat('tech', :technician::bigint)
    AND state IN ('pending', 'approved', 'activating', 'active', 'ending');\n";

const REQUEST: &str = "INSERT INTO requests (technician, key, request, session, at) VALUES (concat('tech', :technician::bigint),
    concat('k-', :number::bigint), decode(repeat('07', 32), 'hex'), concat('s-', :number::bigint), '2026-01-02T03:04:05.000000000Z');\n";

const ACCOUNT_NEW: &str = "INSERT INTO accounts (key, directory, mode, technician, name, identity, display_name, token,
    password_generation, standing, settled, attempts, next_try, version, gone, lease_holder, lease_until, fence, due)
    VALUES (concat('acme-ad/burner/s-', :number::bigint), 'acme-ad', 'burner', concat('tech', :technician::bigint),
    concat('jit-', :number::bigint), NULL, NULL, 'b3f1', 1, '[]', false, 0, NULL, 1, false, 1,
    statement_timestamp() + interval '3 seconds', 1,
    CASE WHEN false THEN (SELECT min(until) FROM sessions WHERE account = concat('acme-ad/burner/s-', :number::bigint)
    AND state IN ('activating', 'active')) ELSE '2026-01-02T03:04:05.000000000Z' END) ON CONFLICT (key) DO NOTHING;\n";

const ACCOUNT: &str = "UPDATE accounts SET directory = 'acme-ad', mode = 'burner', technician = concat('tech', :technician::bigint),
    name = concat('jit-', :number::bigint), identity = NULL, display_name = NULL, token = 'b3f1', password_generation = 1,
    standing = '[]', settled = true, attempts = 0, next_try = NULL, version = 2, gone = false,
    due = CASE WHEN true THEN (SELECT min(until) FROM sessions WHERE account = concat('acme-ad/burner/s-', :number::bigint)
    AND state IN ('activating', 'active')) ELSE NULL END,
    lease_holder = CASE WHEN coalesce(lease_until < statement_timestamp(), true) THEN NULL ELSE lease_holder END
    WHERE key = concat('acme-ad/burner/s-', :number::bigint) AND version = 1;\n";

fn technician(count: u32) -> String {
    format!(
        "INSERT INTO technicians AS t (technician, last_event, moved) VALUES ({WHO}, {count}, clock_timestamp())
    ON CONFLICT (technician) DO UPDATE SET last_event = t.last_event + {count}, moved = clock_timestamp()
    RETURNING last_event AS event \\gset\n"
    )
}

fn account_lock() -> String {
    format!("SELECT key, fence FROM accounts WHERE key = ANY(ARRAY[{KEY}]) ORDER BY key FOR UPDATE;\n")
}

fn forget(tables: &[&str]) -> String {
    let before = "'2026-01-01T03:04:05.000000000Z'";
    let of = |table: &str| {
        format!("DELETE FROM {table} WHERE technician = ANY(ARRAY[{WHO}]) AND at <= {before};\n")
    };
    tables.iter().map(|table| of(table)).collect()
}

fn attempts() -> String {
    let since = ["2026-01-02T03:03:05", "2026-01-02T02:04:05", "2026-01-01T03:04:05"];
    let window = |since: &str| {
        format!(
            "SELECT at FROM attempts WHERE technician = {WHO} AND at > '{since}.000000000Z' ORDER BY at DESC LIMIT 1 OFFSET 999;\n"
        )
    };
    let windows: String = since.into_iter().map(window).collect();
    format!("{windows}INSERT INTO attempts (technician, at) VALUES ({WHO}, {NOW});\n")
}

fn session_new() -> String {
    format!(
        "INSERT INTO sessions (id, state, technician, customer, directory, policy, policy_name, mode, account, rights, reason, ticket,
    requested_at, \"from\", until, latest_end, active_at, end_cause, ended_at, trouble, version, whole)
    VALUES ({SESSION}, 'activating', {WHO}, {CHAIN}, 'acme-ad', 'acme-domain-admin', 'Domain Admin', 'burner', {KEY},
    '[\"CN=Domain Admins,CN=Users,DC=acme,DC=example\"]', '#4711 Outlook does not start (Acme Corp)', NULL,
    {NOW}, {NOW}, {NOW}, {NOW}, NULL, NULL, NULL, NULL, 1, NULL) ON CONFLICT (id) DO NOTHING;\n"
    )
}

fn session(version: u32, state: &str) -> String {
    format!(
        "UPDATE sessions SET state = '{state}', technician = {WHO}, customer = {CHAIN}, directory = 'acme-ad',
    policy = 'acme-domain-admin', policy_name = 'Domain Admin', mode = 'burner', account = {KEY},
    rights = '[\"CN=Domain Admins,CN=Users,DC=acme,DC=example\"]', reason = '#4711 Outlook does not start (Acme Corp)', ticket = NULL,
    requested_at = {NOW}, \"from\" = {NOW}, until = {NOW}, latest_end = {NOW}, active_at = {NOW}, end_cause = NULL, ended_at = {NOW},
    trouble = NULL, version = {version}, whole = NULL WHERE id = {SESSION} AND version = {version} - 1;\n"
    )
}

fn due() -> String {
    format!(
        "UPDATE accounts SET due = CASE WHEN accounts.settled
    THEN (SELECT min(until) FROM sessions WHERE account = accounts.key AND state IN ('activating', 'active'))
    ELSE coalesce(accounts.next_try, {NOW}) END WHERE key = ANY(ARRAY[{KEY}]);\n"
    )
}

fn event() -> String {
    format!(
        "INSERT INTO events (technician, number, session, at)
    SELECT {WHO}, :event::bigint - 1 + n, session, {NOW} FROM unnest(ARRAY[{SESSION}]) WITH ORDINALITY AS new(session, n);\n"
    )
}

/// A chain is begun where it is not there yet; the ledger does that as well.
fn audit() -> String {
    let hash = "decode(repeat('07', 32), 'hex')";
    format!(
        "INSERT INTO chains (chain, seq, hash) VALUES (concat('pgbench', :client_id::bigint), 0, {hash}) ON CONFLICT (chain) DO NOTHING;
SELECT chain, seq AS head, hash FROM chains WHERE chain = ANY(ARRAY[concat('pgbench', :client_id::bigint)]) ORDER BY chain FOR UPDATE \\gset
INSERT INTO audit (chain, seq, at, action, actor, outcome, details, hash, about)
    VALUES (concat('pgbench', :client_id::bigint), :head::bigint + 1, {NOW}, 'activation.requested', {WHO}, 'ok',
    '{{\"session\":\"s-123456\",\"technician\":\"tech1234\"}}', {hash}, {WHO});
UPDATE chains SET seq = :head::bigint + 1, hash = {hash} WHERE chain = concat('pgbench', :client_id::bigint);\n"
    )
}
