//! `tenantry top`: tenants by what waits, once, and live at a terminal.

use std::io::{Read as _, Write as _};
use std::process::{Command, Stdio};

use tests::bed::Bed;

use super::{dead_letter, member, operator, waiting_job};

#[tokio::test]
async fn tenants_are_listed_by_what_waits() {
    let bed = Bed::embedded().await;
    let (acme, twin) = bed.look_alikes().await;
    waiting_job(&twin).await;
    waiting_job(&twin).await;
    waiting_job(&acme).await;
    dead_letter(&acme, "empty.html").await;
    bed.provision("idle").await;
    let rows = operator(&bed).json(&["top", "--once"]).await;
    let said = rows.as_array().unwrap().iter().map(|row| {
        let number = |field: &str| row[field].as_u64().unwrap();
        (
            row["tenant"].as_str().unwrap(),
            row["state"].as_str().unwrap(),
            number("waiting"),
            number("dead_letters"),
        )
    });
    let said: Vec<_> = said.collect();
    assert_eq!(said, [(twin.id.as_str(), "waiting", 2, 0), (acme.id.as_str(), "waiting", 1, 1)], "{rows}");
    let table = operator(&bed).run(&["top", "--once"]).await.done().out;
    assert!(table.starts_with("TENANT") && table.contains(&twin.id), "{table}");
    let own = member(&bed, &acme).json(&["top", "--once"]).await;
    assert_eq!(own.as_array().unwrap().len(), 1, "{own}");
}

/// Without a terminal it prints table after table until its reader has seen enough.
#[tokio::test]
async fn without_a_terminal_tables_follow_each_other() {
    let bed = Bed::embedded().await;
    let (acme, _) = bed.look_alikes().await;
    waiting_job(&acme).await;
    let mut command = operator(&bed).command();
    command.args(["top", "--every", "1"]).stdout(Stdio::piped());
    let read = tokio::task::spawn_blocking(move || {
        let mut child = command.spawn().unwrap();
        let mut out = child.stdout.take().unwrap();
        let (mut text, mut bytes) = (String::new(), [0; 4096]);
        while text.matches("TENANT").count() < 2 {
            let read = out.read(&mut bytes).unwrap();
            assert!(read > 0, "it ended: {text}");
            text.push_str(std::str::from_utf8(&bytes[..read]).unwrap());
        }
        child.kill().unwrap();
        child.wait().unwrap();
        text
    });
    assert!(read.await.unwrap().contains(&acme.id));
}

/// `script` gives it a terminal; `q` ends it and leaves the terminal as it was.
#[tokio::test]
async fn at_a_terminal_it_is_live_and_q_ends_it() {
    let bed = Bed::embedded().await;
    let (acme, _) = bed.look_alikes().await;
    waiting_job(&acme).await;
    let cli = operator(&bed);
    let program = cli.command().get_program().to_str().unwrap().to_owned();
    let mut script = Command::new("script");
    cli.equip(&mut script);
    let typed = format!(
        "stty rows 20 cols 100; {program} top --every 1; echo ended $?; stty -a | tr ' ' '\\n' | grep icanon"
    );
    script.args(["--quiet", "--command", &typed, "/dev/null"]).env("TERM", "xterm");
    script.stdin(Stdio::piped()).stdout(Stdio::piped());
    let seen = tokio::task::spawn_blocking(move || {
        let mut child = script.spawn().expect("`script` is part of every Debian");
        let (mut stdin, mut out) = (child.stdin.take().unwrap(), child.stdout.take().unwrap());
        let (mut text, mut bytes) = (String::new(), [0; 4096]);
        let mut is_asked = false;
        loop {
            let read = out.read(&mut bytes).unwrap();
            if read == 0 {
                break;
            }
            text.push_str(&String::from_utf8_lossy(&bytes[..read]));
            if !is_asked && text.matches("q ends").count() > 1 {
                is_asked = true;
                stdin.write_all(b"q").unwrap();
            }
        }
        child.wait().unwrap();
        text
    });
    let seen = seen.await.unwrap();
    for expected in ["\u{1b}[?1049h", &acme.id, "1 waiting", "\u{1b}[?1049l", "ended 0", "\nicanon"] {
        assert!(seen.contains(expected), "no {expected:?}: {seen:?}");
    }
}
