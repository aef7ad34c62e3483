//! An independent look into a directory over LDAPS, as a witness of what the product did. It shares no code with the
//! product's own directory client, reads plainly and writes only what a person would do "by hand" in a test.

use crate::Result;
use anyhow::{Context, bail};
use ldap3::{Ldap, LdapConnAsync, LdapConnSettings, Mod, Scope, SearchEntry, StdStream};
use rustls::pki_types::{CertificateDer, pem::PemObject};
use std::collections::HashSet;
use std::future::Future;
use std::net::Ipv4Addr;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, SystemTime};
use tokio::runtime::{Builder, Runtime};

/// A directory that does not answer fails the test, it does not hang it.
const LIMIT: Duration = Duration::from_secs(10);
/// From 1601 to 1970 in ticks of 100 ns: where AD's clock starts (MS-DTYP 2.3.3).
const FILETIME_OF_1970: u64 = 116_444_736_000_000_000;
const TICKS_PER_SECOND: u64 = 10_000_000;
/// `ACCOUNTDISABLE` of userAccountControl (MS-ADTS 2.2.16).
const ACCOUNT_DISABLED: u32 = 2;

/// What a directory said to a simple bind.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Bind {
    /// The LDAP result code; 0 is yes, 49 is no.
    pub code: u32,
    /// AD's own reason within a 49: `52e` wrong password, `533` disabled, `701` expired, `773` must change password.
    pub reason: String,
}

impl Bind {
    /// Whether the directory let the account in.
    pub fn accepted(&self) -> bool {
        self.code == 0
    }

    /// Whether the directory refused for this reason.
    pub fn refused_with(&self, reason: &str) -> bool {
        self.code == 49 && self.reason == reason
    }
}

/// When an account ends, as `accountExpires` has it (MS-ADA1 2.2).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Expiry {
    /// 0 or the greatest value. Also a negative one, which AD takes for "never".
    Never,
    /// At this moment.
    At(SystemTime),
}

/// An account as the directory has it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Account {
    /// Its DN.
    pub dn: String,
    /// userAccountControl.
    pub flags: u32,
    /// accountExpires.
    pub expires: Expiry,
    /// The DNs of the groups that name it as a member, sorted. The primary group is not among them.
    pub groups: Vec<String>,
    /// The primary group's relative id; 513 is Domain Users.
    pub primary_group: u32,
    /// description, empty when it has none.
    pub description: String,
    /// pwdLastSet as it stands there: changes whenever the password does.
    pub password_set: String,
    /// objectGUID in hex: stays when the account is renamed or moved, not when it is made anew.
    pub guid: String,
}

impl Account {
    /// Whether a logon is possible as far as the account's flags go.
    pub fn enabled(&self) -> bool {
        self.flags & ACCOUNT_DISABLED == 0
    }
}

/// Tries a simple bind on a connection of its own.
///
/// # Errors
/// The server does not answer. A refusal is an answer.
pub fn bind(address: Ipv4Addr, ca: &Path, login: &str, password: &str) -> Result<Bind> {
    let runtime = runtime()?;
    let mut ldap = within(&runtime, connect(address, ca))?;
    let said = within(&runtime, async { Ok(ldap.with_timeout(LIMIT).simple_bind(login, password).await?) })?;
    let reason = said.text.split("data ").nth(1).and_then(|text| text.split(',').next()).unwrap_or_default();
    Ok(Bind { code: said.rc, reason: reason.to_owned() })
}

/// A connection that stays bound as one account. Call it from plain (not async) tests.
#[derive(Debug)]
pub struct View {
    runtime: Runtime,
    ldap: Ldap,
    base: String,
}

impl View {
    /// Connects and binds. `base` is the domain's DN.
    ///
    /// # Errors
    /// No answer, or a refusal.
    pub fn open(address: Ipv4Addr, ca: &Path, login: &str, password: &str, base: &str) -> Result<Self> {
        let runtime = runtime()?;
        let mut ldap = within(&runtime, connect(address, ca))?;
        within(&runtime, async {
            Ok(ldap.with_timeout(LIMIT).simple_bind(login, password).await?.success()?)
        })
        .with_context(|| format!("cannot look into the directory as {login}"))?;
        Ok(Self { runtime, ldap, base: base.to_owned() })
    }

