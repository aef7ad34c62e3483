//! A small LDAP server over TLS that knows one account, one group and time-limited memberships, which Samba does not have. It
//! can also fall silent or hang up at a write. It plays what MS-ADTS describes; it is no recording of a Windows server. Its clock stands
//! still, so that an exchange is the same each time, and it writes down what is said.

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::process::Command;
use std::sync::{Arc, Mutex};

use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::{ServerConfig, ServerConnection, StreamOwned};
use tempfile::TempDir;

use super::transcript;

pub const GROUP: &str = "CN=Tier1,OU=Rights,DC=acme,DC=test";
pub const ACCOUNT: &str = "CN=jit-tech1,OU=JIT,DC=acme,DC=test";
pub const LINK_TTL: &str = "1.2.840.113556.1.4.2309";
/// Its clock.
const NOW: &str = "20261123090000.0Z";
const PAGED: &str = "1.2.840.113556.1.4.319";

#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Writes {
    #[default]
    Answered,
    /// Applied, and never answered.
    Silent,
    /// Applied, and the connection cut.
    Cut,
    /// Applied, and answered by something that is no result.
    Garbled,
    /// Applied, and answered by values in values, deeper than any stack.
    Nested,
    /// Applied, and answered by the beginning of more than there is memory.
    Endless,
    /// Applied, and answered by a part that is longer than the whole in which it stands.
    Overlong,
}

/// How it shows a link that ends. MS-ADTS 3.1.1.9.2 has the first; Windows's own tools print the second.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Shown {
    /// `<TTL=seconds,DN>`
    #[default]
    Whole,
    /// `<TTL=seconds>,DN`
    Number,
}

/// How it answers what is asked about the account.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Reads {
    #[default]
    Well,
    /// With an entry that is none.
    Malformed,
    /// With a referral and an intermediate message before the entry.
    Accompanied,
    /// The second part of the memberships comes again and again.
    Stuck,
    /// The account is deleted before the second part.
    Vanishing,
}

#[derive(Debug, Default)]
pub struct State {
    pub reads: Reads,
    pub writes: Writes,
    /// The result code of a search for the account.
    pub search_result: u8,
    /// The end of the account's membership in seconds, once it is a member.
    pub member: Option<u32>,
    /// Values written to `member`, `+` added and `-` taken away, one modify each.
    pub modifies: Vec<Vec<String>>,
    /// How many more binds it refuses, and what it says of them.
    pub refused_binds: (u32, &'static str),
    /// The domain that it is a controller of, where that is not `DC=acme,DC=test`.
    pub domain: Option<&'static str>,
    pub shown: Shown,
    /// Its long answers never end.
    pub endless: bool,
    /// Everything that was asked and answered.
    pub transcript: Vec<String>,
    /// Connections that it took.
    pub connections: u32,
    /// OIDs of controls that came with writes.
    pub controls: Vec<String>,
}

pub struct Server {
    pub url: String,
    pub folder: TempDir,
    pub state: Arc<Mutex<State>>,
}

impl Server {
    pub fn start() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let made = Command::new("openssl")
            .args(
                "req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 2 -subj /CN=scripted"
                    .split(' '),
            )
            .args(["-addext", "subjectAltName=IP:127.0.0.1", "-addext", "basicConstraints=critical,CA:FALSE"])
            .args(["-keyout", "key.pem", "-out", "ca.pem"])
            .current_dir(folder.path())
            .output()
            .unwrap();
        assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
        let chain = vec![CertificateDer::from_pem_file(folder.path().join("ca.pem")).unwrap()];
        let key = PrivateKeyDer::from_pem_file(folder.path().join("key.pem")).unwrap();
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let config =
            ServerConfig::builder_with_provider(provider).with_safe_default_protocol_versions().unwrap();
        let config = Arc::new(config.with_no_client_auth().with_single_cert(chain, key).unwrap());
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("ldaps://{}", listener.local_addr().unwrap());
        let state = Arc::new(Mutex::new(State::default()));
        let shared = state.clone();
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let (config, state) = (config.clone(), shared.clone());
                state.lock().unwrap().connections += 1;
                std::thread::spawn(move || serve(stream, config, &state));
            }
        });
        Self { url, folder, state }
    }
}

