//! The configuration file. What is accepted holds together (every name exists, every duration is within its policy's bounds, no
//! rights are empty, no secret stands in it), a comment changes nothing, and every fault names a line that is there.

use ticketgate_access::config::{DirectoryKind, Machine, read};
use ticketgate_access::local::LocalRight;
use ticketgate_protocol::text;

pub(crate) fn run(data: &[u8]) {
    let Ok(file) = std::str::from_utf8(data) else { return };
    let lines = file.split('\n').count();
    let config = match read(file) {
        Ok(config) => config,
        Err(faults) => {
            assert!(!faults.0.is_empty(), "refused without a reason");
            for fault in &faults.0 {
                assert!(fault.line <= lines, "{fault}: there are {lines} lines");
                assert!(
                    !fault.text.is_empty() && !fault.text.chars().any(char::is_control),
                    "{:?}",
                    fault.text
                );
            }
            return;
        }
    };
    for fault in &config.warnings {
        assert!(fault.line <= lines && !fault.text.chars().any(text::is_forbidden), "{fault:?}");
    }
    for (id, directory) in &config.directories {
        assert!(*id == directory.id && config.customers.contains_key(&directory.customer));
        match &directory.kind {
            DirectoryKind::ActiveDirectory(active) => {
                assert!(
                    !active.servers.is_empty() && !active.account_unit.is_empty() && active.timeout_s > 0
                );
                let encrypted = |url: &String| {
                    let url = url.to_ascii_lowercase();
                    url.starts_with("ldaps://") || url.starts_with("ldap://")
                };
                assert!(active.servers.iter().all(encrypted), "{:?}", active.servers);
            }
            DirectoryKind::Entra(tenant) => {
                let guarded = |url: &str| url.starts_with("https://") || url.starts_with("http://");
                assert!(guarded(&tenant.login_url) && guarded(&tenant.graph_url), "{tenant:?}");
                assert!(!tenant.account_domain.is_empty() && tenant.timeout_s > 0);
            }
            DirectoryKind::Local(machine) => {
                assert!(machine.account_name.starts_with("jit-") && machine.timeout_s > 0);
                if let Machine::Ssh(ssh) = &machine.machine {
                    assert!(
                        !ssh.host.starts_with('-') && !ssh.user.starts_with('-') && ssh.port > 0,
                        "{ssh:?}"
                    );
                }
            }
        }
        for technician in config.technicians.values() {
            let _ = directory.kind.dedicated_account(&technician.id);
            let keys = directory.kind.personal_rights(technician);
            assert!(keys.iter().all(|key| key.0.parse::<LocalRight>().is_ok()), "{keys:?}");
        }
    }
    for (id, policy) in &config.policies {
        assert!(*id == policy.id && config.customer_of(policy).is_some() && !policy.grants.is_empty());
        let bounds = &policy.duration;
        assert!(60 <= bounds.default_s && bounds.default_s <= bounds.max_s && bounds.max_s <= 86_400);
        assert!(
            bounds.choices_s.is_sorted()
                && bounds.choices_s.iter().all(|choice| (1..=bounds.max_s).contains(choice))
        );
    }
    for customer in config.customers.values() {
        assert!(config.customers_named(&customer.name).len() <= 1, "one name means two customers");
    }
    assert!(config.broker.administrators.iter().all(|id| config.technicians.contains_key(id)));
    let logins: std::collections::BTreeSet<_> = config.technicians.values().map(|t| &t.login).collect();
    assert_eq!(logins.len(), config.technicians.len(), "one login is two technicians");
    assert_eq!(read(&format!("{file}\n# a remark")).as_ref(), Ok(&config), "a comment changed something");
}
