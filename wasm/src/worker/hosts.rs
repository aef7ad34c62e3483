//! On which sites the content scripts run: those of the manifest, and those that the person allowed.

use ticketgate_recognise::letters::split_at_last;

/// The manifest's own sites: every vendor's cloud that a rule names (tests compare them with `manifest.json` and the rules).
pub(super) const BUILT_IN: [&str; 48] = [
    "https://app.atera.com/*",
    "https://app.au.intercom.com/*",
    "https://app.eu.intercom.com/*",
    "https://app.gorelo.io/*",
    "https://app.intercom.com/*",
    "https://*.atlassian.net/*",
    "https://*.autotask.net/*",
    "https://*.connectwise.net/*",
    "https://desk.zoho.com.au/*",
    "https://desk.zoho.com.cn/*",
    "https://desk.zoho.com/*",
    "https://desk.zoho.eu/*",
    "https://desk.zoho.in/*",
    "https://desk.zoho.jp/*",
    "https://desk.zoho.sa/*",
    "https://desk.zohocloud.ca/*",
    "https://*.deskdirector.com/*",
    "https://*.freshdesk.com/*",
    "https://*.freshservice.com/*",
    "https://*.glpi-network.cloud/*",
    "https://*.haloitsm.com/*",
    "https://*.halopsa.com/*",
    "https://*.haloservicedesk.com/*",
    "https://*.kaseya.com/*",
    "https://*.kayako.com/*",
    "https://*.ladesk.com/*",
    "https://*.myconnectwise.com/*",
    "https://*.myconnectwise.net/*",
    "https://*.ninjarmm.com/*",
    "https://*.on.spiceworks.com/*",
    "https://psa.pulseway.com/*",
    "https://*.repairshopr.com/*",
    "https://*.rmmservice.com/*",
    "https://*.rmmservice.eu/*",
    "https://*.rmmservices.net/*",
    "https://sdpondemand.manageengine.cn/*",
    "https://sdpondemand.manageengine.com.au/*",
    "https://sdpondemand.manageengine.com/*",
    "https://sdpondemand.manageengine.eu/*",
    "https://sdpondemand.manageengine.in/*",
    "https://sdpondemand.manageengine.jp/*",
    "https://*.service-now.com/*",
    "https://*.superops.ai/*",
    "https://*.supportsystem.com/*",
    "https://*.syncromsp.com/*",
    "https://*.vorexlogin.com/*",
    "https://*.zammad.com/*",
    "https://*.zendesk.com/*",
];

/// The granted patterns for which the content scripts have to be registered.
#[must_use]
pub(super) fn to_register(granted: &[String]) -> Vec<String> {
    let mut all: Vec<String> = Vec::new();
    for pattern in granted {
        if !BUILT_IN.contains(&pattern.as_str())
            && let Err(at) = all.binary_search(pattern)
        {
            all.insert(at, pattern.clone());
        }
    }
    all
}

/// What stands before `://`, and what behind it.
fn scheme_of(url: &str) -> Option<(&str, &str)> {
    let (scheme, rest) = url.split_once(':')?;
    Some((scheme, rest.strip_prefix("//")?))
}

/// Scheme and host of a web page's address, without user, port and path.
fn parts(url: &str) -> Option<(&str, &str)> {
    let (scheme, rest) = scheme_of(url)?;
    if scheme != "https" && scheme != "http" {
        return None;
    }
    let authority = rest.split(['/', '?', '#']).next()?;
    let host = split_at_last(authority, b'@').map_or(authority, |(_, host)| host);
    let host = match split_at_last(host, b':') {
        Some((name, port)) if port.bytes().all(|b| b.is_ascii_digit()) => name,
        _ => host,
    };
    (!host.is_empty()).then_some((scheme, host))
}

/// The pattern that allows exactly the site of this address. Match patterns without a port hold for every port.
#[must_use]
pub(super) fn pattern_for(url: &str) -> Option<String> {
    parts(url).map(|(scheme, host)| format!("{scheme}://{host}/*"))
}