fn serve(stream: TcpStream, config: Arc<ServerConfig>, state: &Mutex<State>) -> Option<()> {
    // Otherwise each answer of several writes waits 40 ms for an acknowledgement.
    stream.set_nodelay(true).ok()?;
    let mut stream = StreamOwned::new(ServerConnection::new(config).ok()?, stream);
    loop {
        let message = parts(&read_value(&mut stream)?);
        let (id, (kind, body)) = (message.first()?.1.clone(), message.get(1)?.clone());
        let controls = message.get(2).map(|(_, controls)| controls_in(controls)).unwrap_or_default();
        let mut state = state.lock().unwrap();
        let named: Vec<_> = controls.iter().map(|c| (c.oid.clone(), c.critical)).collect();
        state.transcript.push(transcript::request(kind, &body, &named));
        let answers = match kind {
            0x60 => match &mut state.refused_binds {
                (0, _) => vec![result(0x61, 0)],
                (left, said) => {
                    *left -= 1;
                    vec![result_saying(0x61, 49, said)]
                }
            },
            0x63 => search(&parts(&body), &controls, &state),
            0x66 => {
                state.controls.extend(controls.iter().map(|control| control.oid.clone()));
                let code = modify(&parts(&body), &mut state);
                match state.writes {
                    Writes::Answered => vec![result(0x67, code)],
                    Writes::Silent => vec![],
                    Writes::Cut => return None,
                    Writes::Nested | Writes::Endless | Writes::Overlong => {
                        stream.write_all(&unreadable(state.writes)).ok()?;
                        stream.flush().ok()?;
                        vec![]
                    }
                    Writes::Garbled => vec![tlv(0x67, &tlv(4, b"neither code nor text"))],
                }
            }
            _ => return None,
        };
        state.transcript.extend(answers.iter().map(|answer| transcript::answer(answer)));
        drop(state);
        for answer in answers {
            stream.write_all(&tlv(0x30, &[tlv(2, &id), answer].concat())).ok()?;
        }
        stream.flush().ok()?;
    }
}

/// What no client should try to read to its end.
fn unreadable(kind: Writes) -> Vec<u8> {
    match kind {
        Writes::Nested => {
            let levels = 200_000_usize;
            let inner = |level: usize| (levels - level) * 6;
            let head =
                |level| [&[0x30, 0x84][..], &u32::try_from(inner(level)).unwrap().to_be_bytes()].concat();
            (1..=levels).flat_map(head).collect()
        }
        Writes::Endless => [&[0x30, 0x88, 0, 0, 1, 0, 0, 0, 0, 0, 2, 1, 3][..], &[0; 1000]].concat(),
        _ => vec![0x30, 5, 2, 1, 3, 4, 100],
    }
}

struct Control {
    oid: String,
    critical: bool,
    value: Vec<u8>,
}

fn controls_in(controls: &[u8]) -> Vec<Control> {
    let read = |control: &(u8, Vec<u8>)| {
        let control = parts(&control.1);
        let of_kind = |kind| control.iter().find(|part| part.0 == kind).map(|part| part.1.clone());
        Control {
            oid: text(&control[0].1),
            critical: of_kind(1).is_some_and(|value| value != [0]),
            value: control
                .get(1)
                .and_then(|_| control.iter().skip(1).find(|part| part.0 == 4))
                .map(|part| part.1.clone())
                .unwrap_or_default(),
        }
    };
    parts(controls).iter().map(read).collect()
}

/// The unit's accounts, one in a page (RFC 2696).
fn page(control: &Control, endless: bool) -> Vec<Vec<u8>> {
    let asked = parts(&parts(&control.value)[0].1);
    let (name, next) =
        if endless || asked[1].1.is_empty() { ("jit-tech1", "more") } else { ("jit-tech2", "") };
    let cookie = tlv(0x30, &[tlv(2, &[0]), tlv(4, next.as_bytes())].concat());
    let control = tlv(0x30, &[tlv(4, PAGED.as_bytes()), tlv(4, &cookie)].concat());
    let done = [result(0x65, 0), tlv(0xa0, &control)].concat();
    vec![account(name, &[]), done]
}

