//! A private Request Tracker 5 on loopback: the ticket system that the extension meets in the tests and in the demo.
//! Three customers, each with a queue, and six tickets; no mail leaves, no database server, no Apache.

use crate::Result;
use crate::chromium::Page;
use crate::http::{self, Response};
use crate::leash::Leashed;
use crate::patience::until;
use crate::world::{self, Folder};
use anyhow::{Context, bail};
use base64::Engine;
use serde_json::{Value, json};
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

/// The customers, as their queues are named.
pub const CUSTOMERS: [&str; 3] = ["Acme Corp", "Globex", "Initech"];
/// The only account: RT's first administrator, as every new database has it.
pub const USER: &str = "root";
/// Its password, as every new database has it. The server is on loopback and lives for one test.
pub const PASSWORD: &str = "password";

const SERVER: &str = "/usr/share/request-tracker5/libexec/rt-server";
/// Perl compiles for a second or two; a machine that compiles meanwhile needs more.
const START_LIMIT: Duration = Duration::from_secs(60);

/// Prints a new authentication token of the user who is named.
const MAKE_TOKEN: &str = "
    use RT; RT::LoadConfig(); RT::Init();
    my $user = RT::CurrentUser->new; $user->Load($ARGV[0]);
    my ($id, $said, $token) = RT::AuthToken->new($user)->Create(Owner => $user->id, Description => 'the broker');
    $id or die $said; print $token;
";

/// Queue, subject, requestor, first message, status. The ticket's number is its place here, from 1.
const TICKETS: [(&str, &str, &str, &str, &str); 6] = [
    (
        "Acme Corp",
        "Outlook crashes on start",
        "ana.reyes@acme.example",
        "Since this morning Outlook closes right after the splash screen. Reception, extension 112.",
        "open",
    ),
    (
        "Globex",
        "New starter needs an account by Monday",
        "hr@globex.example",
        "Jo Lindqvist starts on Monday in purchasing. Same rights as Kim, please.",
        "new",
    ),
    (
        "Initech",
        "Printer on the 3rd floor jams",
        "b.lumbergh@initech.example",
        "It says PC LOAD LETTER again. Serial ZX-0042.",
        "open",
    ),
    (
        "Acme Corp",
        "Backup of FS01 failed twice",
        "backup@acme.example",
        "Job FS01-nightly: not enough space on the target. Last good run: Thursday.",
        "new",
    ),
    (
        "Globex",
        "VPN certificate runs out on Friday",
        "it@globex.example",
        "The gateway warns since Monday. Müller & Söhne connect through it, too.",
        "stalled",
    ),
    (
        "Initech",
        "Payroll server is out of disk",
        "m.bolton@initech.example",
        "Cleaned up the log folder, thanks. Can be closed.",
        "resolved",
    ),
];

/// A running Request Tracker. Dropping it ends the server with its workers and removes its folder.
#[derive(Debug)]
pub struct RequestTracker {
    server: Leashed,
    folder: Folder,
    address: SocketAddr,
}

impl RequestTracker {
    /// Starts one and returns when it answers: 7 s for the first on a machine, later about 2 s.
    ///
    /// # Errors
    /// Request Tracker is not installed, or does not start.
    pub fn start() -> Result<Self> {
        let this_file = include_str!("rt.rs");
        let template = world::template("rt", &[this_file], |folder| {
            let desk = Desk { folder: folder.to_path_buf(), address: free_port()? };
            desk.configure()?;
            let mut init = desk.command("rt-setup-database-5");
            world::run(init.args(["--action", "init", "--skip-create"]))?;
            let mut server = desk.serve()?;
            fill(desk.address)?;
            server.stop()?;
            Ok(())
        })?;
        let folder = Folder::new("rt")?;
        world::copy(&template, folder.path())?;
        let desk = Desk { folder: folder.path().to_path_buf(), address: free_port()? };
        desk.configure()?;
        Ok(Self { server: desk.serve()?, folder, address: desk.address })
    }

    /// The address of its start page, without a slash at the end.
    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// The address of a ticket's page.
    pub fn ticket_url(&self, number: u32) -> String {
        format!("{}/Ticket/Display.html?id={number}", self.url())
    }

    /// A file with the password of [`USER`], for a broker that asks the REST interface.
    ///
    /// # Errors
    /// The file cannot be written.
    pub fn password_file(&self) -> Result<PathBuf> {
        self.folder.write("rt.secret", PASSWORD)
    }