    /// The account of this logon name (sAMAccountName), wherever it is.
    ///
    /// # Errors
    /// The directory does not answer.
    pub fn account(&mut self, name: &str) -> Result<Option<Account>> {
        let found =
            self.search(&self.base.clone(), &format!("(sAMAccountName={})", ldap3::ldap_escape(name)))?;
        found.into_iter().next().map(account).transpose()
    }

    /// Every account below a DN.
    ///
    /// # Errors
    /// The directory does not answer.
    pub fn accounts_below(&mut self, unit: &str) -> Result<Vec<Account>> {
        self.search(unit, "(&(objectClass=user)(objectCategory=person))")?.into_iter().map(account).collect()
    }

    /// The accounts below a DN whose logon name begins so.
    ///
    /// # Errors
    /// The directory does not answer.
    pub fn accounts_beginning(&mut self, unit: &str, name: &str) -> Result<Vec<Account>> {
        let name = ldap3::ldap_escape(name);
        let filter = format!("(&(objectClass=user)(objectCategory=person)(sAMAccountName={name}*))");
        self.search(unit, &filter)?.into_iter().map(account).collect()
    }

    /// The DNs that a group names as members, sorted.
    ///
    /// # Errors
    /// There is no such group.
    pub fn members(&mut self, group: &str) -> Result<Vec<String>> {
        let mut entry = self.entry(group)?;
        let mut members = entry.attrs.remove("member").unwrap_or_default();
        members.sort();
        Ok(members)
    }

    /// One attribute's values as text, none when it is absent.
    ///
    /// # Errors
    /// There is no such entry.
    pub fn attribute(&mut self, dn: &str, name: &str) -> Result<Vec<String>> {
        Ok(self.entry(dn)?.attrs.remove(name).unwrap_or_default())
    }

    /// The entry of this DN with all it shows.
    ///
    /// # Errors
    /// There is no such entry.
    pub fn entry(&mut self, dn: &str) -> Result<SearchEntry> {
        let found = self.search_in(dn, Scope::Base, "(objectClass=*)")?;
        found.into_iter().next().with_context(|| format!("the directory does not show {dn}"))
    }

    /// Everything below `base` that a filter finds.
    ///
    /// # Errors
    /// The directory does not answer, or refuses the filter.
    pub fn search(&mut self, base: &str, filter: &str) -> Result<Vec<SearchEntry>> {
        self.search_in(base, Scope::Subtree, filter)
    }

    fn search_in(&mut self, base: &str, scope: Scope, filter: &str) -> Result<Vec<SearchEntry>> {
        let Self { runtime, ldap, .. } = self;
        // objectGUID and the like are not asked for by `*` alone on every server; operational attributes are.
        let attributes = vec!["*", "memberOf"];
        let (entries, _) = within(runtime, async {
            Ok(ldap.with_timeout(LIMIT).search(base, scope, filter, attributes).await?.success()?)
        })?;
        Ok(entries.into_iter().filter(|entry| !entry.is_ref()).map(SearchEntry::construct).collect())
    }

    /// Puts a member into a group, past the product. Answers the result code (0 is done, 68 was there already, 50 is
    /// not allowed).
    ///
    /// # Errors
    /// The directory does not answer.
    pub fn add_member(&mut self, group: &str, member: &str) -> Result<u32> {
        self.modify(group, vec![Mod::Add(bytes("member"), one(member))])
    }

    /// Takes a member out of a group, past the product. Answers the result code.
    ///
    /// # Errors
    /// The directory does not answer.
    pub fn remove_member(&mut self, group: &str, member: &str) -> Result<u32> {
        self.modify(group, vec![Mod::Delete(bytes("member"), one(member))])
    }

    /// Replaces one attribute by one value. Answers the result code.
    ///
    /// # Errors
    /// The directory does not answer.
    pub fn replace(&mut self, dn: &str, attribute: &str, value: &str) -> Result<u32> {
        self.modify(dn, vec![Mod::Replace(bytes(attribute), one(value))])
    }

