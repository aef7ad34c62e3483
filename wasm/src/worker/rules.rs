//! The rules in force: those of the build, behind them those that the broker hands over, and before both those of the browser's
//! policy. Read when a page speaks, or when a popup has to say which are at fault.

use std::cell::OnceCell;

use ticketgate_protocol::tree::{FromJson, ToTree};
use ticketgate_recognise::{Rule, Rules, check};

use super::view::{Note, Tone};
use super::{Effect, Worker, hosts};

/// The most rules that the browser's policy may hold, and the most bytes of them all.
const MANAGED_MAX: usize = 64;
const MANAGED_BYTES_MAX: usize = 256 * 1024;

/// An administrator's rules as texts, and what they amount to together with the built-in ones.
#[derive(Default)]
pub(super) struct AllRules {
    /// Of the browser's policy.
    managed: Vec<String>,
    /// Of the broker, which has checked them.
    broker: Vec<String>,
    read: OnceCell<Known>,
}

struct Known {
    rules: Rules,
    /// Why rules are left out.
    faults: Vec<String>,
}

impl AllRules {
    fn known(&self) -> &Known {
        self.read.get_or_init(|| {
            let mut faults = Vec::new();
            let mut added: Vec<(Rule, &str)> = Vec::new();
            let mut left = MANAGED_BYTES_MAX;
            for (at, text) in self.managed.iter().enumerate() {
                let mut fault = |line, what: &str| {
                    faults.push(format!(
                        "Recognition rules of the browser's policy, rule {}, line {line}: {what}. It is left out.",
                        at + 1
                    ));
                };
                if at >= MANAGED_MAX || text.len() > left {
                    fault(1, "more than 64 rules or 256 KiB");
                    continue;
                }
                left -= text.len();
                match check(text, &|_| None) {
                    Err(flaws) => {
                        if let Some(flaw) = flaws.first() {
                            fault(flaw.line, &flaw.text);
                        }
                    }
                    Ok(rule) if added.iter().any(|(other, _)| other.system == rule.system) => {
                        fault(1, "another rule before it has the same system");
                    }
                    Ok(rule) => added.push((rule, text)),
                }
            }
            for text in &self.broker {
                match Rule::parse(text) {
                    Ok(rule) => added.push((rule, text)),
                    Err(_) => faults.push(
                        "The broker handed over a recognition rule that this extension cannot read: update the extension."
                            .into(),
                    ),
                }
            }
            Known { rules: Rules::with(added), faults }
        })
    }
}

impl Worker {
    pub(super) fn rules(&self) -> &Rules {
        &self.rules.known().rules
    }

    /// What is said about rules that are left out. Where nobody added any, nothing is read for it.
    pub(super) fn rule_notes(&self) -> Vec<Note> {
        if self.rules.managed.is_empty() && self.rules.broker.is_empty() {
            return Vec::new();
        }
        let note = |text: &String| Note { tone: Tone::Amber, text: text.clone() };
        self.rules.known().faults.iter().map(note).collect()
    }

    /// What was kept of the broker's rules when the worker stopped.
    pub(super) fn restore_rules(&mut self, kept: Option<&str>, managed: Vec<String>) {
        let broker = kept.and_then(|text| Vec::parse(text).ok()).unwrap_or_default();
        self.rules = AllRules { managed, broker, read: OnceCell::new() };
    }

    /// The rules of the browser's policy as they are now.
    pub(super) fn hear_managed_rules(&mut self, managed: Vec<String>, out: &mut Vec<Effect>) {
        if self.rules.managed != managed {
            self.rules.managed = managed;
            self.ask_anew(out);
        }
    }

    /// The broker's rules as they are now.
    pub(super) fn hear_broker_rules(&mut self, broker: Vec<String>, out: &mut Vec<Effect>) {
        if self.rules.broker != broker {
            out.push(Effect::SaveRules { text: broker.to_tree().to_json() });
            self.rules.broker = broker;
            self.ask_anew(out);
        }
    }

    /// Other rules ask other questions: every open page is asked anew, by scripts that take the place of those in it.
    fn ask_anew(&mut self, out: &mut Vec<Effect>) {
        self.rules.read = OnceCell::new();
        out.push(Effect::InjectInto { patterns: None });
        for (tab, pages) in self.last.pages.tabs() {
            let granted = self.last.sites.granted();
            // The person pointed at it; no pattern covers it.
            if pages.frames.values().any(|page| !hosts::is_allowed(granted, &page.url)) {
                out.push(Effect::Inject { tab });
            }
        }
    }
}