    /// A file with an authentication token of [`USER`], for a broker that asks the REST interface.
    ///
    /// # Errors
    /// RT makes none.
    pub fn token_file(&self) -> Result<PathBuf> {
        let desk = Desk { folder: self.folder.path().to_path_buf(), address: self.address };
        let mut perl = desk.command("perl");
        perl.args([
            "-I",
            "/usr/local/share/request-tracker5/lib",
            "-I",
            "/usr/share/request-tracker5/lib",
            "-e",
        ]);
        let output = perl.args([MAKE_TOKEN, USER]).output()?;
        let token = String::from_utf8_lossy(&output.stdout);
        if !output.status.success() || token.is_empty() {
            bail!("no token: {}", String::from_utf8_lossy(&output.stderr));
        }
        self.folder.write("rt.token", token.as_ref())
    }

    /// It as a `[[psa]]` of the product's configuration, with the id `rt`.
    ///
    /// # Errors
    /// As [`Self::token_file`].
    pub fn section(&self) -> Result<String> {
        let token = self.token_file()?;
        Ok(format!(
            "[[psa]]\nid = \"rt\"\nkind = \"request_tracker\"\nurl = \"{}\"\nsecret = {{ file = \"{}\" }}\n",
            self.url(),
            token.display()
        ))
    }

    /// Fills in the login form in the browser and opens `url` there.
    ///
    /// # Errors
    /// The browser does not show what it should.
    pub fn log_in(&self, page: &Page, url: &str) -> Result<()> {
        page.open(url)?;
        page.until(
            "document.readyState === 'complete' && !!document.querySelector('#login form, form[name=login]')",
        )?;
        page.eval(&format!(
            "{{ const form = document.querySelector('input[name=pass]').form;
               form.user.value = '{USER}'; form.pass.value = '{PASSWORD}'; form.submit(); }}"
        ))?;
        page.until("document.readyState === 'complete' && !document.querySelector('input[name=pass]')")?;
        page.open(url)
    }

    /// A ticket as REST 2.0 shows it.
    ///
    /// # Errors
    /// There is no such ticket.
    pub fn ticket(&self, number: u32) -> Result<Value> {
        expect(200, &rest(self.address, "GET", &format!("ticket/{number}"), &Value::Null)?)
    }

    /// The status of a ticket: `new`, `open`, `stalled`, `resolved` …
    ///
    /// # Errors
    /// There is no such ticket.
    pub fn status(&self, number: u32) -> Result<String> {
        let ticket = self.ticket(number)?;
        Ok(ticket.get("Status").and_then(Value::as_str).unwrap_or_default().to_owned())
    }

    /// Changes a ticket past the product, for example `{"Status": "resolved"}` or `{"Queue": "Globex"}`.
    ///
    /// # Errors
    /// RT refuses.
    pub fn change(&self, number: u32, fields: &Value) -> Result<()> {
        expect(200, &rest(self.address, "PUT", &format!("ticket/{number}"), fields)?).map(drop)
    }

    /// One more customer's queue.
    ///
    /// # Errors
    /// RT refuses.
    pub fn add_customer(&self, name: &str) -> Result<()> {
        let queue = json!({"Name": name, "Description": format!("Tickets of {name}")});
        expect(201, &rest(self.address, "POST", "queue", &queue)?).map(drop)
    }

    /// One more ticket, new and [`USER`]'s. Answers its number.
    ///
    /// # Errors
    /// RT refuses.
    pub fn add_ticket(&self, customer: &str, subject: &str, requestor: &str, content: &str) -> Result<u32> {
        let ticket = json!({"Queue": customer, "Subject": subject, "Requestor": requestor, "Content": content,
            "ContentType": "text/plain", "Owner": USER});
        let made = expect(201, &rest(self.address, "POST", "ticket", &ticket)?)?;
        let number = made.get("id").and_then(Value::as_str).and_then(|number| number.parse().ok());
        number.with_context(|| format!("no number: {made}"))
    }

    /// The texts of a ticket's messages and comments, oldest first.
    ///
    /// # Errors
    /// There is no such ticket.
    pub fn messages(&self, number: u32) -> Result<Vec<String>> {
        let path = format!("ticket/{number}/attachments?fields=Content,ContentType&per_page=100");
        let listed = expect(200, &rest(self.address, "GET", &path, &Value::Null)?)?;
        let items = listed.get("items").and_then(Value::as_array).cloned().unwrap_or_default();
        let text = |item: &Value| {
            let content = item.get("Content")?.as_str()?;
            (item.get("ContentType")?.as_str()? == "text/plain" && !content.is_empty())
                .then(|| content.to_owned())
        };
        Ok(items.iter().filter_map(text).collect())
    }

    /// Ends the server; its files stay until this is dropped.
    ///
    /// # Errors
    /// It does not end.
    pub fn stop(&mut self) -> Result<()> {
        self.server.stop().map(drop)
    }

    /// What the server printed, for a failing test.
    pub fn log(&self) -> String {
        self.server.log()
    }
}