    /// Sets a password, as an administrator does. Answers the result code.
    ///
    /// # Errors
    /// The directory does not answer.
    pub fn set_password(&mut self, dn: &str, password: &str) -> Result<u32> {
        self.modify(dn, vec![Mod::Replace(bytes("unicodePwd"), HashSet::from([quoted(password)]))])
    }

    /// Makes a group an account's primary one, which hides the account from the group's `member`. The account has to
    /// be a member already. Answers the result code.
    ///
    /// # Errors
    /// The directory does not answer, or shows no such group.
    pub fn set_primary_group(&mut self, dn: &str, group: &str) -> Result<u32> {
        let mut entry = self.entry(group)?;
        let sid = entry.bin_attrs.remove("objectSid").and_then(|mut values| values.pop());
        // The relative id is the last sub-authority, little-endian (MS-DTYP 2.4.2.2).
        let tail = sid.as_deref().and_then(|sid| sid.last_chunk::<4>()).context("the group has no SID")?;
        self.replace(dn, "primaryGroupID", &u32::from_le_bytes(*tail).to_string())
    }

    /// Makes an account that can log on until `expires`, in one write. Answers the result code.
    ///
    /// # Errors
    /// The directory does not answer.
    pub fn create(&mut self, dn: &str, name: &str, password: &str, expires: SystemTime) -> Result<u32> {
        let plain = [
            ("objectClass", "user".to_owned()),
            ("sAMAccountName", name.to_owned()),
            ("userPrincipalName", format!("{name}@{}", dns_name(&self.base))),
            ("userAccountControl", "512".to_owned()),
            ("accountExpires", filetime(expires)?.to_string()),
        ];
        let mut attributes: Vec<_> = plain.iter().map(|(name, value)| (bytes(name), one(value))).collect();
        attributes.push((bytes("unicodePwd"), HashSet::from([quoted(password)])));
        let Self { runtime, ldap, .. } = self;
        within(runtime, async { Ok(ldap.with_timeout(LIMIT).add(dn, attributes).await?.rc) })
    }

    /// Makes an account that nobody can log on with yet: disabled, its end over, without a password. Answers the result code.
    ///
    /// # Errors
    /// The directory does not answer.
    pub fn create_closed(&mut self, dn: &str, name: &str) -> Result<u32> {
        let attributes = [
            ("objectClass", "user".to_owned()),
            ("sAMAccountName", name.to_owned()),
            ("userPrincipalName", format!("{name}@{}", dns_name(&self.base))),
            ("userAccountControl", "514".to_owned()),
            ("accountExpires", "1".to_owned()),
        ];
        let attributes = attributes.iter().map(|(name, value)| (bytes(name), one(value))).collect();
        let Self { runtime, ldap, .. } = self;
        within(runtime, async { Ok(ldap.with_timeout(LIMIT).add(dn, attributes).await?.rc) })
    }

    /// Password, end and enabling in one write: the least that an activation of an existing account needs. Answers the
    /// result code.
    ///
    /// # Errors
    /// The directory does not answer.
    pub fn enable(&mut self, dn: &str, password: &str, expires: SystemTime) -> Result<u32> {
        let changes = vec![
            Mod::Replace(bytes("unicodePwd"), HashSet::from([quoted(password)])),
            Mod::Replace(bytes("accountExpires"), one(&filetime(expires)?.to_string())),
            Mod::Replace(bytes("userAccountControl"), one("512")),
        ];
        self.modify(dn, changes)
    }

    /// Disables an account and puts its end into the past, in one write. Answers the result code.
    ///
    /// # Errors
    /// The directory does not answer.
    pub fn disable(&mut self, dn: &str) -> Result<u32> {
        let changes = vec![
            Mod::Replace(bytes("userAccountControl"), one("514")),
            Mod::Replace(bytes("accountExpires"), one("1")),
        ];
        self.modify(dn, changes)
    }

    /// Deletes an entry. Answers the result code.
    ///
    /// # Errors
    /// The directory does not answer.
    pub fn delete(&mut self, dn: &str) -> Result<u32> {
        let Self { runtime, ldap, .. } = self;
        within(runtime, async { Ok(ldap.with_timeout(LIMIT).delete(dn).await?.rc) })
    }

