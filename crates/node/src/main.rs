//! The `lockgate` command; everything it does is in the library.

use std::process::ExitCode;

fn main() -> ExitCode {
    lockgate_node::cli::main()
}
