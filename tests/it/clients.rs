//! Clients that are made out of the API's description, Python's and TypeScript's: the examples of `api-thin/README.md`
//! exactly as they stand there, and a longer walk with each (`tests/clients`). `make clients` brings the generators
//! along, and so does `make test`.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use tests::program::Program;

const README: &str = include_str!("../../api-thin/README.md");
/// The address that the examples are written for.
const ADDRESS: &str = "http://127.0.0.1:8080";
/// How many lines an example has, without what it imports.
const LINES: usize = 10;

/// A running program, and a folder in which the generators are installed.
struct Site {
    program: Program,
    folder: tempfile::TempDir,
    installed: PathBuf,
}

impl Site {
    fn new() -> Self {
        let installed = std::env::var("CLIENTS").ok().filter(|directory| !directory.is_empty());
        let installed = installed.expect("CLIENTS is the directory of the generators: make clients");
        let folder = tempfile::tempdir().unwrap();
        let program = Program::dev_with(&folder.path().join("data"), &[("TENANTRY_SIGNUP", "on")]);
        let site = Self { program, folder, installed: installed.into() };
        // Where Node.js looks for what a program imports.
        symlink(site.installed.join("node_modules"), site.folder.path().join("node_modules")).unwrap();
        site.write("package.json", r#"{ "type": "module" }"#);
        site
    }

    fn write(&self, name: &str, text: &str) {
        fs::write(self.folder.path().join(name), text.replace(ADDRESS, &self.program.url)).unwrap();
    }

    /// Runs commands in the folder. Returns what they print.
    fn run(&self, commands: &str) -> String {
        let output = self.output(commands);
        let said = String::from_utf8_lossy(&output.stdout).into_owned();
        assert!(output.status.success(), "{commands}\n{said}\n{}", String::from_utf8_lossy(&output.stderr));
        said
    }

    fn output(&self, commands: &str) -> Output {
        let python = self.installed.join("python");
        let path = std::env::var("PATH").unwrap_or_default();
        let programs = [python.join("bin"), self.installed.join("node_modules/.bin")];
        let programs = programs.map(|folder| folder.display().to_string()).join(":");
        Command::new("bash")
            .args(["-e", "-c", &commands.replace(ADDRESS, &self.program.url)])
            .current_dir(self.folder.path())
            .env("PATH", format!("{programs}:{path}"))
            .env("PYTHONPATH", python)
            .env("REDOCLY_TELEMETRY", "off")
            .env("REDOCLY_SUPPRESS_UPDATE_NOTICE", "true")
            .output()
            .expect("bash is installed")
    }
}

/// A file that lies beside the walks.
fn file(name: &str) -> String {
    fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("clients").join(name)).unwrap()
}

/// The README's example in a language.
fn example(language: &str) -> &'static str {
    let fence = format!("```{language}\n");
    let blocks = README.split(&fence).skip(1);
    let blocks: Vec<_> = blocks.map(|rest| rest.split("```").next().unwrap_or_default()).collect();
    assert_eq!(blocks.len(), 1, "examples in {language}");
    let lines = blocks[0].lines().filter(|line| !line.is_empty());
    let lines = lines.filter(|line| !line.starts_with("import ") && !line.starts_with("from "));
    assert!(lines.count() <= LINES, "an example in {language} has {LINES} lines without its imports");
    blocks[0]
}

/// The README's command that generates a client.
fn generation(program: &str) -> &'static str {
    let found: Vec<_> = README.lines().filter(|line| line.starts_with(&format!("{program} "))).collect();
    assert_eq!(found.len(), 1, "commands that begin with {program}");
    found[0]
}

#[test]
fn the_versions_that_the_page_names_are_those_that_are_tried() {
    let npm: serde_json::Value = serde_json::from_str(&file("package.json")).unwrap();
    let version = |name: &str| format!("{name}@{}", npm["dependencies"][name].as_str().unwrap());
    let python = file("requirements.txt");
    let named = [&version("openapi-typescript"), &version("openapi-fetch"), python.lines().next().unwrap()];
    for named in named {
        assert!(README.contains(named), "api-thin/README.md installs something else than {named}");
    }
    assert!(!example("python").is_empty() && !example("typescript").is_empty());
}

#[test]
#[ignore = "needs npm and pip: make clients"]
fn the_description_passes_the_linter() {
    let site = Site::new();
    site.write("redocly.yaml", &file("redocly.yaml"));
    site.run(&format!("curl --silent --fail {ADDRESS}/openapi.json --output openapi.json"));
    let output = site.output("redocly lint openapi.json --format github-actions --max-problems 1000");
    let said =
        format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success() && !said.contains("::error") && !said.contains("::warning"), "{said}");
    assert!(said.contains("valid"), "{said}");
}

#[test]
#[ignore = "needs npm and pip: make clients"]
fn a_python_client_works() {
    let site = Site::new();
    let said = site.run(&format!("{} 2>&1", generation("openapi-python-client")));
    assert!(!said.contains("WARNING") && !said.contains("ERROR"), "part of the API is left out: {said}");
    site.write("page.py", example("python"));
    assert_eq!(site.run("python3 page.py").trim(), "notes.md processed");
    site.write("walk.py", &file("walk.py"));
    site.run(&format!("python3 walk.py {ADDRESS}"));
}

#[test]
#[ignore = "needs npm and pip: make clients"]
fn a_typescript_client_works() {
    let site = Site::new();
    site.run(generation("npx openapi-typescript"));
    site.write("page.ts", example("typescript"));
    site.write("walk.ts", &file("walk.ts"));
    site.run(
        "tsc --strict --noUncheckedIndexedAccess --target es2022 --module esnext --moduleResolution bundler \
            --skipLibCheck --types node page.ts walk.ts",
    );
    assert_eq!(site.run("node page.js").trim(), "notes.md processed");
    site.run(&format!("node walk.js {ADDRESS}"));
}
