//! Under which conditions the figures were taken.

use std::process::Command;

use serde::Serialize;

use super::cores::Cores;

#[derive(Debug, Serialize)]
pub(crate) struct Conditions {
    pub(crate) cpu: String,
    pub(crate) cores: usize,
    pub(crate) kernel: String,
    pub(crate) redis: String,
    pub(crate) commit: String,
    pub(crate) pinning: &'static str,
    pub(crate) runs: usize,
}

impl Conditions {
    pub(crate) fn read(cores: &Cores, runs: usize) -> Self {
        let cpu = std::fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
        let model = cpu.lines().find_map(|line| line.strip_prefix("model name")).unwrap_or("unknown");
        Self {
            cpu: model.trim_start_matches([' ', '\t', ':']).to_owned(),
            cores: cores.count,
            kernel: first_line("uname", &["-sr"]),
            redis: first_line("redis-server", &["--version"]),
            commit: first_line("git", &["describe", "--always", "--dirty", "--abbrev=12"]),
            pinning: cores.describe(),
            runs,
        }
    }
}

fn first_line(program: &str, arguments: &[&str]) -> String {
    let output = Command::new(program).args(arguments).output();
    let text = output.map(|output| String::from_utf8_lossy(&output.stdout).into_owned()).unwrap_or_default();
    text.lines().next().unwrap_or("unknown").to_owned()
}
