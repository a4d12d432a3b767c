//! The `lockgate` command; everything it does is in the library.

use std::process::ExitCode;

use tikv_jemallocator::Jemalloc;

/// A packet is freed seconds after it came, by when its memory has left the CPU's caches: this one
/// keeps its books elsewhere, so that to free it touches nothing of it.
#[global_allocator]
static ALLOCATOR: Jemalloc = Jemalloc;

fn main() -> ExitCode {
    lockgate_node::cli::main()
}
