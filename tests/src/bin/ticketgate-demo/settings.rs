//! What the broker of the demo is told: customers, directories, policies.

use ticketgate_tests::Result;
use ticketgate_tests::product::{Configuration, Policy, configuration};
use ticketgate_tests::samba::SambaAd;

use crate::northwind::Northwind;
use crate::standins::{CONTOSO, EXCHANGE, GLOBEX, StandIns};

/// Without the machine where there is none.
pub(crate) fn settings(
    [acme, globex, initech]: [&SambaAd; 3],
    northwind: Option<&Northwind>,
    tenants: &StandIns,
) -> Result<Configuration> {
    let right = |ad: &SambaAd, short| vec![ad.group(short).to_owned()];
    let policy = |id, name, directory, rights| Policy {
        id,
        name,
        directory,
        rights,
        ticket: true,
        one_click: true,
        ..Policy::default()
    };
    let mut all = Configuration::empty()
        .broker("administrators = [\"tech1\"]")
        .technician("tech1", &configuration::login(), &["tier2"], &[])
        .customer("acme", "Acme Corp", &["ACME"])
        .customer("globex", "Globex", &[])
        .customer("initech", "Initech", &[])
        .customer("contoso", CONTOSO, &[])
        .directory("acme-ad", "acme", acme)
        .directory("globex-ad", "globex", globex)
        .directory("initech-ad", "initech", initech)
        .with(&tenants.globex.section(GLOBEX, "globex")?)
        .with(&tenants.contoso.section("contoso-entra", "contoso")?)
        .policy(&policy("acme-domain-admin", "Domain Admin", "acme-ad", right(acme, "domain_admins")))
        .policy(&policy("globex-domain-admin", "Domain Admin", "globex-ad", right(globex, "domain_admins")))
        .with(&both(globex))
        .policy(&Policy {
            mode: "burner",
            ..policy("initech-helpdesk", "Helpdesk", "initech-ad", right(initech, "helpdesk"))
        })
        // Entra ID takes no right away in its first five minutes; with the account it goes at once.
        .policy(&Policy {
            mode: "burner",
            ..policy("contoso-exchange", "Exchange", "contoso-entra", vec![EXCHANGE.to_owned()])
        });
    if let Some(northwind) = northwind {
        all = all.customer("northwind", "Northwind", &[]).with(&northwind.section()).policy(&policy(
            "northwind-root",
            "Root by sudo",
            crate::northwind::NAME,
            vec!["sudo:ALL".to_owned()],
        ));
    }
    Ok(all)
}

/// One session in two directories: all or nothing.
fn both(globex: &SambaAd) -> String {
    format!(
        "[[policy]]\nid = \"globex-both\"\nname = \"Domain and Exchange\"\ngrant = [\n\
         {{ directory = \"globex-ad\", rights = [{:?}] }},\n\
         {{ directory = \"{GLOBEX}\", mode = \"burner\", rights = [\"{EXCHANGE}\"] }}]\n\
         duration = {{ default = \"1h\", max = \"4h\", choices = [\"30m\", \"1h\", \"4h\"] }}\n\
         eligible = {{ groups = [\"tier2\"] }}\nticket = {{ required = true }}\n",
        globex.group("domain_admins")
    )
}
