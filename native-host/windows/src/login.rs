//! A user's login name, as the configuration has it.

/// The name alone for an account of the machine itself, else with its domain before it: the same name in two domains is two people.
/// In lower case, since Windows does not tell cases apart.
#[must_use]
pub fn login(domain: &str, name: &str, machine: &str) -> String {
    let (domain, name) = (domain.to_lowercase(), name.to_lowercase());
    if domain == machine.to_lowercase() { name } else { format!("{domain}\\{name}") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_name_in_two_domains_is_two_logins() {
        assert_eq!(login("FILES1", "Alice", "files1"), "alice");
        assert_eq!(login("CORP", "Alice", "FILES1"), "corp\\alice");
        assert_eq!(login("NT AUTHORITY", "SYSTEM", "FILES1"), "nt authority\\system");
        assert_eq!(
            login("", "alice", "FILES1"),
            "\\alice",
            "a name without a domain is nobody's of the machine"
        );
    }
}
