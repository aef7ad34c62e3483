//! What two other extensions put into pages: baselines that were counted once, since each takes the network and a build of
//! somebody else's sources. None of their code is here. To count anew, do what [`Other::built`] says, and add up the files.

/// An extension, and the JavaScript that it puts into a page's top frame.
pub(crate) struct Other {
    /// Version, repository and commit.
    what: &'static str,
    /// The day on which it was counted.
    counted: &'static str,
    /// The commands that built it.
    built: &'static str,
    /// Bytes of the files that it puts into a ticket page, by name.
    ticket: &'static [(&'static str, u64)],
    /// The same for a page that is none of its business.
    elsewhere: &'static [(&'static str, u64)],
    /// Why these files.
    why: &'static str,
}

/// The core of what is in the stores today is not public, only the scripts of single sites (`toggl/track-extension`); this
/// is the last version that is public as a whole.
pub(crate) const TOGGL_TRACK: Other = Other {
    what: "Toggl Track 1.70.2 of 2021 (github.com/toggl/toggl-button, 5c71b0d), the last that is public as a whole",
    counted: "2026-11-26",
    built: "Node 20 with --openssl-legacy-provider; npm ci --ignore-scripts --legacy-peer-deps; webpack-cli --mode production --env.production",
    ticket: &[("common.js", 69_712), ("content/zendesk.js", 1_977)],
    elsewhere: &[],
    why: "what loadFiles of its background.js, read and not run, puts into a Zendesk page, signed in, the integration on",
};

/// Every page gets the first two files, whatever it is.
pub(crate) const CLOCKIFY: Other = Other {
    what: "Clockify 2.11.48 (github.com/clockify/browser-extension, b45395e)",
    counted: "2026-11-26",
    built: "Node 20; npm install --ignore-scripts --legacy-peer-deps; npm run compile.prod.css.chrome; NODE_ENV=prod TARGET=chrome webpack with manifest.chrome.dev.json, since the release's is not among them",
    ticket: &[
        ("vendors.bundle.js", 2_534_268),
        ("global.content-script.bundle.js", 6_484),
        ("clockifyLocales.js", 3_634),
        ("service-localstorage.js", 1_512),
        ("main.bundle.js", 801_482),
        ("clockifyButton.js", 25_378),
        ("zendesk.js", 1_042),
    ],
    elsewhere: &[("vendors.bundle.js", 2_534_268), ("global.content-script.bundle.js", 6_484)],
    why: "what Chromium loads of its manifest's content scripts and of those that its generateIntegrationRegistrationData names for Zendesk, registered without an account",
};

impl Other {
    /// What it puts into a ticket page, in bytes, and how that was counted.
    pub(crate) fn in_a_ticket(&self) -> (u64, String) {
        self.counted_of(self.ticket)
    }

    /// The same for a page that is none of its business.
    pub(crate) fn elsewhere(&self) -> (u64, String) {
        self.counted_of(self.elsewhere)
    }

    fn counted_of(&self, files: &[(&str, u64)]) -> (u64, String) {
        let listed: Vec<_> = files.iter().map(|(name, bytes)| format!("{name} {bytes}")).collect();
        let note = format!(
            "{}, counted once, on {}, unlike other baselines, in a build of its sources ({}): {}; bytes: {}",
            self.what,
            self.counted,
            self.built,
            self.why,
            if listed.is_empty() { "none".to_owned() } else { listed.join(", ") }
        );
        (files.iter().map(|(_, bytes)| bytes).sum(), note)
    }
}
