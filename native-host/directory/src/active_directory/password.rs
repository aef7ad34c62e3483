//! A password in the form in which Active Directory takes it.

use zeroize::Zeroizing;

use ticketgate_credentials::Secret;

/// The value of `unicodePwd`: in quotes, UTF-16, little-endian (MS-ADTS 3.1.1.3.1.5). It goes out over TLS only.
///
/// The buffer wipes itself; the LDAP crate's own copy of an outgoing message does not.
pub(crate) fn unicode_pwd(password: &Secret) -> Zeroizing<Vec<u8>> {
    // Twice the length and the quotes, so that no half-grown copy stays behind.
    let mut bytes = Zeroizing::new(Vec::with_capacity(password.expose().len() * 2 + 4));
    let quoted = std::iter::once('"').chain(password.expose().chars()).chain(std::iter::once('"'));
    let mut units = [0_u16; 2];
    for c in quoted {
        for unit in c.encode_utf16(&mut units) {
            bytes.extend_from_slice(&unit.to_le_bytes());
        }
    }
    bytes
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_quoted_and_little_endian() {
        assert_eq!(*unicode_pwd(&Secret::new("aä".into())), [b'"', 0, b'a', 0, 0xe4, 0, b'"', 0]);
    }
}
