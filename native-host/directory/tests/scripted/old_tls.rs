//! A server that speaks no TLS of today gets no password.

use std::io::{BufRead, BufReader};
use std::process::{Child, Command, Stdio};

use ticketgate_directory::{ActiveDirectory, DirectoryError};

use super::config;
use super::server::Server;

/// OpenSSL's own server, held to one version.
struct OldServer {
    process: Child,
    url: String,
}

impl OldServer {
    fn start(certificate_of: &Server, version: &str) -> Self {
        let mut process = Command::new("openssl")
            .args(["s_server", "-accept", "127.0.0.1:0", "-cert", "ca.pem", "-key", "key.pem", version])
            // Without this Debian's OpenSSL itself refuses what is tested here.
            .args(["-cipher", "ALL:@SECLEVEL=0"])
            .current_dir(certificate_of.folder.path())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let mut lines = BufReader::new(process.stdout.take().unwrap()).lines();
        let address = lines
            .find_map(|line| line.unwrap().strip_prefix("ACCEPT ").map(str::to_owned))
            .expect("it says where it listens");
        // It goes on writing; a closed pipe would end it.
        std::thread::spawn(move || lines.for_each(drop));
        Self { process, url: format!("ldaps://{address}") }
    }
}

impl Drop for OldServer {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

async fn refusal_of(version: &str) -> DirectoryError {
    let server = Server::start();
    let old = OldServer::start(&server, version);
    let mut config = config(&server);
    config.servers = vec![old.url.clone()];
    let directory = ActiveDirectory::new(&config, std::collections::BTreeSet::new()).unwrap();
    directory.time().await.unwrap_err()
}

#[tokio::test]
async fn a_server_that_speaks_only_old_tls_is_refused_before_anything_is_sent() {
    for old in ["-tls1", "-tls1_1"] {
        let said = refusal_of(old).await.to_string();
        assert!(said.contains("TLS: ") && said.contains("rotocol"), "{old}: {said}");
    }
    // The same server in a version of today comes as far as LDAP, which it does not speak.
    for new in ["-tls1_2", "-tls1_3"] {
        let said = refusal_of(new).await.to_string();
        assert!(said.contains("bind") && !said.contains("TLS: "), "{new}: {said}");
    }
}
