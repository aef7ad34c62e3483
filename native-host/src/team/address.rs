//! One address of a broker, as people write it: `https://broker.example`, with a port where it is not 443.

use std::str::FromStr;

use hyper::Uri;

/// The port of an address that names none.
const PORT: u16 = 443;

/// Where one of the team's brokers, or what stands before them, answers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Address {
    host: String,
    port: u16,
}

/// What is wrong with an address. Says nothing of what stands there.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum BadAddress {
    /// It is none.
    #[error("is no address; write https://HOST or https://HOST:PORT")]
    NoAddress,
    /// It is not for HTTPS.
    #[error("does not begin with https://, and nothing goes to a broker unencrypted")]
    NotHttps,
    /// It holds a name or a password.
    #[error("holds a user's name or a password; people sign in otherwise (ticketgate sign-in)")]
    Login,
    /// It goes on behind the port.
    #[error("goes on behind the host; write https://HOST or https://HOST:PORT and nothing else")]
    Path,
}

impl Address {
    /// The host, as its certificate has to name it; an IPv6 address without brackets.
    #[must_use]
    pub fn host(&self) -> &str {
        &self.host
    }

    /// The port.
    #[must_use]
    pub const fn port(&self) -> u16 {
        self.port
    }

    /// Host and port as requests name them: without the port that is meant anyway.
    #[must_use]
    pub fn authority(&self) -> String {
        let host = if self.host.contains(':') { format!("[{}]", self.host) } else { self.host.clone() };
        if self.port == PORT { host } else { format!("{host}:{}", self.port) }
    }
}

impl std::fmt::Display for Address {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "https://{}", self.authority())
    }
}

impl FromStr for Address {
    type Err = BadAddress;

    fn from_str(text: &str) -> Result<Self, BadAddress> {
        let text = text.trim();
        let Some((scheme, rest)) = text.split_once("://") else { return Err(BadAddress::NoAddress) };
        if !scheme.eq_ignore_ascii_case("https") {
            return Err(BadAddress::NotHttps);
        }
        // `Uri` drops what stands behind `#`, and a host may be of any letters that it takes.
        let plain = |c: char| c.is_ascii_graphic() && !matches!(c, '\\' | '"' | '<' | '>');
        if rest.is_empty() || !rest.chars().all(plain) {
            return Err(BadAddress::NoAddress);
        }
        let uri: Uri = text.parse().map_err(|_| BadAddress::NoAddress)?;
        let authority = uri.authority().ok_or(BadAddress::NoAddress)?;
        if authority.as_str().contains('@') {
            return Err(BadAddress::Login);
        }
        if uri.path() != "/" || uri.query().is_some() || text.contains('#') {
            return Err(BadAddress::Path);
        }
        let port =
            match authority.as_str().strip_prefix(authority.host()).and_then(|rest| rest.strip_prefix(':')) {
                Some(port) => port.parse().ok().filter(|port| *port != 0).ok_or(BadAddress::NoAddress)?,
                None => PORT,
            };
        let host = authority.host().trim_start_matches('[').trim_end_matches(']').to_ascii_lowercase();
        // What no certificate can name is no host; that is found here and not at the first connection.
        if rustls::pki_types::ServerName::try_from(host.as_str()).is_err() {
            return Err(BadAddress::NoAddress);
        }
        Ok(Self { host, port })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_read_and_said_in_one_form() {
        for (text, authority) in [
            ("https://broker.example", "broker.example"),
            ("https://Broker.Example/", "broker.example"),
            ("HTTPS://broker.example:443", "broker.example"),
            (" https://broker.example:8443 ", "broker.example:8443"),
            ("https://192.0.2.7:8443", "192.0.2.7:8443"),
            ("https://[2001:db8::7]:8443/", "[2001:db8::7]:8443"),
        ] {
            let address: Address = text.parse().unwrap_or_else(|why| panic!("{text}: {why}"));
            assert_eq!(address.authority(), authority, "{text}");
            assert_eq!(address.to_string(), format!("https://{authority}"), "{text}");
        }
        assert_eq!("https://[2001:db8::7]".parse::<Address>().unwrap().host(), "2001:db8::7");
    }

    #[test]
    fn what_is_no_address_of_a_broker_is_refused_for_its_reason() {
        for (text, why) in [
            ("", BadAddress::NoAddress),
            ("broker.example", BadAddress::NoAddress),
            ("https://", BadAddress::NoAddress),
            ("https:///", BadAddress::NoAddress),
            ("https://broker example", BadAddress::NoAddress),
            ("https://broker.example:", BadAddress::NoAddress),
            ("https://broker.example:0", BadAddress::NoAddress),
            ("https://broker.example:99999", BadAddress::NoAddress),
            ("https://bro_ker..example", BadAddress::NoAddress),
            ("http://broker.example", BadAddress::NotHttps),
            ("unix:///run/broker.sock", BadAddress::NotHttps),
            ("https://me:secret@broker.example", BadAddress::Login),
            ("https://broker.example/v1", BadAddress::Path),
            ("https://broker.example/?a=1", BadAddress::Path),
            ("https://broker.example#x", BadAddress::Path),
        ] {
            assert_eq!(text.parse::<Address>(), Err(why), "{text}");
            assert!(!why.to_string().contains("broker.example"));
        }
    }
}
