//! Profiles: which API, which key, and who may read the file.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;

use serde_json::json;
use tests::bed::Bed;
use tests::cli::Cli;

use super::stub::Stub;

const KEY: &str = "tk_acme_9f86d081884c7d65_s3cret";

#[tokio::test]
async fn a_profile_is_kept_where_its_owner_alone_reads_it() {
    let cli = Cli::bare();
    let set = ["profile", "set", "work", "--url", "http://localhost:1/", "--key", "-", "--tenant", "acme"];
    let ran = cli.run_with(&set, &format!("{KEY}\n")).await.done();
    assert_eq!(ran.out, "profile work speaks to http://localhost:1\n");
    let _ =
        cli.run(&["profile", "set", "home", "--url", "http://localhost:2", "--kb", "papers"]).await.done();
    let path = cli.home().join(".config/tenantry/profiles.toml");
    let mode = fs::metadata(&path).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
    assert!(fs::read_to_string(&path).unwrap().contains(KEY));

    let expected = json!([
        { "name": "home", "current": false, "url": "http://localhost:2", "key": null, "tenant": null, "kb": "papers" },
        { "name": "work", "current": true, "url": "http://localhost:1", "key": "tk_acme_9f86d081884c7d65_…",
          "tenant": "acme", "kb": null },
    ]);
    assert_eq!(cli.json(&["profile", "list"]).await, expected);
    let table = cli.run(&["profile", "list"]).await.done().out;
    assert!(table.contains("work") && !table.contains("s3cret"), "{table}");

    let _ = cli.run(&["profile", "use", "home"]).await.done();
    assert_eq!(cli.json(&["profile", "list"]).await[0]["current"], true);
    cli.run(&["profile", "use", "wrk"]).await.refused(2, &["no profile wrk", "home, work"]);
    cli.run(&["jobs", "list", "--profile", "wrk"]).await.refused(2, &["no profile wrk"]);
    let _ = cli.run(&["profile", "delete", "home"]).await.done();
    assert!(!fs::read_to_string(&path).unwrap().contains("papers"));

    fs::set_permissions(&path, fs::Permissions::from_mode(0o644)).unwrap();
    cli.run(&["profile", "list"]).await.refused(2, &["other users may read", "chmod 600"]);
    fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap();
    fs::write(&path, format!("key = {KEY}")).unwrap();
    let ran = cli.run(&["profile", "list"]).await;
    ran.refused(2, &["profiles.toml cannot be used"]);
    assert!(!ran.err.contains("s3cret"), "{ran:?}");
}

#[tokio::test]
async fn a_profile_is_used_and_flags_and_variables_win() {
    let bed = Bed::embedded().await;
    let (acme, twin) = bed.look_alikes().await;
    let cli = Cli::bare();
    for tenant in [&acme, &twin] {
        let set = ["profile", "set", &tenant.id, "--url", &bed.url(), "--key", "-"];
        let _ = cli.run_with(&set, tenant.http.key()).await.done();
    }
    assert_eq!(cli.json(&["tenants", "show"]).await["id"], *acme.id);
    assert_eq!(cli.json(&["tenants", "show", "--profile", &twin.id]).await["id"], *twin.id);
    let by_variable = cli.with("TENANTRY_KEY", twin.http.key());
    assert_eq!(by_variable.json(&["tenants", "show"]).await["id"], *twin.id);
    let flag = ["tenants", "show", "--key", acme.http.key()];
    assert_eq!(by_variable.json(&flag).await["id"], *acme.id);
}

#[tokio::test]
async fn the_key_of_one_installation_is_not_sent_to_another() {
    let elsewhere = Stub::start("200 OK", "{}").await;
    let cli = Cli::bare();
    let set = ["profile", "set", "work", "--url", "http://localhost:1", "--key", KEY];
    let _ = cli.run(&set).await.done();
    let there = ["tenants", "show", "--url", &elsewhere.url];
    cli.run(&there).await.refused(2, &["the key of the profile work is for http://localhost:1"]);
    assert_eq!(elsewhere.requests(), [""; 0]);
    // Moving the profile leaves its key behind.
    let _ = cli.run(&["profile", "set", "work", "--url", &elsewhere.url]).await.done();
    let _ = cli.run(&["tenants", "show", "acme"]).await;
    let requests = elsewhere.requests();
    assert!(requests.len() == 1 && !requests[0].contains("authorization"), "{requests:?}");
}

#[tokio::test]
async fn completions_are_scripts_of_their_shell() {
    let cli = Cli::bare();
    for shell in ["bash", "zsh", "fish"] {
        let script = cli.run(&["completions", shell]).await.done().out;
        assert!(script.contains("dead-letters") && script.contains("explain"), "{shell}: {script}");
    }
    cli.run(&["completions", "tcsh"]).await.refused(2, &["bash"]);
    let script = cli.home().join("tenantry.bash");
    fs::write(&script, cli.run(&["completions", "bash"]).await.out).unwrap();
    let read = std::process::Command::new("bash").arg("-n").arg(&script).output().unwrap();
    assert!(read.status.success(), "{read:?}");
}
