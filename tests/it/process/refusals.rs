//! What a program says when it cannot start: one sentence that names the setting, its value and the fix.

use std::fs;
use std::net::TcpListener;
use std::path::Path;

use fair_queue::testing::RedisServer;
use tests::program::output;

const KEY: &str = "0123456789abcdef0123456789abcdef";
const STAMP_KEY: &str = "k1:AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA";
const PASSWORD: &str = "s3cret-s3cret-s3cret-s3cret-s3cret";

/// One way to start a program wrongly, and the sentence that it ends with.
struct Start<'a> {
    program: &'static str,
    arguments: Vec<&'a str>,
    settings: Vec<(&'static str, &'a str)>,
}

fn dev<'a>(data: &'a Path, more: &[&'a str]) -> Start<'a> {
    let mut arguments = vec!["dev", "--data-dir", data.to_str().unwrap()];
    if !more.contains(&"--listen") {
        arguments.extend(["--listen", "127.0.0.1:0"]);
    }
    arguments.extend(more);
    Start { program: "tenantry", arguments, settings: Vec::new() }
}

impl<'a> Start<'a> {
    fn with(mut self, settings: &[(&'static str, &'a str)]) -> Self {
        self.settings.extend(settings);
        self
    }

    /// The sentence, after checks that hold for all.
    fn sentence(&self) -> String {
        let output = output(self.program, &self.arguments, &self.settings);
        let said = String::from_utf8(output.stderr).unwrap();
        assert!(!output.status.success(), "{said}");
        let lines: Vec<_> = said.lines().filter(|line| line.starts_with("error: ")).collect();
        assert_eq!(lines.len(), 1, "one line says why: {said}");
        for unwanted in ["os error", PASSWORD, "panicked", "RUST_BACKTRACE"] {
            assert!(!said.contains(unwanted), "{unwanted}: {said}");
        }
        lines[0].trim_start_matches("error: ").to_owned()
    }
}

fn api<'a>(data: &'a Path, redis_url: &'a str) -> Start<'a> {
    let settings = vec![
        ("TENANTRY_DATA_DIR", data.to_str().unwrap()),
        ("REDIS_URL", redis_url),
        ("TENANTRY_STAMP_KEYS", STAMP_KEY),
        ("TENANTRY_KEY_SECRET", KEY),
    ];
    Start { program: "api-thin", arguments: vec!["--listen", "127.0.0.1:0"], settings }
}

#[test]
fn addresses() {
    let data = tempfile::tempdir().unwrap();
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    let expected = "cannot be used: expected an address and a port, such as 127.0.0.1:8080, or 0.0.0.0:8080 for every \
                    network";
    let start = Start { program: "tenantry", arguments: vec!["dev"], settings: Vec::new() };
    assert_eq!(
        start.with(&[("TENANTRY_LISTEN", "here:18103")]).sentence(),
        format!("TENANTRY_LISTEN: \"here:18103\" {expected}")
    );
    assert_eq!(
        dev(data.path(), &["--listen", "18103"]).sentence(),
        format!("--listen: \"18103\" {expected}")
    );
    assert_eq!(
        dev(data.path(), &["--listen", &address]).sentence(),
        format!(
            "TENANTRY_LISTEN: another program listens on {address}: stop it, or choose another port (0 is a free one)"
        )
    );
}

#[test]
fn values_that_are_none() {
    let data = tempfile::tempdir().unwrap();
    let start = |settings: &[(&'static str, &'static str)]| dev(data.path(), &[]).with(settings).sentence();
    assert_eq!(
        start(&[("TENANTRY_CONCURRENCY", "many")]),
        "TENANTRY_CONCURRENCY: \"many\" cannot be used: expected a whole number such as 16"
    );
    assert_eq!(
        start(&[("TENANTRY_SIGNUP", "maybe")]),
        "TENANTRY_SIGNUP: \"maybe\" cannot be used: expected one of on, off"
    );
    assert_eq!(
        start(&[("TENANTRY_CORS_ORIGINS", "https://app.example.com, https://Other.example.com/")]),
        "TENANTRY_CORS_ORIGINS: \"https://Other.example.com/\" is no origin: browsers send https://other.example.com: write \
         that"
    );
    let required = start(&[("TENANTRY_REQUIRE_AUTH", "off")]);
    assert!(
        required.starts_with("TENANTRY_REQUIRE_AUTH: ") && required.contains("TENANTRY_MULTI_TENANT=off")
    );
    let api = |settings: &[(&'static str, &'static str)]| {
        let start = Start { program: "api-thin", arguments: Vec::new(), settings: Vec::new() };
        start.with(settings).sentence()
    };
    let redis = ("REDIS_URL", "redis://127.0.0.1:1");
    // An empty variable counts as not set.
    assert_eq!(api(&[("REDIS_URL", "")]), "REDIS_URL is not set: set it, or give --redis-url <URL>");
    assert_eq!(
        api(&[redis, ("TENANTRY_DATA_DIR", data.path().to_str().unwrap().to_owned().leak())]),
        "TENANTRY_KEY_SECRET: not set: make a secret with `openssl rand -hex 32` and keep it"
    );
}

#[test]
fn keys() {
    let data = tempfile::tempdir().unwrap();
    let with = |name, value| api(data.path(), "redis://127.0.0.1:1").with(&[(name, value)]).sentence();
    let short = with("TENANTRY_STAMP_KEYS", "k1:short");
    assert!(short.starts_with("TENANTRY_STAMP_KEYS: ") && short.contains("tenantry keygen"), "{short}");
    let made = dev(data.path(), &[]).with(&[("TENANTRY_OPERATOR_KEY", "short")]).sentence();
    assert!(made.starts_with("TENANTRY_OPERATOR_KEY: ") && made.contains("openssl rand -hex 32"), "{made}");
    fs::write(data.path().join("secrets.env"), "TENANTRY_STAMP_KEYS=\n").unwrap();
    let gone = dev(data.path(), &[]).sentence();
    assert!(gone.contains("secrets.env has no TENANTRY_OPERATOR_KEY: restore the file"), "{gone}");
}

#[test]
fn data_directories() {
    let base = tempfile::tempdir().unwrap();
    let file = base.path().join("file");
    fs::write(&file, "").unwrap();
    let shown = file.display();
    assert_eq!(dev(&file, &[]).sentence(), format!("TENANTRY_DATA_DIR: {shown} is a file: name a directory"));
    assert_eq!(
        dev(&file.join("inner"), &[]).sentence(),
        format!("TENANTRY_DATA_DIR: {shown}/inner lies below a file: name a directory")
    );
    let nowhere = dev(Path::new("/proc/tenantry"), &[]).sentence();
    assert!(nowhere.starts_with("TENANTRY_DATA_DIR: /proc/tenantry "), "{nowhere}");
}

#[test]
fn catalogs() {
    let base = tempfile::tempdir().unwrap();
    let damaged = base.path().join("damaged");
    fs::create_dir(&damaged).unwrap();
    fs::write(damaged.join("catalog.db"), "no database ".repeat(1_000)).unwrap();
    let said = dev(&damaged, &[]).sentence();
    let shown = damaged.join("catalog.db");
    assert_eq!(
        said,
        format!(
            "TENANTRY_DATA_DIR: {} is damaged ((code: 26) file is not a database): restore it from a copy, or choose another \
             directory",
            shown.display()
        )
    );
    let newer = base.path().join("newer");
    drop(tests::program::Program::dev(&newer));
    let catalog = newer.join("catalog.db");
    let insert = "insert into _sqlx_migrations select 9999, 'later', installed_on, 1, checksum, 0 from \
                  _sqlx_migrations limit 1";
    let python = "import sqlite3, sys; c = sqlite3.connect(sys.argv[1]); c.execute(sys.argv[2]); c.commit()";
    let changed =
        std::process::Command::new("python3").args(["-c", python]).arg(&catalog).arg(insert).status();
    assert!(changed.unwrap().success());
    assert_eq!(
        dev(&newer, &[]).sentence(),
        format!(
            "TENANTRY_DATA_DIR: {} was written by a newer version of Tenantry: run that one, or choose another directory",
            catalog.display()
        )
    );
}

#[test]
fn redis_servers() {
    let data = tempfile::tempdir().unwrap();
    let away = format!("redis://:{PASSWORD}@127.0.0.1:1/");
    assert_eq!(
        api(data.path(), &away).sentence(),
        "REDIS_URL: no Redis answers at redis://127.0.0.1:1/ (Connection refused): start it, or correct the address"
    );
    assert_eq!(
        dev(data.path(), &["--redis-url", &away]).sentence(),
        "REDIS_URL: no Redis answers at redis://127.0.0.1:1/ (Connection refused): start it, or correct the address"
    );
    let unreadable = api(data.path(), PASSWORD).sentence();
    assert!(unreadable.starts_with("REDIS_URL: the URL cannot be read: expected redis://"), "{unreadable}");
    let locked = RedisServer::start(&["--requirepass", "right"]).unwrap();
    let (port, url) = (locked.port(), locked.url());
    assert_eq!(
        api(data.path(), &url).sentence(),
        format!("REDIS_URL: the Redis at {url} asks for a password: write it as redis://:password@host:port")
    );
    let wrong = format!("redis://:{PASSWORD}@127.0.0.1:{port}");
    assert_eq!(
        api(data.path(), &wrong).sentence(),
        format!("REDIS_URL: the Redis at {url} refuses the user or the password: correct them in the URL")
    );
    let evicting = RedisServer::start(&["--maxmemory-policy", "allkeys-lru"]).unwrap();
    let said = api(data.path(), &evicting.url()).sentence();
    let expected = format!("REDIS_URL: {}: Redis has maxmemory-policy allkeys-lru", evicting.url());
    assert!(said.starts_with(&expected) && said.contains("config set maxmemory-policy noeviction"), "{said}");
}

#[test]
fn servers_of_data() {
    let (data, redis) = (tempfile::tempdir().unwrap(), RedisServer::start(&[]).unwrap());
    let (postgres, mongo, neo4j) = (
        format!("postgres://app:{PASSWORD}@127.0.0.1:1/tenantry"),
        format!("mongodb://app:{PASSWORD}@127.0.0.1:1/tenantry"),
        format!("bolt://neo4j:{PASSWORD}@127.0.0.1:1"),
    );
    let url = redis.url();
    let start = |settings: &[(&'static str, &str)]| api(data.path(), &url).with(settings).sentence();
    assert_eq!(
        start(&[("MONGO_URL", &mongo), ("NEO4J_URL", &neo4j)]),
        "POSTGRES_URL: not set: set it, because MONGO_URL and NEO4J_URL name servers beside PostgreSQL, or unset those \
         two for embedded stores"
    );
    assert_eq!(
        start(&[("POSTGRES_URL", &postgres), ("TENANTRY_DOCUMENTS", "mongo")]),
        "MONGO_URL: not set: set it, because TENANTRY_DOCUMENTS is mongo"
    );
    assert_eq!(
        start(&[("POSTGRES_URL", &postgres), ("NEO4J_URL", &neo4j), ("TENANTRY_GRAPH", "sql")]),
        "TENANTRY_GRAPH: is sql, but NEO4J_URL is set: unset one of them"
    );
    assert_eq!(
        start(&[("POSTGRES_URL", &postgres), ("MONGO_URL", &mongo), ("NEO4J_URL", &neo4j)]),
        "POSTGRES_URL: no PostgreSQL answers at postgres://127.0.0.1:1/tenantry (connection refused): start it, or \
         correct the address"
    );
    assert_eq!(
        start(&[("TENANTRY_BLOBS_URL", "ftp://bucket")]),
        "TENANTRY_BLOBS_URL: ftp://bucket is no place: expected s3://bucket or s3://bucket/prefix"
    );
    let migrate = Start { program: "tenantry", arguments: vec!["migrate"], settings: Vec::new() };
    let admin = format!("postgres://owner:{PASSWORD}@127.0.0.1:1/tenantry");
    assert_eq!(
        migrate.with(&[("POSTGRES_URL", &postgres), ("POSTGRES_ADMIN_URL", &admin)]).sentence(),
        "POSTGRES_ADMIN_URL: no PostgreSQL answers at postgres://127.0.0.1:1/tenantry (connection refused): start it, \
         or correct the address"
    );
}

#[test]
fn files() {
    let data = tempfile::tempdir().unwrap();
    let plans = data.path().join("plans.toml");
    let shown = plans.to_str().unwrap();
    assert_eq!(
        dev(data.path(), &["--plans", shown]).sentence(),
        format!(
            "TENANTRY_PLANS: {shown}: the file cannot be read (no such file or directory): name a TOML file that this \
             process may read"
        )
    );
    fs::write(&plans, "[plan.free]\ncap = \"two\"\n").unwrap();
    let said = dev(data.path(), &["--plans", shown]).sentence();
    assert!(
        said.starts_with(&format!(
            "TENANTRY_PLANS: {shown}: line 2: cap = \"two\": invalid type: string \"two\""
        )),
        "{said}"
    );
    let demo =
        Start { program: "tenantry", arguments: vec!["demo", "--docs", "/nowhere"], settings: Vec::new() };
    let said = demo.sentence();
    assert!(said.starts_with("--samples: docker/demo cannot be read"), "{said}");
    let samples = concat!(env!("CARGO_MANIFEST_DIR"), "/../docker/demo");
    let arguments = vec!["demo", "--samples", samples, "--docs", "/nowhere"];
    assert_eq!(
        Start { program: "tenantry", arguments, settings: Vec::new() }.sentence(),
        "--docs: /nowhere does not exist: name a folder with text, Markdown or HTML files"
    );
}
