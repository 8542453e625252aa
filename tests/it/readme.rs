//! The commands in the README do what it says, exactly as they stand there.

use std::fs;
use std::path::Path;
use std::process::Command;

use serde_json::Value;
use tests::program::Program;

const README: &str = include_str!("../../README.md");

/// Newcomers get what they get when nothing is set.
const USUAL: [(&str, &str); 1] = [("TENANTRY_DEFAULT_PLAN", "free")];

/// The README's block of commands in which `words` stand.
fn block(words: &str) -> &'static str {
    let blocks = README.split("```sh\n").skip(1).map(|rest| rest.split("```").next().unwrap_or_default());
    let found: Vec<_> = blocks.filter(|block| block.contains(words)).collect();
    assert_eq!(found.len(), 1, "blocks of the README with {words}");
    found[0]
}

/// Runs the commands, and then the one that lists documents until one is processed. Returns the answers.
fn typed(commands: &str, program: &Program, folder: &Path) -> Vec<Value> {
    let listing = commands.lines().find(|line| line.starts_with("curl $API") && line.contains("/documents "));
    let listing = listing.expect("the README lists the documents");
    let patience = format!(
        r#"for _ in $(seq 450); do
            LISTED=$({listing} -s)
            case $LISTED in *'"status":"processed"'*) break;; esac
            sleep 0.2
        done
        echo "$LISTED""#
    );
    let mut output = bash(&format!("{commands}\n{patience}"), program, folder);
    let output = output.env("OPERATOR_KEY", &program.operator_key).output().expect("bash is installed");
    let said = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{said}\n{}", String::from_utf8_lossy(&output.stderr));
    let answers: Result<Vec<Value>, _> = serde_json::Deserializer::from_str(&said).into_iter().collect();
    answers.map_err(|error| format!("{error} in what was answered: {said}")).unwrap()
}

/// The commands, for the address of `program`.
fn bash(commands: &str, program: &Program, folder: &Path) -> Command {
    let address = program.url.strip_prefix("http://").expect("the program speaks HTTP");
    let mut bash = Command::new("bash");
    bash.args(["-e", "-c", &commands.replace("localhost:8080", address)]).current_dir(folder);
    bash
}

#[test]
fn from_the_operators_key_to_the_graph() {
    let data = tempfile::tempdir().unwrap();
    let program = Program::dev_with(data.path(), &USUAL);
    fs::write(data.path().join("notes.md"), tests::texts::short("Bluebird")).unwrap();
    // A person who comes back types the same again.
    for time in ["first", "second"] {
        let answers = typed(block("file=@notes.md"), &program, data.path());
        let [accepted, listed, graph, last] = answers.as_slice() else { panic!("{time}: {answers:?}") };
        assert!(accepted["documents"][0]["document_id"].is_string(), "{time}: {accepted}");
        assert_eq!(listed["documents"][0]["name"], "notes.md", "{time}: {listed}");
        assert!(graph["entities"].is_array(), "{time}: {graph}");
        assert_eq!(last["documents"][0]["status"], "processed", "{time}: {last}");
    }
}

#[test]
fn a_key_that_is_missing_or_wrong_is_said_to_be() {
    let data = tempfile::tempdir().unwrap();
    let program = Program::dev(data.path());
    let commands = block("file=@notes.md");
    let said = |key: Option<&str>| {
        let mut bash = bash(commands, &program, data.path());
        match key {
            Some(key) => bash.env("OPERATOR_KEY", key),
            None => bash.env_remove("OPERATOR_KEY"),
        };
        let output = bash.output().unwrap();
        assert!(!output.status.success() && output.stdout.is_empty(), "{output:?}");
        String::from_utf8(output.stderr).unwrap()
    };
    let missing = said(None);
    assert!(missing.contains("OPERATOR_KEY: make dev shows it"), "{missing}");
    let wrong = said(Some("op_wrong"));
    assert!(wrong.contains("error: 401") && wrong.contains("KEY: no tenant was made"), "{wrong}");
}

#[test]
fn from_sign_up_to_the_first_document() {
    let data = tempfile::tempdir().unwrap();
    let program = Program::dev_with(data.path(), &[("TENANTRY_SIGNUP", "on"), USUAL[0]]);
    fs::write(data.path().join("README.md"), README).unwrap();
    let commands = block("/signup");
    assert_eq!(commands.lines().count(), 5, "five lines are promised");
    for time in ["first", "second"] {
        let answers = typed(commands, &program, data.path());
        let [made, accepted, listed, last] = answers.as_slice() else { panic!("{time}: {answers:?}") };
        if time == "first" {
            assert_eq!(
                (&made["username"], &made["tenant"]["id"]),
                (&"ann".into(), &"birch".into()),
                "{made}"
            );
        } else {
            assert_eq!(made["status"], 409, "{made}");
        }
        assert!(accepted["documents"][0]["document_id"].is_string(), "{time}: {accepted}");
        assert_eq!(listed["documents"][0]["name"], "README.md", "{time}: {listed}");
        assert_eq!(last["documents"][0]["status"], "processed", "{time}: {last}");
    }
}
