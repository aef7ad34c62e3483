//! Looking for a secret where it must not be: in bytes, files and folders, in every form in which it could have been written.
//! What is in a process's memory is [`crate::processes`]' to read.

use std::fs;
use std::io::BufRead;
use std::path::Path;

use base64::Engine;
use base64::engine::general_purpose::STANDARD_NO_PAD;

use crate::Result;

/// One form of a secret.
#[derive(Clone)]
pub struct Needle {
    /// Which secret, in which form. Never the secret.
    pub name: String,
    /// The bytes to look for.
    pub bytes: Vec<u8>,
}

impl std::fmt::Debug for Needle {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.name)
    }
}

impl Needle {
    /// Whether it is in these bytes.
    ///
    /// Jumps from one occurrence of its rarest byte to the next by the C library's search: hundreds of megabytes of a browser's
    /// memory are looked through in a build without optimisation.
    pub fn is_in(&self, bytes: &[u8]) -> bool {
        let rarest = self.bytes.iter().enumerate().min_by_key(|(_, byte)| frequency(**byte));
        let Some((offset, anchor)) = rarest else { return false };
        let mut rest = bytes;
        loop {
            let Ok(skipped) = rest.skip_until(*anchor) else { return false };
            let at = bytes.len() - rest.len();
            // The last stretch ends without the anchor.
            if skipped == 0 || bytes.get(at - 1) != Some(anchor) {
                return false;
            }
            let begin = (at - 1).checked_sub(offset);
            if begin.and_then(|begin| bytes.get(begin..)).is_some_and(|from| from.starts_with(&self.bytes)) {
                return true;
            }
        }
    }
}

/// How common a byte is in memory and files, roughly.
fn frequency(byte: u8) -> u8 {
    match byte {
        b'A'..=b'Z' => 1,
        b'@' | b'%' | b'+' | b'=' | b'_' | b'-' | b'.' => 2,
        b'0'..=b'9' => 3,
        b'a'..=b'z' => 4,
        _ => 5,
    }
}

/// Every form of a secret: as text, as Windows keeps it (UTF-16, which is also how a directory takes it), both in Base64 at every
/// alignment, percent-encoded, and in hexadecimal.
pub fn forms(name: &str, secret: &str) -> Vec<Needle> {
    let wide: Vec<u8> = secret.encode_utf16().flat_map(u16::to_le_bytes).collect();
    let mut forms = vec![
        (String::from("text"), secret.as_bytes().to_vec()),
        (String::from("percent-encoded"), percent_encoded(secret).into_bytes()),
        (String::from("UTF-16"), wide.clone()),
        (
            String::from("hexadecimal"),
            secret.bytes().flat_map(|byte| format!("{byte:02x}").into_bytes()).collect(),
        ),
    ];
    for (kind, bytes) in [("text", secret.as_bytes()), ("UTF-16", &wide)] {
        for before in 0..3 {
            forms.push((format!("Base64 of {kind}, {before} before"), in_base64(bytes, before)));
        }
    }
    let mut needles: Vec<Needle> =
        forms.into_iter().map(|(form, bytes)| Needle { name: format!("{name} as {form}"), bytes }).collect();
    // A password without anything to encode is the same percent-encoded, which stands next to it.
    needles.dedup_by(|a, b| a.bytes == b.bytes);
    needles
}

/// What stands for sure in the Base64 of something in which `before` bytes (modulo three) stand in front of these.
fn in_base64(bytes: &[u8], before: usize) -> Vec<u8> {
    let text = STANDARD_NO_PAD.encode([&vec![0; before], bytes].concat());
    // The letters that other bytes have a part in, at both ends.
    let first = (before * 8).div_ceil(6);
    let last = (before + bytes.len()) * 8 / 6;
    text.get(first..last).unwrap_or_default().into()
}

fn percent_encoded(text: &str) -> String {
    text.bytes()
        .map(|byte| match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' => {
                char::from(byte).to_string()
            }
            other => format!("%{other:02X}"),
        })
        .collect()
}

/// The files below a folder in which one of them stands, with its name.
///
/// # Errors
/// The folder cannot be read.
pub fn in_files(folder: &Path, needles: &[Needle]) -> Result<Vec<String>> {
    let mut found = Vec::new();
    let mut open = vec![folder.to_path_buf()];
    while let Some(folder) = open.pop() {
        let Ok(entries) = fs::read_dir(&folder) else { continue };
        for entry in entries.flatten() {
            let Ok(kind) = entry.file_type() else { continue };
            if kind.is_dir() {
                open.push(entry.path());
            } else if kind.is_file()
                && let Ok(bytes) = fs::read(entry.path())
            {
                let hits = needles.iter().filter(|needle| needle.is_in(&bytes));
                found.extend(hits.map(|needle| format!("{} in {}", needle.name, entry.path().display())));
            }
        }
    }
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_secret_with_nothing_to_encode_is_found_once() {
        let found = |secret: &str| {
            let text = format!("x{secret}x");
            forms("it", secret).iter().filter(|needle| needle.is_in(text.as_bytes())).count()
        };
        assert_eq!((found("Kx7-q.Zr_9mPwT~h4Vb"), found("Kx7-q.%2=@Zr_9mPwT+h4Vb")), (1, 1));
    }

    #[test]
    fn a_secret_is_found_in_every_form_wherever_it_stands() {
        let secret = "Kx7-q.%2=@Zr_9mPwT+h4Vb";
        let needles = forms("it", secret);
        let wide: Vec<u8> = format!("\"{secret}\"").encode_utf16().flat_map(u16::to_le_bytes).collect();
        for before in 0..7 {
            let pad = "x".repeat(before);
            let texts: [Vec<u8>; 6] = [
                format!("{pad}{secret}{pad}").into_bytes(),
                [pad.as_bytes(), &wide].concat(),
                STANDARD_NO_PAD.encode(format!("{pad}{secret}{pad}")).into_bytes(),
                STANDARD_NO_PAD.encode([pad.as_bytes(), &wide].concat()).into_bytes(),
                percent_encoded(&format!("{pad}{secret}")).into_bytes(),
                secret.bytes().map(|byte| format!("{byte:02x}")).collect::<String>().into_bytes(),
            ];
            for (n, text) in texts.iter().enumerate() {
                assert!(needles.iter().any(|needle| needle.is_in(text)), "form {n} after {before} bytes");
            }
        }
        assert!(!needles.iter().any(|needle| needle.is_in(secret.to_lowercase().as_bytes())));
        assert!(!format!("{needles:?}").contains("Kx7"), "a failing test must not tell the secret");
    }
}