fn account(name: &str, groups: &[&str]) -> Vec<u8> {
    let mut attributes: Vec<(&str, &[&str])> = vec![
        ("objectGUID", &["0123456789abcdef"]),
        ("userAccountControl", &["514"]),
        ("accountExpires", &["1"]),
        ("primaryGroupID", &["513"]),
        ("description", &["ticketgate token=token owner=tech1 gen=0 until=-"]),
    ];
    let named = [name];
    attributes.push(("sAMAccountName", &named));
    if !groups.is_empty() {
        attributes.push(("memberOf;range=0-1", groups));
    }
    entry(&format!("CN={name},OU=JIT,DC=acme,DC=test"), &attributes)
}

fn search(body: &[(u8, Vec<u8>)], controls: &[Control], state: &State) -> Vec<Vec<u8>> {
    if let Some(paged) = controls.iter().find(|control| control.oid == PAGED) {
        return page(paged, state.endless);
    }
    let base = text(&body[0].1);
    let by_name = body[6].0 == 0xa3;
    let wanted: Vec<_> = parts(&body[7].1).iter().map(|(_, name)| text(name)).collect();
    let entry = match base.as_str() {
        "" => {
            let all: [(&str, &[&str]); 4] = [
                ("currentTime", &[NOW]),
                ("defaultNamingContext", &[state.domain.unwrap_or("DC=acme,DC=test")]),
                ("configurationNamingContext", &["CN=Configuration,DC=acme,DC=test"]),
                ("supportedControl", &[LINK_TTL]),
            ];
            let asked: Vec<_> =
                all.into_iter().filter(|(name, _)| wanted.iter().any(|w| w == name)).collect();
            entry("", &asked)
        }
        "CN=Partitions,CN=Configuration,DC=acme,DC=test" if by_name => {
            entry("CN=ACME", &[("nETBIOSName", &["ACME"])])
        }
        "CN=Partitions,CN=Configuration,DC=acme,DC=test" => {
            let feature = "CN=Privileged Access Management Feature,CN=Optional Features,CN=x,DC=acme,DC=test";
            entry(&base, &[("msDS-EnabledFeature", &[feature])])
        }
        GROUP if by_name && state.member.is_none() => return vec![result(0x65, 0)],
        GROUP => match state.member {
            Some(seconds) => {
                let ends_asked_for = controls.iter().any(|control| control.oid == LINK_TTL);
                let member = match state.shown {
                    _ if !ends_asked_for => ACCOUNT.to_owned(),
                    Shown::Whole => format!("<TTL={seconds},{ACCOUNT}>"),
                    Shown::Number => format!("<TTL={seconds}>,{ACCOUNT}"),
                };
                let values = [member.as_str()];
                let asked = wanted.iter().any(|name| name == "member");
                let attributes = [("member", values.as_slice())];
                entry(GROUP, if asked { &attributes } else { &[] })
            }
            None => entry(GROUP, &[]),
        },
        _ if state.search_result != 0 => return vec![result(0x65, state.search_result)],
        _ if state.endless && wanted.iter().any(|name| name.starts_with("memberOf;range=")) => {
            let asked =
                wanted.iter().find_map(|name| name.strip_prefix("memberOf;range=")).unwrap_or_default();
            let from: u32 = asked.trim_end_matches("-*").parse().unwrap();
            entry(ACCOUNT, &[(&format!("memberOf;range={from}-{from}"), &["CN=Again,DC=acme,DC=test"])])
        }
        _ if state.reads == Reads::Malformed => {
            let malformed = tlv(0x64, &[tlv(4, ACCOUNT.as_bytes()), tlv(4, b"no attributes")].concat());
            return vec![malformed, result(0x65, 0)];
        }
        _ if state.reads == Reads::Vanishing && wanted.iter().any(|name| name == "memberOf;range=2-*") => {
            return vec![result(0x65, 32)];
        }
        _ if state.reads == Reads::Stuck && wanted.iter().any(|name| name == "memberOf;range=2-*") => {
            entry(ACCOUNT, &[("memberOf;range=0-1", &["CN=First,DC=acme,DC=test"])])
        }
        // The second part of the memberships.
        _ if wanted.iter().any(|name| name == "memberOf;range=2-*") => {
            entry(ACCOUNT, &[("memberOf;range=2-*", &["CN=Third,DC=acme,DC=test"])])
        }
        _ => {
            let mut groups = vec!["CN=First,DC=acme,DC=test"];
            groups.push(if state.member.is_some() { GROUP } else { "CN=Second,DC=acme,DC=test" });
            account("jit-tech1", &groups)
        }
    };
    if state.reads == Reads::Accompanied {
        let referral = tlv(0x73, &tlv(4, b"ldap://child.acme.test/DC=child,DC=acme,DC=test"));
        let intermediate = tlv(0x79, &tlv(0x80, b"1.2.3"));
        return vec![referral, intermediate, entry, result(0x65, 0)];
    }
    vec![entry, result(0x65, 0)]
}

