//! The crates depend on each other as docs/architecture.md draws them, and the documents' links lead somewhere.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a helper of a test fails as the test does"
)]

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use lockgate_tests::tools;
use serde_json::Value;

/// The crates that meet in routing and nowhere else.
const SIDES: [&str; 3] = ["ingest", "egress", "signalling"];

/// A `main.rs` that is longer does something itself.
const MAIN_LINES: usize = 30;

/// The documents whose links are followed.
const DOCUMENTS: [&str; 10] = [
    "README.md",
    "README.zh-CN.md",
    "CONTRIBUTING.md",
    "CHANGELOG.md",
    "docs/architecture.md",
    "docs/benchmarks.md",
    "docs/performance.md",
    "docs/webrtc.md",
    "deploy/README.md",
    "fuzz/README.md",
];

type Graph = BTreeMap<String, BTreeSet<String>>;

#[test]
fn the_crate_graph_in_the_document_is_the_one_cargo_sees() {
    let built = built(|kind| kind.is_none());
    assert_eq!(drawn(), built, "docs/architecture.md, then cargo metadata");
}

#[test]
fn ingest_egress_and_signalling_never_reach_each_other() {
    let graph = built(|_| true);
    for side in SIDES {
        let reached = reach(&graph, side);
        for other in SIDES {
            assert!(
                other == side || !reached.contains(other),
                "{side} -> {other}"
            );
        }
    }
}

#[test]
fn media_is_at_the_bottom_and_node_at_the_top() {
    let graph = built(|kind| kind.is_none());
    assert_eq!(graph.get("media").unwrap(), &BTreeSet::new());
    let above_node: Vec<_> = graph
        .iter()
        .filter(|(_, below)| below.contains("node"))
        .map(|(name, _)| name.as_str())
        .collect();
    assert_eq!(above_node, ["tests"]);
    let below_node = reach(&graph, "node");
    for side in SIDES.iter().filter(|side| graph.contains_key(**side)) {
        assert!(below_node.contains(*side), "node -> {side}");
    }
}

#[test]
fn every_crate_has_a_row_that_says_what_it_owns() {
    let document = read("docs/architecture.md");
    for name in built(|_| true).keys() {
        assert!(document.contains(&format!("\n| `{name}` |")), "{name}");
    }
}

#[test]
fn every_main_is_short() {
    let metadata = metadata();
    let targets = array(&metadata, "packages")
        .iter()
        .flat_map(|package| array(package, "targets"));
    let mut seen = 0;
    for target in targets {
        let path = Path::new(text(target, "src_path"));
        if path.ends_with("src/main.rs") {
            let lines = fs::read_to_string(path).unwrap().lines().count();
            assert!(lines < MAIN_LINES, "{}: {lines} lines", path.display());
            seen += 1;
        }
    }
    assert!(seen > 0, "no package has a main.rs");
}

#[test]
fn links_in_the_documents_lead_to_files() {
    for document in DOCUMENTS {
        let directory = tools::workspace().join(document);
        let directory = directory.parent().unwrap();
        for link in links(&read(document)) {
            let path = link.split('#').next().unwrap();
            let remote = link.contains("://") || path.is_empty();
            assert!(
                remote || directory.join(path).exists(),
                "{document}: {link} leads nowhere"
            );
        }
    }
}

/// The graph in the document: lines of `crate -> crates it uses`.
fn drawn() -> Graph {
    let document = read("docs/architecture.md");
    let block = document
        .split("```crates\n")
        .nth(1)
        .and_then(|rest| rest.split("\n```").next())
        .expect("docs/architecture.md has a block that opens with ```crates");
    let edges = block.lines().map(|line| {
        let (name, below) = line.split_once("->").unwrap_or((line, ""));
        let below = below.split_whitespace().map(str::to_owned).collect();
        (name.trim().to_owned(), below)
    });
    edges.collect()
}

/// The graph of the workspace's own crates, by the kinds of dependency asked for.
fn built(takes: impl Fn(Option<&str>) -> bool) -> Graph {
    let metadata = metadata();
    let packages = array(&metadata, "packages");
    let own: BTreeSet<_> = packages.iter().map(|it| text(it, "name")).collect();
    let edges = packages.iter().map(|package| {
        let below = array(package, "dependencies")
            .iter()
            .filter(|it| takes(it.get("kind").and_then(Value::as_str)))
            .map(|it| text(it, "name"))
            .filter(|name| own.contains(name))
            .map(short);
        (short(text(package, "name")), below.collect())
    });
    edges.collect()
}

fn reach(graph: &Graph, from: &str) -> BTreeSet<String> {
    let mut reached = BTreeSet::new();
    let mut todo = vec![from.to_owned()];
    while let Some(name) = todo.pop() {
        for below in graph.get(&name).into_iter().flatten() {
            if reached.insert(below.clone()) {
                todo.push(below.clone());
            }
        }
    }
    reached
}

fn metadata() -> Value {
    let output = Command::new(env!("CARGO"))
        .args(["metadata", "--no-deps", "--format-version=1", "--offline"])
        .current_dir(tools::workspace())
        .output()
        .unwrap();
    let error = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "cargo metadata: {error}");
    serde_json::from_slice(&output.stdout).unwrap()
}

/// Targets of inline links: `[text](target)`.
fn links(markdown: &str) -> Vec<&str> {
    let after = markdown.split("](").skip(1);
    after.filter_map(|it| it.split(')').next()).collect()
}

fn short(package: &str) -> String {
    package.trim_start_matches("lockgate-").to_owned()
}

fn read(path: &str) -> String {
    let path: PathBuf = tools::workspace().join(path);
    fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

fn array<'a>(value: &'a Value, key: &str) -> &'a Vec<Value> {
    let array = value.get(key).and_then(Value::as_array);
    array.unwrap_or_else(|| panic!("no array {key}"))
}

fn text<'a>(value: &'a Value, key: &str) -> &'a str {
    let text = value.get(key).and_then(Value::as_str);
    text.unwrap_or_else(|| panic!("no text {key}"))
}
