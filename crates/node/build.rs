//! Has the node built again when the console in `console/dist` was. It builds no console itself.

fn main() {
    // Its folder is there in a clean clone too, all but empty.
    println!("cargo::rerun-if-changed=../../console/dist");
}
