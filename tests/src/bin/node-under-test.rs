//! The `lockgate` command again, as a program that cargo builds for the tests of this crate: they
//! look at a node's memory and at its log, which a node inside the test's process would share.

use std::process::ExitCode;

fn main() -> ExitCode {
    lockgate_node::cli::main()
}
