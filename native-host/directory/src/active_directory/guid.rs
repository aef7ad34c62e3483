//! Identities: `objectGUID` between its bytes, its text and the form in which a server finds an entry by it.

/// `objectGUID` as 36 characters. The first three groups are little-endian (MS-DTYP 2.3.4.2).
pub(crate) fn text(bytes: &[u8]) -> Option<String> {
    let [a, b, c, d, e, f, g, h, rest @ ..] = bytes else { return None };
    let rest: &[u8; 8] = rest.try_into().ok()?;
    let (first, second) = (u32::from_le_bytes([*a, *b, *c, *d]), u16::from_le_bytes([*e, *f]));
    let third = u16::from_le_bytes([*g, *h]);
    let [i, j, tail @ ..] = rest;
    let tail: String = tail.iter().map(|byte| format!("{byte:02x}")).collect();
    Some(format!("{first:08x}-{second:04x}-{third:04x}-{i:02x}{j:02x}-{tail}"))
}

/// The bytes of such a text; none when it is not an identity.
pub(crate) fn bytes(text: &str) -> Option<[u8; 16]> {
    let digits: String = text.split('-').collect();
    let number = u128::from_str_radix(&digits, 16).ok().filter(|_| name(text).is_some())?;
    let [a, b, c, d, e, f, g, h, rest @ ..] = number.to_be_bytes();
    let mut bytes = [0; 16];
    for (place, byte) in bytes.iter_mut().zip([d, c, b, a, f, e, h, g].into_iter().chain(rest)) {
        *place = byte;
    }
    Some(bytes)
}

/// `<GUID=…>`: a name under which a server finds the entry wherever it was moved and however it is called now
/// (MS-ADTS 3.1.1.3.1.2.4). None when the text is not an identity.
pub(crate) fn name(identity: &str) -> Option<String> {
    let groups: Vec<_> = identity.split('-').map(str::len).collect();
    let fits = groups == [8, 4, 4, 4, 12] && identity.chars().all(|c| c == '-' || c.is_ascii_hexdigit());
    fits.then(|| format!("<GUID={identity}>"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_text_is_the_one_that_windows_shows() {
        let bytes: Vec<u8> = (0x00..0x10).collect();
        let shown = text(&bytes).unwrap();
        assert_eq!(shown, "03020100-0504-0706-0809-0a0b0c0d0e0f");
        assert_eq!(name(&shown).unwrap(), format!("<GUID={shown}>"));
        assert_eq!(super::bytes(&shown).unwrap().as_slice(), bytes);
    }

    #[test]
    fn what_is_no_identity_makes_no_name() {
        assert_eq!(text(&[0; 15]), None);
        assert_eq!(text(&[0; 17]), None);
        for bad in [
            "",
            "03020100",
            "03020100-0504-0706-0809-0a0b0c0d0e0>",
            "<GUID=03020100-0504-0706-0809-0a0b0c0d0e0f>",
        ] {
            assert_eq!(name(bad), None, "{bad}");
            assert_eq!(bytes(bad), None, "{bad}");
        }
    }
}
