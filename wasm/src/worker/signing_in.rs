//! Signing in to a team's broker. The relay opens the system's browser, keeps what comes of it and says when it is done; here is only
//! what the person sees meanwhile. No page that anybody signs in on, and no token, ever comes here.

use chrono::{DateTime, Utc};
use ticketgate_protocol::native::{Method, SignedIn};
use ticketgate_protocol::problem::Problem;

use super::view::{Button, Tone, Trouble};
use super::{Effect, Intent, Worker, trouble};

impl Worker {
    /// The person wants to sign in, or to see the page once more.
    pub(super) fn sign_in(&mut self, now: DateTime<Utc>, out: &mut Vec<Effect>) {
        self.unsigned = None;
        self.link.ask(Method::SignIn, None, now, out);
    }

    pub(super) fn tried_to_sign_in(&mut self, result: Result<SignedIn, Problem>, now: DateTime<Utc>) {
        match result {
            Ok(_) => {
                self.overview_due = Some(now);
                self.overview_failures = 0;
            }
            // Of two pages that were opened one is enough.
            Err(_) if !self.last.signed_out || self.is_signing_in() => {}
            Err(problem) => self.unsigned = Some(problem),
        }
    }

    /// Whether a page to sign in on is open, as far as is known.
    pub(super) fn is_signing_in(&self) -> bool {
        self.link.is_asking("sign_in")
    }

    /// What stands in the way while nobody is signed in.
    pub(super) fn signing_in(&self, problem: &Problem) -> Trouble {
        let button = |label: &str| {
            let intent = Intent::SignIn {};
            Some(Button { label: label.into(), intent, disabled: None, busy: false })
        };
        if self.is_signing_in() {
            return Trouble {
                tone: Tone::Working,
                title: "Sign in on the page in your browser".into(),
                text: "A page of your organisation has opened. Ticketgate goes on by itself when you have signed in there.".into(),
                steps: Vec::new(),
                button: button("Open the page again"),
            };
        }
        match &self.unsigned {
            Some(why) => Trouble {
                tone: Tone::Red,
                title: "You are not signed in yet".into(),
                text: why.detail.clone(),
                steps: trouble::steps_to_sign_in(why),
                button: button("Sign in"),
            },
            None => Trouble {
                tone: Tone::Amber,
                title: "Sign in to activate rights".into(),
                text: format!(
                    "{} Your browser will show a page of your organisation for it.",
                    problem.detail
                ),
                steps: Vec::new(),
                button: button("Sign in"),
            },
        }
    }
}
