//! The connector against Request Tracker itself, with a token of a user who has no more rights than `docs/ticket-systems.md` asks.

#![allow(clippy::unwrap_used, reason = "a test may panic: that is how it fails")]

use std::path::Path;
use std::process::Command;

use serde_json::json;
use ticketgate_access::config::{Psa as Settings, PsaKind, SecretRef, TicketNotes};
use ticketgate_credentials::{NoSecret, ReadSecret, Secret};
use ticketgate_protocol::ids::PsaId;
use ticketgate_psa::{Note, Psa, PsaError, connect_with};
use ticketgate_tests::rt::RequestTracker;

/// A user with the documented rights and a token, and a custom field that names the customer.
const PREPARE: &str = r#"
use lib '/usr/share/request-tracker5/lib';
use RT -init;
my $user = RT::User->new(RT->SystemUser);
my ($ok, $why) = $user->Create(Name => 'ticketgate', Privileged => 1);
die $why unless $ok;
for my $right (qw(SeeQueue ShowTicket ShowTicketComments CommentOnTicket ReplyToTicket SeeCustomField)) {
    ($ok, $why) = $user->PrincipalObj->GrantRight(Right => $right, Object => $RT::System);
    die $why unless $ok;
}
my $field = RT::CustomField->new(RT->SystemUser);
($ok, $why) = $field->Create(Name => 'Customer', Type => 'FreeformSingle', LookupType => 'RT::Queue-RT::Ticket');
die $why unless $ok;
($ok, $why) = $field->AddToObject(RT::Queue->new(RT->SystemUser));
die $why unless $ok;
my $token = RT::AuthToken->new(RT->SystemUser);
($ok, $why, my $text) = $token->Create(Owner => $user->Id, Description => 'Ticketgate');
die $why unless $ok;
print $text;
"#;

struct Token(String);

impl ReadSecret for Token {
    fn read(&self, _: &SecretRef) -> Result<Secret, NoSecret> {
        Ok(Secret::new(self.0.clone()))
    }
}

fn connect(desk: &RequestTracker, token: &str) -> Box<dyn Psa> {
    let settings = Settings {
        id: PsaId::new("rt".to_owned()).unwrap(),
        kind: PsaKind::RequestTracker,
        url: desk.url(),
        pages: Vec::new(),
        login: None,
        client_id: None,
        secret: SecretRef::Env("RT".into()),
        ca_file: None,
        timeout_s: 60,
        poll_s: 60,
        notes: TicketNotes::Private,
        closed: Vec::new(),
    };
    connect_with(&settings, Box::new(Token(token.to_owned()))).unwrap()
}

fn token(folder: &Path) -> String {
    let made = Command::new("perl")
        .args(["-e", PREPARE])
        .env("RT_SITE_CONFIG", folder.join("site.pm"))
        .env("RT_SITE_CONFIG_DIR", folder.join("conf"))
        .output()
        .unwrap();
    assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
    String::from_utf8(made.stdout).unwrap()
}

/// One server for everything: it takes seconds to start.
#[tokio::test]
async fn tickets_are_read_noted_and_found_again() {
    let desk = RequestTracker::start().unwrap();
    let token = token(desk.password_file().unwrap().parent().unwrap());
    let rt = connect(&desk, &token);

    let first = rt.ticket("1").await.unwrap();
    assert_eq!(first.summary.as_deref(), Some("Outlook crashes on start"));
    assert_eq!(first.company.as_ref().map(|company| company.name.as_str()), Some("Acme Corp"));
    assert_eq!((first.status.as_str(), first.closed), ("open", false));
    assert_eq!(first.contact_email.as_deref(), Some("ana.reyes@acme.example"));
    assert!(first.owner.contains("root"), "{:?}", first.owner);
    assert!(first.changed_at.is_some());
    assert!(rt.ticket("6").await.unwrap().closed);

    desk.change(2, &json!({"CustomFields": {"Customer": "Initech"}, "Owner": "Nobody"})).unwrap();
    let second = rt.ticket("2").await.unwrap();
    assert_eq!(second.company.map(|company| company.name), Some("Initech".to_owned()));
    assert!(second.owner.is_empty(), "{:?}", second.owner);

    let numbers: Vec<String> = ["1", "99", "6"].map(str::to_owned).to_vec();
    let some = rt.tickets(&numbers).await.unwrap();
    let some: Vec<_> = some.iter().map(|ticket| (ticket.number.as_str(), ticket.closed)).collect();
    assert_eq!(some, [("1", false), ("6", true)]);
    assert_eq!(rt.ticket("99").await, Err(PsaError::NoSuchTicket));

    for public in [false, true] {
        let mark = format!("[ticketgate 0815-{public}]");
        assert_eq!(rt.has_note(&first, &mark).await, Ok(false));
        let note = Note { text: format!("Müller's session has begun.\n{mark}"), mark: mark.clone(), public };
        rt.add_note(&first, &note).await.unwrap();
        assert_eq!(rt.has_note(&first, &mark).await, Ok(true));
        assert_eq!(rt.has_note(&first, &mark.replace("0815", "081_")).await, Ok(false));
        assert_eq!(rt.has_note(&some_other(), &mark).await, Ok(false));
    }
    let texts = desk.messages(1).unwrap();
    assert!(
        texts.iter().any(|text| text == "Müller's session has begun.\n[ticketgate 0815-false]"),
        "{texts:?}"
    );

    let mut companies: Vec<_> =
        rt.companies().await.unwrap().into_iter().map(|company| company.name).collect();
    companies.sort();
    assert_eq!(companies, ["Acme Corp", "General", "Globex", "Initech"]);

    desk.change(4, &json!({"MergeInto": 1})).unwrap();
    let merged = rt.ticket("4").await;
    assert!(matches!(merged, Err(PsaError::Unreadable(_))), "{merged:?}");

    let refused = connect(&desk, "1-14-0123456789abcdef").ticket("1").await.unwrap_err();
    assert!(matches!(refused, PsaError::Refused(_)), "{refused:?}");
}

fn some_other() -> ticketgate_psa::Ticket {
    ticketgate_psa::Ticket { id: "3".into(), number: "3".into(), ..ticketgate_psa::Ticket::default() }
}
