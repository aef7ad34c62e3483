//! A certificate authority of a test's own, for servers that are no directory.

use crate::Result;
use crate::world::{Folder, run};
use std::net::Ipv4Addr;
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;
use std::process::Command;
use std::sync::atomic::{AtomicU32, Ordering};

/// An authority. Its folder, and all certificates in it, go when it is dropped.
#[derive(Debug)]
pub struct Authority {
    folder: Folder,
    issued: AtomicU32,
}

/// What a server shows, in files (PEM).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Issued {
    /// The certificate.
    pub certificate: PathBuf,
    /// Its key, for its owner alone.
    pub key: PathBuf,
}

impl Authority {
    /// Makes one.
    ///
    /// # Errors
    /// `openssl` is not there.
    pub fn new() -> Result<Self> {
        // Servers that run as somebody else read their certificates there.
        let folder = Folder::for_everyone("authority")?;
        let mut make = openssl("req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 30");
        make.args(["-subj", "/CN=authority of a test", "-addext", "basicConstraints=critical,CA:TRUE"]);
        make.args(["-addext", "keyUsage=critical,keyCertSign", "-keyout"]).arg(folder.join("ca.key"));
        run(make.arg("-out").arg(folder.join("ca.pem")))?;
        Ok(Self { folder, issued: AtomicU32::new(0) })
    }

    /// Whom to trust (PEM).
    pub fn file(&self) -> PathBuf {
        self.folder.join("ca.pem")
    }

    /// A certificate for a server of this name at this address.
    ///
    /// # Errors
    /// `openssl` refuses.
    pub fn issue(&self, name: &str, address: Ipv4Addr) -> Result<Issued> {
        let serial = self.issued.fetch_add(1, Ordering::Relaxed) + 1;
        let file = |end: &str| self.folder.join(format!("{name}-{serial}.{end}"));
        let issued = Issued { certificate: file("pem"), key: file("key") };
        let wish = format!(
            "basicConstraints=CA:FALSE\nextendedKeyUsage=serverAuth\nkeyUsage=digitalSignature\n\
             subjectAltName=DNS:{name},IP:{address}\n"
        );
        std::fs::write(file("wish"), wish)?;
        let mut ask = openssl("req -new -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes");
        ask.args(["-subj", &format!("/CN={name}"), "-keyout"]).arg(&issued.key);
        run(ask.arg("-out").arg(file("request")))?;
        let mut sign = openssl("x509 -req -days 30");
        sign.args(["-set_serial", &serial.to_string(), "-in"]).arg(file("request"));
        sign.arg("-CA").arg(self.file()).arg("-CAkey").arg(self.folder.join("ca.key"));
        run(sign.arg("-extfile").arg(file("wish")).arg("-out").arg(&issued.certificate))?;
        std::fs::set_permissions(&issued.key, std::fs::Permissions::from_mode(0o600))?;
        Ok(issued)
    }
}

fn openssl(arguments: &str) -> Command {
    let mut command = Command::new("openssl");
    command.args(arguments.split(' '));
    command
}