/// Adding a member that is there already is refused, as on Windows; a modify that first takes it away is not.
fn modify(body: &[(u8, Vec<u8>)], state: &mut State) -> u8 {
    let mut values = Vec::new();
    let mut member = state.member;
    for (_, change) in parts(&body[1].1) {
        let change = parts(&change);
        let value = text(&parts(&parts(&change[1].1)[1].1)[0].1);
        if change[0].1 == [0] {
            if member.is_some() {
                return 68;
            }
            let seconds = value
                .strip_prefix("<TTL=")
                .and_then(|rest| rest.split_once(','))
                .map(|(s, _)| s.parse().unwrap());
            member = Some(seconds.unwrap_or(u32::MAX));
            values.push(format!("+{value}"));
        } else {
            member = None;
            values.push(format!("-{value}"));
        }
    }
    state.member = member;
    state.modifies.push(values);
    0
}

pub fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

fn entry(dn: &str, attributes: &[(&str, &[&str])]) -> Vec<u8> {
    let attributes: Vec<u8> = attributes
        .iter()
        .flat_map(|(name, values)| {
            let values: Vec<u8> = values.iter().flat_map(|value| tlv(4, value.as_bytes())).collect();
            tlv(0x30, &[tlv(4, name.as_bytes()), tlv(0x31, &values)].concat())
        })
        .collect();
    tlv(0x64, &[tlv(4, dn.as_bytes()), tlv(0x30, &attributes)].concat())
}

fn result(kind: u8, code: u8) -> Vec<u8> {
    result_saying(kind, code, "scripted")
}

fn result_saying(kind: u8, code: u8, said: &str) -> Vec<u8> {
    tlv(kind, &[tlv(10, &[code]), tlv(4, b""), tlv(4, said.as_bytes())].concat())
}

fn tlv(kind: u8, content: &[u8]) -> Vec<u8> {
    let length = u16::try_from(content.len()).unwrap().to_be_bytes();
    [&[kind, 0x82, length[0], length[1]], content].concat()
}

/// The values inside a constructed one.
pub fn parts(mut bytes: &[u8]) -> Vec<(u8, Vec<u8>)> {
    let mut found = Vec::new();
    while let Some(kind) = bytes.first().copied() {
        let content = read_value(&mut bytes).unwrap();
        found.push((kind, content));
    }
    found
}

fn read_value(from: &mut impl Read) -> Option<Vec<u8>> {
    let mut head = [0; 2];
    from.read_exact(&mut head).ok()?;
    let mut length = usize::from(head[1]);
    if length >= 0x80 {
        let mut digits = vec![0; length & 0x7f];
        from.read_exact(&mut digits).ok()?;
        length = digits.iter().fold(0, |sum, digit| sum << 8 | usize::from(*digit));
    }
    let mut content = vec![0; length];
    from.read_exact(&mut content).ok()?;
    Some(content)
}
