//! Measures sixteen technicians who activate, and then end, at the same moment, for `cargo xtask bench`: one JSON line per figure.
//! Beside it, in the same round, sixteen scripts do the same by bare LDAP writes, each on a warm connection of its own.
//!
//! The technicians are users of this machine, since that is how a broker knows them; so this has to run as root.
#![allow(
    clippy::print_stdout,
    clippy::print_stderr,
    clippy::indexing_slicing,
    reason = "a measuring program prints what it measured, and may stop with a panic"
)]

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::sync::{Barrier, Mutex, PoisonError};
use std::time::{Duration, Instant, SystemTime};

use anyhow::{Context, ensure};
use rustix::process::Uid;
use rustix::thread::set_thread_res_uid;
use serde_json::{Value, json};
use ticketgate_tests::Result;
use ticketgate_tests::http::{self, Response};
use ticketgate_tests::ldap::View;
use ticketgate_tests::product::asking::{new_key, wish};
use ticketgate_tests::product::{Configuration, Product};
use ticketgate_tests::samba::{Options, SambaAd};

const TECHNICIANS: usize = 16;
const ROUNDS: usize = 15;
const HOUR: Duration = Duration::from_secs(3600);
const PASSWORD: &str = "A bare Passw0rd-of 24 ch";

/// What a round does, in this order.
const WORKS: [Work; 4] = [
    Work { policy: "acme-server-admin", name: "existing accounts" },
    Work { policy: "acme-burner", name: "new accounts" },
    Work { policy: "", name: "existing accounts" },
    Work { policy: "", name: "new accounts" },
];

struct Work {
    /// The product's policy; empty: bare LDAP.
    policy: &'static str,
    name: &'static str,
}

/// One of the sixteen, at the broker's door and at the directory's.
struct One<'a> {
    number: usize,
    socket: &'a Path,
    ldap: View,
    unit: &'a str,
    group: &'a str,
    made: usize,
}

/// A user of this machine: its login and number.
type User = (String, u32);

fn main() -> Result<()> {
    let Some(users) = users()? else {
        eprintln!("not measured: this needs root and {TECHNICIANS} users of this machine");
        return Ok(());
    };
    let ad = SambaAd::start(Options { durable: true, ..Options::default() })?;
    let mut configuration = Configuration::standard(&ad).generous();
    for (number, (login, _)) in users.iter().enumerate() {
        configuration = configuration.technician(&format!("t{number}"), login, &["tier2"], &[]);
    }
    let product = Product::start(&configuration)?;
    let door = Door::of(&product)?;
    let secret = fs::read_to_string(ad.service_password_file())?;
    let (unit, group) = (ad.account_unit(), ad.group("tier1"));
    let together = Barrier::new(TECHNICIANS + 1);
    let failed = Mutex::new(None);
    let mut times: Vec<(Vec<f64>, Vec<f64>)> = Vec::new();
    times.resize_with(WORKS.len(), Default::default);
    let mut all = Vec::new();
    for number in 0..TECHNICIANS {
        let ldap = View::open(ad.address(), &ad.ca(), ad.service_account(), secret.trim(), ad.base())?;
        all.push(One { number, socket: &door.socket, ldap, unit, group, made: 0 });
    }
    std::thread::scope(|scope| {
        for (one, (_, uid)) in all.into_iter().zip(&users) {
            let (together, failed) = (&together, &failed);
            scope.spawn(move || {
                // Of this thread alone: from now on it is that technician.
                if let Err(error) = set_thread_res_uid(None, Uid::from_raw(*uid), None) {
                    note(failed, error.into());
                }
                one.goes_through_all_rounds(together, failed);
            });
        }
        // The first round makes the accounts.
        for round in 0..=ROUNDS {
            for (work, (begins, ends)) in WORKS.iter().zip(&mut times) {
                for taken in [begins, ends] {
                    together.wait();
                    let begin = Instant::now();
                    together.wait();
                    if round > 0 {
                        taken.push(begin.elapsed().as_secs_f64());
                    }
                }
                if let Some(error) = failed.lock().unwrap_or_else(PoisonError::into_inner).take() {
                    // The others wait at the barrier; there is nothing to save.
                    eprintln!("{}: {error:#}\n{}", work.name, product.broker_log());
                    std::process::exit(1);
                }
            }
        }
    });
    report(&times);
    Ok(())
}

