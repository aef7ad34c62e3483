//! The administrator's recognition rules: handed to the extension, followed when their files change, left out when at fault.

use super::*;

const DESK: &str = r#"{"system": "desk", "name": "Desk", "source": "ours", "hosts": ["desk.example.com"],
    "addresses": [{"source": "seen", "path": "/t/(?<id>[0-9]+)"}], "link": "{origin}/t/{id}",
    "number": [{"source": "seen", "address": "id"}]}"#;

async fn with_rules() -> (World, TempDir) {
    let world = World::new().await;
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("desk.json"), DESK).unwrap();
    let path = folder.path().display();
    let text = configuration().replacen("[broker]", &format!("[broker]\nrules = \"{path}\""), 1);
    world.broker.load_settings(&text).await.unwrap();
    (world, folder)
}

impl World {
    async fn rules(&self) -> (Vec<String>, Vec<String>) {
        let overview = self.broker.overview(&self.caller("tech1")).await.unwrap();
        (overview.rules, overview.notices.into_iter().map(|notice| notice.text).collect())
    }
}

#[tokio::test]
async fn rules_reach_the_extension_and_follow_their_files() {
    let (world, folder) = with_rules().await;
    let (rules, notices) = world.rules().await;
    assert_eq!((rules.len(), notices.len()), (1, 0));
    assert!(rules[0].contains("desk.example.com") && !rules[0].contains("source"));
    std::fs::write(folder.path().join("other.json"), DESK.replace("desk", "other")).unwrap();
    let heard = world.broker.events().is_heard();
    world.broker.follow_rules().await;
    assert_eq!((world.rules().await.0.len(), heard), (2, false));
    std::fs::remove_file(folder.path().join("desk.json")).unwrap();
    world.broker.follow_rules().await;
    let (rules, _) = world.rules().await;
    assert!(rules.len() == 1 && rules[0].contains("other.example.com"));
    let audit = world.ledger.audit(AuditQuery::default()).await.unwrap();
    assert_eq!(audit.iter().filter(|record| record.action == "broker.rules_loaded").count(), 2);
}

#[tokio::test]
async fn a_faulty_rule_is_left_out_and_said_with_file_and_line_and_nothing_else_changes() {
    let (world, folder) = with_rules().await;
    std::fs::write(folder.path().join("bad.json"), "{\n  \"system\": \"bad\",\n  \"script\": 1\n}").unwrap();
    world.broker.follow_rules().await;
    let (rules, notices) = world.rules().await;
    assert_eq!(rules.len(), 1);
    assert!(notices[0].contains("bad.json:1: ") || notices[0].contains("bad.json:3: "), "{notices:?}");
    assert!(notices[0].contains("ticketgate rules check"));
    world.try_activate("domain", "k1", 3600).await.unwrap();
    std::fs::remove_file(folder.path().join("bad.json")).unwrap();
    world.broker.follow_rules().await;
    assert_eq!(world.rules().await.1, [""; 0]);
}

#[tokio::test]
async fn rules_that_did_not_change_are_not_read_again() {
    let (world, _folder) = with_rules().await;
    let before = world.broker.settings();
    world.broker.follow_rules().await;
    assert!(Arc::ptr_eq(&before, &world.broker.settings()));
}