    fn modify(&mut self, dn: &str, changes: Vec<Mod<Vec<u8>>>) -> Result<u32> {
        let Self { runtime, ldap, .. } = self;
        within(runtime, async { Ok(ldap.with_timeout(LIMIT).modify(dn, changes).await?.rc) })
    }
}

fn account(mut entry: SearchEntry) -> Result<Account> {
    let guid = entry.bin_attrs.remove("objectGUID").and_then(|mut values| values.pop()).unwrap_or_default();
    let one =
        |name: &str| entry.attrs.get(name).and_then(|values| values.first()).cloned().unwrap_or_default();
    let mut groups = entry.attrs.get("memberOf").cloned().unwrap_or_default();
    groups.sort();
    Ok(Account {
        flags: one("userAccountControl")
            .parse::<i32>()
            .context("the account shows no userAccountControl")?
            .cast_unsigned(),
        expires: expiry(one("accountExpires").parse().context("the account shows no accountExpires")?),
        groups,
        primary_group: one("primaryGroupID").parse().context("the account shows no primaryGroupID")?,
        description: one("description"),
        password_set: one("pwdLastSet"),
        guid: guid.iter().map(|byte| format!("{byte:02x}")).collect(),
        dn: entry.dn,
    })
}

fn expiry(value: i64) -> Expiry {
    match u64::try_from(value) {
        Ok(0) | Err(_) => Expiry::Never,
        Ok(ticks) if ticks == i64::MAX.unsigned_abs() => Expiry::Never,
        Ok(ticks) => Expiry::At(from_filetime(ticks)),
    }
}

/// A time as AD counts it; one before 1970 is 1970.
pub(crate) fn from_filetime(ticks: u64) -> SystemTime {
    SystemTime::UNIX_EPOCH + Duration::from_micros(ticks.saturating_sub(FILETIME_OF_1970) / 10)
}

fn filetime(time: SystemTime) -> Result<u64> {
    let since_1970 = time.duration_since(SystemTime::UNIX_EPOCH)?;
    let ticks = since_1970.as_secs() * TICKS_PER_SECOND + u64::from(since_1970.subsec_nanos()) / 100;
    Ok(FILETIME_OF_1970 + ticks)
}

/// `DC=acme,DC=test` is `acme.test`.
fn dns_name(base: &str) -> String {
    base.split(',').map(|part| part.trim_start_matches("DC=")).collect::<Vec<_>>().join(".")
}

/// The form in which AD takes a password (MS-ADTS 3.1.1.3.1.5).
fn quoted(password: &str) -> Vec<u8> {
    format!("\"{password}\"").encode_utf16().flat_map(u16::to_le_bytes).collect()
}

fn bytes(text: &str) -> Vec<u8> {
    text.as_bytes().to_vec()
}

fn one(value: &str) -> HashSet<Vec<u8>> {
    HashSet::from([bytes(value)])
}

fn runtime() -> Result<Runtime> {
    Ok(Builder::new_current_thread().enable_all().build()?)
}

fn within<T>(runtime: &Runtime, work: impl Future<Output = Result<T>>) -> Result<T> {
    runtime.block_on(async {
        match tokio::time::timeout(LIMIT, work).await {
            Ok(done) => done,
            Err(_) => bail!("the directory did not answer within {} s", LIMIT.as_secs()),
        }
    })
}

async fn connect(address: Ipv4Addr, ca: &Path) -> Result<Ldap> {
    let mut roots = rustls::RootCertStore::empty();
    for certificate in CertificateDer::pem_file_iter(ca)? {
        roots.add(certificate?)?;
    }
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let tls = rustls::ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()?
        .with_root_certificates(roots)
        .with_no_client_auth();
    let stream = tokio::net::TcpStream::connect((address, 636)).await?;
    // Without this the first bind waits 45 ms for a delayed acknowledgement.
    stream.set_nodelay(true)?;
    let settings = LdapConnSettings::new()
        .set_config(Arc::new(tls))
        .set_conn_timeout(LIMIT)
        .set_std_stream(StdStream::Tcp(stream.into_std()?));
    let (connection, ldap) = LdapConnAsync::with_settings(settings, &format!("ldaps://{address}")).await?;
    ldap3::drive!(connection);
    Ok(ldap)
}