/// A desk's files and where it answers.
struct Desk {
    folder: PathBuf,
    address: SocketAddr,
}

impl Desk {
    fn configure(&self) -> Result<()> {
        let d = self.folder.display();
        let (ip, port) = (self.address.ip(), self.address.port());
        for part in ["conf", "mason", "sessions", "var", "tmp"] {
            std::fs::create_dir_all(self.folder.join(part))?;
        }
        // The last three have no setting of their own and would otherwise point below /var.
        let config = format!(
            "Set($rtname, 'desk.example.test');
Set($Organization, 'desk.example.test');
Set($Timezone, 'UTC');
Set($WebDomain, '{ip}');
Set($WebPort, {port});
Set($WebBaseURL, 'http://{ip}:{port}');
Set($WebPath, '');
Set($DatabaseType, 'SQLite');
Set($DatabaseName, '{d}/rt.sqlite');
Set($MailCommand, 'testfile');
Set($RecordOutgoingEmail, 0);
Set($LogToSyslog, undef);
Set($LogToSTDERR, 'warning');
Set($WebSessionClass, 'Apache::Session::File');
$RT::MasonDataDir = '{d}/mason';
$RT::MasonSessionDir = '{d}/sessions';
$RT::VarPath = '{d}/var';
1;
"
        );
        std::fs::write(self.folder.join("conf/10-world.pm"), config)?;
        std::fs::write(self.folder.join("site.pm"), "1;\n")?;
        Ok(())
    }

    fn command(&self, program: &str) -> Command {
        let mut command = Command::new(program);
        command.env("RT_SITE_CONFIG", self.folder.join("site.pm"));
        command.env("RT_SITE_CONFIG_DIR", self.folder.join("conf"));
        command.env("TMPDIR", self.folder.join("tmp"));
        command
    }

    fn serve(&self) -> Result<Leashed> {
        if !Path::new(SERVER).exists() {
            bail!("Request Tracker is not installed; run `cargo xtask setup`");
        }
        let mut command = self.command(SERVER);
        command
            .args(["--server", "Starlet", "--max-workers", "2", "--host"])
            .arg(self.address.ip().to_string());
        command.arg("--port").arg(self.address.port().to_string());
        let mut server = Leashed::start(&command, &self.folder.join("server.log"))?;
        until("Request Tracker to answer", START_LIMIT, || {
            if let Some(exit) = server.exited()? {
                bail!("Request Tracker ended at once ({exit:?}): {}", server.log());
            }
            Ok(http::ask(self.address, "GET", "/NoAuth/Login.html", &[], b"").is_ok_and(|r| r.status == 200))
        })?;
        Ok(server)
    }
}

/// A port that nobody uses at this moment.
fn free_port() -> Result<SocketAddr> {
    Ok(TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?.local_addr()?)
}

fn fill(desk: SocketAddr) -> Result<()> {
    for customer in CUSTOMERS {
        let queue = json!({"Name": customer, "Description": format!("Tickets of {customer}")});
        expect(201, &rest(desk, "POST", "queue", &queue)?)?;
    }
    let ana = json!({"Name": "ana.reyes@acme.example", "EmailAddress": "ana.reyes@acme.example",
        "RealName": "Ana Reyes", "Organization": "Acme Corp, reception"});
    expect(201, &rest(desk, "POST", "user", &ana)?)?;
    for (place, (queue, subject, requestor, content, status)) in TICKETS.iter().enumerate() {
        let ticket = json!({"Queue": queue, "Subject": subject, "Requestor": requestor, "Content": content,
            "ContentType": "text/plain", "Owner": USER});
        let made = expect(201, &rest(desk, "POST", "ticket", &ticket)?)?;
        let number = (place + 1).to_string();
        if made.get("id").and_then(Value::as_str) != Some(&number) {
            bail!("ticket {number} got another number: {made}");
        }
        // Not every status is one to begin with.
        if *status != "new" {
            expect(200, &rest(desk, "PUT", &format!("ticket/{number}"), &json!({"Status": status}))?)?;
        }
    }
    Ok(())
}

fn rest(desk: SocketAddr, method: &str, path: &str, body: &Value) -> Result<Response> {
    let login = base64::engine::general_purpose::STANDARD.encode(format!("{USER}:{PASSWORD}"));
    let login = format!("Basic {login}");
    let headers = [("Authorization", login.as_str()), ("Content-Type", "application/json")];
    let body = if body.is_null() { String::new() } else { body.to_string() };
    http::ask(desk, method, &format!("/REST/2.0/{path}"), &headers, body.as_bytes())
}

fn expect(status: u16, answer: &Response) -> Result<Value> {
    if answer.status != status {
        bail!("Request Tracker said {}: {}", answer.status, answer.text());
    }
    answer.json().context("Request Tracker's answer")
}
