//! The server certificates a directory may show: a good one, and each kind that a client has to refuse.

use crate::Result;
use crate::world::run;
use std::net::Ipv4Addr;
use std::path::Path;
use std::process::Command;

/// What a directory shows in the TLS handshake.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Certificate {
    /// Signed by the CA that [`super::SambaAd::ca`] names, for the right name and address.
    #[default]
    Trusted,
    /// As trusted, but it ran out years ago.
    Expired,
    /// Signed by a CA that nobody was told about.
    Foreign,
    /// As trusted, but for another server.
    WrongName,
}

impl Certificate {
    /// Puts `key.pem`, `cert.pem` and `issuer.pem` into `folder`.
    pub(super) fn issue(self, template: &Path, name: &str, address: Ipv4Addr, folder: &Path) -> Result<()> {
        let authority = match self {
            Self::Foreign => {
                foreign_authority(folder)?;
                folder
            }
            _ => template,
        };
        let names = match self {
            Self::WrongName => "DNS:elsewhere.test,IP:127.0.0.2".to_owned(),
            _ => format!("DNS:{name},IP:{address}"),
        };
        let wish = format!(
            "basicConstraints=CA:FALSE\nextendedKeyUsage=serverAuth\nkeyUsage=digitalSignature\nsubjectAltName={names}\n"
        );
        let file = |name: &str| folder.join(name);
        std::fs::write(file("wish"), wish)?;
        run(openssl("req -new -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes")
            .args(["-subj", &format!("/CN={name}"), "-keyout"])
            .arg(file("key.pem"))
            .arg("-out")
            .arg(file("request")))?;
        let mut sign = match self {
            // openssl only dates from now on, so its own clock is set back.
            Self::Expired => {
                let mut past = Command::new("faketime");
                past.args(["2020-01-01 00:00:00", "openssl"]);
                past
            }
            _ => Command::new("openssl"),
        };
        let days = if self == Self::Expired { "30" } else { "3650" };
        sign.args([
            "x509",
            "-req",
            "-days",
            days,
            "-set_serial",
            &format!("0x{:08x}", u32::from(address)),
            "-in",
        ]);
        sign.arg(file("request"))
            .arg("-CA")
            .arg(authority.join("ca.pem"))
            .arg("-CAkey")
            .arg(authority.join("ca.key"));
        run(sign.arg("-extfile").arg(file("wish")).arg("-out").arg(file("cert.pem")))?;
        std::fs::copy(authority.join("ca.pem"), file("issuer.pem"))?;
        private(&file("key.pem"))
    }
}

fn foreign_authority(folder: &Path) -> Result<()> {
    run(openssl(
        "req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 3650 -subj /CN=foreign",
    )
    .args(["-addext", "basicConstraints=critical,CA:TRUE", "-addext", "keyUsage=critical,keyCertSign"])
    .arg("-keyout")
    .arg(folder.join("ca.key"))
    .arg("-out")
    .arg(folder.join("ca.pem")))?;
    Ok(())
}

fn openssl(arguments: &str) -> Command {
    let mut command = Command::new("openssl");
    command.args(arguments.split(' '));
    command
}

/// Samba refuses a key that others can read.
fn private(key: &Path) -> Result<()> {
    use std::os::unix::fs::PermissionsExt;
    Ok(std::fs::set_permissions(key, std::fs::Permissions::from_mode(0o600))?)
}