/// The site of an address, as people say it.
#[must_use]
pub(super) fn host_of(url: &str) -> Option<&str> {
    parts(url).map(|(_, host)| host)
}

/// Whether one of `granted` covers this address.
#[must_use]
pub(super) fn is_allowed(granted: &[String], url: &str) -> bool {
    let Some((scheme, host)) = parts(url) else { return false };
    granted.iter().any(|pattern| {
        if pattern == "<all_urls>" {
            return true;
        }
        let Some((wanted_scheme, rest)) = scheme_of(pattern) else { return false };
        let wanted = rest.split('/').next().unwrap_or_default();
        let wanted = wanted.split(':').next().unwrap_or_default();
        (wanted_scheme == "*" || wanted_scheme == scheme)
            && match wanted.strip_prefix("*.") {
                _ if wanted == "*" => true,
                Some(domain) => host == domain || host.strip_suffix(domain).is_some_and(|h| h.ends_with('.')),
                None => host == wanted,
            }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_manifest_has_the_same_sites() {
        let manifest: serde_json::Value =
            serde_json::from_str(include_str!("../../../manifest.json")).unwrap();
        let matches: Vec<&str> = manifest["content_scripts"]
            .as_array()
            .unwrap()
            .iter()
            .flat_map(|c| c["matches"].as_array().unwrap())
            .map(|m| m.as_str().unwrap())
            .collect();
        assert_eq!(matches, BUILT_IN);
        // Without these, open tabs of theirs get no scripts after an update. They add nothing to the browser's warning.
        assert_eq!(manifest["host_permissions"], manifest["content_scripts"][0]["matches"]);
    }

    #[test]
    fn every_host_that_a_rule_names_is_among_them_and_no_other() {
        // A match pattern knows `*` only as whole labels in front, so one for `ww#.autotask.net` covers a little more.
        let example = |glob: &str| format!("https://{}/", glob.replace('*', "x").replace('#', "1"));
        let named: Vec<(&str, String)> = ticketgate_recognise::BUILT_IN
            .iter()
            .flat_map(|rule| rule.hosts.iter().map(|host| (rule.system, example(host))))
            .collect();
        for (system, url) in &named {
            let known = BUILT_IN.map(str::to_owned);
            assert!(is_allowed(&known, url), "{system}: {url} is missing in manifest.json and here");
        }
        for pattern in BUILT_IN {
            let used = named.iter().any(|(_, url)| is_allowed(&[pattern.to_owned()], url));
            assert!(used, "{pattern}: no rule names it");
        }
    }

    #[test]
    fn a_pattern_covers_its_site_and_no_other() {
        let granted = vec!["https://*.halopsa.com/*".to_owned(), "http://127.0.0.1/*".to_owned()];
        for (url, expected) in [
            ("https://acme.halopsa.com/tickets?id=1", true),
            ("https://halopsa.com/", true),
            ("https://evilhalopsa.com/", false),
            ("http://acme.halopsa.com/", false),
            ("https://acme.halopsa.com.evil.example/", false),
            ("http://127.0.0.1:8080/Ticket", true),
            ("https://x@evil.example/", false),
            ("https://acme.halopsa.com@evil.example/", false),
            ("chrome://extensions/", false),
        ] {
            assert_eq!(is_allowed(&granted, url), expected, "{url}");
        }
    }

    #[test]
    fn only_the_one_site_is_asked_for() {
        assert_eq!(pattern_for("https://desk.example:8443/t?id=1#x"), Some("https://desk.example/*".into()));
        assert_eq!(pattern_for("http://localhost:3000/"), Some("http://localhost/*".into()));
        assert_eq!(pattern_for("chrome://extensions/"), None);
        assert_eq!(pattern_for("file:///etc/passwd"), None);
    }
}
