//! Domains at which anybody can have an e-mail address: they tell nothing of a customer.

/// Providers with one domain each, in lower case.
const DOMAINS: [&str; 60] = [
    "126.com",
    "163.com",
    "aol.com",
    "arcor.de",
    "att.net",
    "bellsouth.net",
    "bigpond.com",
    "bluewin.ch",
    "btinternet.com",
    "charter.net",
    "comcast.net",
    "cox.net",
    "earthlink.net",
    "fastmail.com",
    "free.fr",
    "freenet.de",
    "gmail.com",
    "googlemail.com",
    "hey.com",
    "hushmail.com",
    "icloud.com",
    "inbox.com",
    "kabelmail.de",
    "laposte.net",
    "libero.it",
    "mac.com",
    "mail.com",
    "mail.de",
    "mail.ru",
    "mailbox.org",
    "me.com",
    "msn.com",
    "naver.com",
    "o2online.de",
    "orange.fr",
    "pm.me",
    "posteo.de",
    "proton.me",
    "protonmail.com",
    "qq.com",
    "rediffmail.com",
    "rocketmail.com",
    "sbcglobal.net",
    "seznam.cz",
    "sfr.fr",
    "sky.com",
    "t-online.de",
    "talktalk.net",
    "tuta.com",
    "tutanota.com",
    "verizon.net",
    "virgilio.it",
    "virginmedia.com",
    "vodafone.de",
    "wanadoo.fr",
    "web.de",
    "wp.pl",
    "xs4all.nl",
    "ymail.com",
    "zoho.com",
];
/// Providers with a domain in every country (`yahoo.co.uk`).
const EVERYWHERE: [&str; 6] = ["gmx", "hotmail", "live", "outlook", "yahoo", "yandex"];

/// Whether anybody can have an address at this domain, which is in lower case.
#[must_use]
pub fn is_anybodys(domain: &str) -> bool {
    let national = domain.split_once('.').is_some_and(|(name, country)| {
        EVERYWHERE.contains(&name) && (country.len() <= 3 || country.matches('.').count() == 1)
    });
    national || DOMAINS.contains(&domain)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn providers_for_everybody_are_known_and_companies_are_not_taken_for_them() {
        for domain in ["gmail.com", "yahoo.co.uk", "gmx.de", "outlook.com", "hotmail.fr", "web.de"] {
            assert!(is_anybodys(domain), "{domain}");
        }
        for domain in
            ["acme.example", "gmail.com.acme.example", "mail.acme.example", "yahoo.acme.co.uk", "webde.de"]
        {
            assert!(!is_anybodys(domain), "{domain}");
        }
        assert!(DOMAINS.is_sorted());
    }
}
