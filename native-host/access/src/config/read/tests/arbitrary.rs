//! Arbitrary text: nothing makes the reader panic, what it takes holds what is promised, and secrets stay unsaid.

use proptest::prelude::*;

use super::*;
use crate::config::Grant;

/// What the rest of the product takes for granted about a configuration that was read.
fn holds_what_is_promised(config: &Config) {
    for directory in config.directories.values() {
        assert!(config.customers.contains_key(&directory.customer));
        match &directory.kind {
            DirectoryKind::ActiveDirectory(ad) => assert!(!ad.servers.is_empty() && ad.timeout_s >= 1),
            DirectoryKind::Local(machine) => assert!(machine.account_name.starts_with("jit-")),
            DirectoryKind::Entra(tenant) => {
                assert!(!tenant.account_domain.is_empty() && tenant.timeout_s >= 1);
            }
        }
    }
    for technician in config.technicians.values() {
        assert!(technician.accounts.keys().all(|id| config.directories.contains_key(id)));
    }
    assert!(config.broker.administrators.iter().all(|id| config.technicians.contains_key(id)));
    for policy in config.policies.values() {
        assert!(config.customer_of(policy).is_some());
        assert!(!policy.grants.is_empty() && policy.grants.iter().all(|grant| !grant.rights.is_empty()));
        let owner = |grant: &Grant| &config.directories[&grant.directory].customer;
        assert!(policy.grants.iter().all(|grant| owner(grant) == owner(&policy.grants[0])));
        assert!(!policy.eligible.groups.is_empty() || !policy.eligible.technicians.is_empty());
        let rule = &policy.duration;
        assert!(60 <= rule.default_s && rule.default_s <= rule.max_s && rule.max_s <= 86_400);
        assert!(rule.choices_s.is_sorted() && rule.choices_s.contains(&rule.default_s));
        assert!(rule.choices_s.iter().all(|choice| (60..=rule.max_s).contains(choice)));
        for grant in &policy.grants {
            let kind = &config.directories[&grant.directory].kind;
            for technician in config.technicians.values().filter(|t| policy.eligible.admits(t)) {
                let name = match grant.mode {
                    Mode::Dedicated => kind.dedicated_account(&technician.id),
                    _ => technician.own_account(&grant.directory).to_owned(),
                };
                let fault = match kind {
                    DirectoryKind::ActiveDirectory(_) => {
                        directory::active_directory::account_name_fault(&name)
                    }
                    DirectoryKind::Local(machine) => {
                        directory::local::account_name_fault(machine.system, &name)
                    }
                    DirectoryKind::Entra(_) => directory::entra::account_name_fault(&name),
                };
                assert!(grant.mode == Mode::Burner || fault.is_none(), "{name}");
            }
        }
    }
}

/// Pieces from which text that is nearly a configuration is made.
fn piece() -> impl Strategy<Value = String> {
    prop_oneof![
        4 => prop::sample::select(BASE.lines().collect::<Vec<_>>()).prop_map(str::to_owned),
        1 => prop::sample::select(vec!["= ", "[", "]]", "\"", "{ ", "}", "''' ", "\\", "0x", "1979-05-27", "true", "nan", "id = 1", "é", "\u{202e}"]).prop_map(str::to_owned),
        1 => "[a-z_]{1,8} = \"[ -~]{0,12}\"",
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    #[test]
    fn no_text_makes_it_panic(text in any::<String>()) {
        let _ = read(&text);
    }

    #[test]
    fn text_near_a_configuration_is_read_or_refused_with_lines_that_exist(pieces in prop::collection::vec(piece(), 0..40)) {
        let text = pieces.join("\n");
        match read(&text) {
            Ok(config) => holds_what_is_promised(&config),
            Err(faults) => {
                prop_assert!(!faults.0.is_empty());
                let lines = text.split('\n').count();
                prop_assert!(faults.0.iter().all(|fault| fault.line <= lines && !fault.text.contains('\n')), "{}", faults);
            }
        }
    }

    #[test]
    fn one_line_left_out_or_one_value_changed_is_read_or_refused(
        drop in prop::option::of(0usize..44),
        change in prop::option::of((0usize..44, "[ -~]{0,16}")),
    ) {
        let mut lines: Vec<String> = BASE.lines().map(str::to_owned).collect();
        if let Some((at, by)) = change
            && let Some(line) = lines.get_mut(at)
            && let Some((key, _)) = line.clone().split_once('=')
        {
            *line = format!("{key}= \"{by}\"");
        }
        if let Some(at) = drop.filter(|at| *at < lines.len()) {
            lines.remove(at);
        }
        match read(&lines.join("\n")) {
            Ok(config) => holds_what_is_promised(&config),
            Err(faults) => prop_assert!(!faults.0.is_empty()),
        }
    }

    #[test]
    fn a_secret_is_never_repeated_wherever_it_is_broken(cut in 0usize..30, junk in "[\\[\\]{}\"'=\\\\\n #]{0,3}") {
        let whole = "password = \"hunter2hunter2\"";
        let (head, tail) = whole.split_at(cut.min(13));
        let text = with("password = { file = \"/etc/acme.secret\" }", &format!("{head}{junk}{tail}"));
        if let Err(faults) = read(&text) {
            prop_assert!(!faults.to_string().contains("hunter2hunter2"), "{}", faults);
        }
    }
}