impl One<'_> {
    fn goes_through_all_rounds(mut self, together: &Barrier, failed: &Mutex<Option<anyhow::Error>>) {
        for _ in 0..=ROUNDS {
            for work in &WORKS {
                together.wait();
                let begun =
                    if work.policy.is_empty() { self.bare(work) } else { self.activates(work.policy) };
                together.wait();
                together.wait();
                let ended = begun.and_then(|what| {
                    if work.policy.is_empty() { self.bare_end(&what) } else { self.ends(&what) }
                });
                if let Err(error) = ended {
                    note(failed, error);
                }
                together.wait();
            }
        }
    }

    fn asks(&self, path: &str, body: &Value) -> Result<Response> {
        let key = new_key();
        let headers = [("Content-Type", "application/json"), ("Idempotency-Key", &key)];
        http::ask_socket(self.socket, "POST", path, &headers, body.to_string().as_bytes())
    }

    /// Answers the session's id.
    fn activates(&self, policy: &str) -> Result<String> {
        let answer = self.asks("/v1/sessions", &wish(policy))?.json()?;
        ensure!(answer["state"] == "active", "{answer}");
        Ok(answer["id"].as_str().context("no id")?.to_owned())
    }

    fn ends(&self, id: &str) -> Result<()> {
        let answer = self.asks(&format!("/v1/sessions/{id}/end"), &json!({}))?.json()?;
        ensure!(answer["state"] == "ended", "{answer}");
        Ok(())
    }

    /// Answers the account's DN. The writes are those of `measure_activation`.
    fn bare(&mut self, work: &Work) -> Result<String> {
        let new = work.name.starts_with("new") || self.made == 0;
        let name = if new && self.made > 0 {
            format!("bare-{}-{}", self.number, self.made)
        } else {
            format!("bare-{}", self.number)
        };
        let dn = format!("CN={name},{}", self.unit);
        if new {
            self.made += 1;
            done(self.ldap.create_closed(&dn, &name)?)?;
        }
        done(self.ldap.add_member(self.group, &dn)?)?;
        done(self.ldap.enable(&dn, PASSWORD, SystemTime::now() + HOUR)?)?;
        Ok(dn)
    }

    fn bare_end(&mut self, dn: &str) -> Result<()> {
        done(self.ldap.disable(dn)?)?;
        done(self.ldap.remove_member(self.group, dn)?)?;
        if dn.starts_with(&format!("CN=bare-{},", self.number)) {
            done(self.ldap.set_password(dn, "An0ther bare-one nobody ")?)
        } else {
            done(self.ldap.delete(dn)?)
        }
    }
}

/// The broker's socket under a name that others can reach, as that of a service of the system is.
struct Door {
    folder: PathBuf,
    socket: PathBuf,
}

impl Door {
    fn of(product: &Product) -> Result<Self> {
        // A second name on the same file system, outside of what belongs to one user.
        let place = product.folder().parent().and_then(Path::parent).context("nowhere to put a door")?;
        let folder = place.join(format!("door-{}", std::process::id()));
        fs::create_dir(&folder)?;
        let door = Self { socket: folder.join("socket"), folder };
        fs::set_permissions(&door.folder, fs::Permissions::from_mode(0o711))?;
        fs::hard_link(product.socket(), &door.socket)?;
        fs::set_permissions(&door.socket, fs::Permissions::from_mode(0o666))?;
        Ok(door)
    }
}

impl Drop for Door {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.folder);
    }
}

/// Sixteen users of this machine beside root, where this may become any of them.
fn users() -> Result<Option<Vec<User>>> {
    let map = fs::read_to_string("/proc/self/uid_map").unwrap_or_default();
    let all_mapped = map.split_whitespace().nth(2).and_then(|count| count.parse::<u64>().ok()) > Some(65_534);
    if !rustix::process::geteuid().is_root() || !all_mapped {
        return Ok(None);
    }
    let passwd = fs::read_to_string("/etc/passwd")?;
    let user = |line: &str| -> Option<User> {
        let mut fields = line.split(':');
        Some((fields.next()?.to_owned(), fields.nth(1)?.parse().ok()?))
    };
    let users: Vec<_> =
        passwd.lines().filter_map(user).filter(|(_, uid)| *uid != 0).take(TECHNICIANS).collect();
    Ok((users.len() == TECHNICIANS).then_some(users))
}

fn note(failed: &Mutex<Option<anyhow::Error>>, error: anyhow::Error) {
    failed.lock().unwrap_or_else(PoisonError::into_inner).get_or_insert(error);
}

fn done(code: u32) -> Result<()> {
    ensure!(code == 0, "the directory answered {code}");
    Ok(())
}

fn report(times: &[(Vec<f64>, Vec<f64>)]) {
    let pairs = WORKS.iter().zip(times).zip(times.iter().skip(WORKS.len() / 2));
    for ((work, (begins, ends)), (bare_begins, bare_ends)) in pairs {
        figure(&format!("{TECHNICIANS} at once, {}", work.name), begins, bare_begins, Some(0.9));
        figure(&format!("{TECHNICIANS} at once, ends, {}", work.name), ends, bare_ends, None);
    }
}

/// More is better, unlike everywhere else: a ratio of 1 is as many as by bare LDAP.
fn figure(name: &str, times: &[f64], baseline: &[f64], reach: Option<f64>) {
    let rates = |times: &[f64]| -> Vec<f64> {
        let mut rates: Vec<_> = times.iter().map(|time| TECHNICIANS as f64 / time).collect();
        rates.sort_by(f64::total_cmp);
        rates
    };
    let (rates, bare) = (rates(times), rates(baseline));
    let at = |rates: &[f64], tenths: usize| {
        rates.get((rates.len() - 1) * tenths / 10).copied().unwrap_or(f64::NAN)
    };
    let (value, beside) = (at(&rates, 5), at(&bare, 5));
    let spread = (at(&rates, 9) - at(&rates, 1)) / 2.0;
    let note = format!(
        "more is better; {} rounds; baseline: the same least LDAP writes, bare, over {TECHNICIANS} warm LDAPS connections",
        times.len()
    );
    let line = json!({
        "name": name, "unit": "1/s", "value": value, "baseline": beside, "ratio": value / beside,
        "spread": spread, "note": note, "samples": {"value": rates, "baseline": bare},
        "reach": reach.map(|least| json!({ "ratio_at_least": least })),
    });
    println!("{line}");
}
