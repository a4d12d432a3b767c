//! The `lockgate-loadgen` command; everything it does is in the library.

use std::process::ExitCode;

fn main() -> ExitCode {
    lockgate_loadgen::cli::main()
}
