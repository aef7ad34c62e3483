//! What is saved of a page for a report says how it is built, and nothing of what it says.

use crate::stage::Stage;
use anyhow::Context;
use ticketgate_tests::Result;
use ticketgate_tests::site::Served;

/// A page whose every value is a secret.
const PAGE: &str = r#"<!doctype html><html lang="en" data-user="SECRET"><head><title>SECRET ticket</title>
    <meta name="generator" content="SECRET"><link rel="stylesheet" href="/SECRET.css"><script>var a = "SECRET";</script></head>
    <body id="comp-Ticket-Display" class="page jane@secret.example x8f3a92c1 row-4711" style="--a: 'SECRET'" onclick="SECRET()">
    <!-- SECRET --><div id="ember1234567" data-ticket-id="SECRET" aria-label="SECRET" title="SECRET" role="main">
    <h1 id="header">SECRET <b>SECRET</b></h1><p>SECRET</p><p>SECRET</p><a href="/SECRET?token=SECRET#SECRET">SECRET</a>
    <img src="/SECRET.png" alt="SECRET"><button name="SECRET" value="SECRET">SECRET</button></div>
    <form action="/SECRET" id="__proto__"><input name="nodeName"><input name="firstChild"><input name="attributes">
    <label for="SECRET">Customer 42 <input id="customer" value="SECRET" placeholder="SECRET"><span>SECRET</span></label>
    <input type="password" value="SECRET"><input type="hidden" value="SECRET"><textarea>SECRET</textarea>
    <select><option value="SECRET">SECRET</option></select></form>
    <dl><dt>Requester</dt><dd>SECRET</dd><dt>write to jane@secret.example</dt><dt>www.secret.example</dt>
    <dt>SECRET is a sentence of more than five words</dt></dl><table><tr><th>Status</th><td class="value">SECRET</td></tr></table>
    <x-card><template shadowrootmode="open"><span class="field-label">Company</span><i>SECRET</i></template>SECRET</x-card>
    <iframe src="/frame?SECRET" srcdoc="<p class=inner>SECRET" title="SECRET"></iframe></body></html>"#;

fn structures(stage: &Stage) -> Result<Vec<String>> {
    let all = stage.worker.eval(
        "(async () => {
            const { tab } = latest('arrived').from;
            const all = await chrome.scripting.executeScript({ target: { tabId: tab, allFrames: true }, files: ['structure.js'] });
            return all.sort((a, b) => a.frameId - b.frameId).map(one => one.result);
        })()",
    )?;
    let all = all.as_array().context("no structures")?;
    all.iter().map(|one| Ok(one.as_str().context("no structure")?.to_owned())).collect()
}

#[test]
fn a_structure_holds_no_secret_and_what_a_rule_needs() -> Result<()> {
    let stage = Stage::new()?;
    let url = stage.site.page("/Ticket/4711/SECRET%20x/Display.html", Served::html(PAGE));
    let begin = stage.said()?;
    let page = stage.browser.page(&format!("{url}?id=SECRET&jane%40secret.example=1#SECRET"))?;
    stage.worker.until(&format!(
        "seen.slice({begin}).some(one => one.message.page === 'arrived' && one.from.frame === 0)"
    ))?;
    page.eval("document.querySelector('#customer').value = 'SECRET'")?;
    let all = structures(&stage)?;
    println!("{}", all.join("\n---\n"));
    let text = all.join("\n");
    assert!(!text.to_lowercase().contains("secret") && !text.contains('@'), "{text}");
    // How often something is there, and which heading, are no digits of the page.
    let digits = text.replace(" ×2", "").replace(" ×3", "").replace("h1", "h");
    assert!(!digits.contains(|c: char| c.is_ascii_digit() && c != '0'), "{digits}");
    for part in [
        "http://…/Ticket/0000/…/Display.html?id=…",
        "body#comp-Ticket-Display.page.…",
        "div#… [data-ticket-id] [aria-label] role=main",
        "h1#header",
        "p ×2",
        "label \"Customer 00\"",
        "input#customer",
        "type=password",
        "dt \"Requester\"",
        "dt \"…\"",
        "th \"Status\"",
        "td.value",
        ">>>",
        "span.field-label \"Company\"",
        "meta name=generator",
    ] {
        assert!(text.contains(part), "{part} is missing:\n{text}");
    }
    Ok(())
}

#[test]
fn a_structure_is_bounded_however_large_the_page_is() -> Result<()> {
    let stage = Stage::new()?;
    let page = stage.strict_ticket()?;
    page.eval(
        "for (let i = 0; i < 20000; i++) {
            const one = document.createElement('div');
            one.className = Array.from({length: 50}, (_, n) => 'name-' + 'abcdefghij'[(i >> n) & 7] + 'x'.repeat(20)).join(' ');
            one.append(document.createElement(i % 2 ? 'p' : 'b'));
            document.body.append(one);
        }
        let at = document.body.insertBefore(document.createElement('div'), document.body.firstChild);
        for (let i = 0; i < 400; i++) at = at.appendChild(document.createElement('div'));",
    )?;
    let all = structures(&stage)?;
    let text = all.first().context("no structure")?;
    assert!(text.len() < 300_000 && text.lines().count() < 6000, "{} bytes", text.len());
    assert!(text.contains("(the rest is left out)"), "{}", &text[text.len() - 200..]);
    Ok(())
}
