//! How the shared library is linked.

/// Part of the name under which programs look for the shared library: it changes when the interface is broken.
const ABI: &str = "0";

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    println!("cargo::rustc-env=MDNA_ABI={ABI}");
    println!("cargo::rustc-env=MDNA_TARGET={}", std::env::var("TARGET").unwrap_or_default());
    println!("cargo::rustc-cdylib-link-arg=-Wl,-soname,libmirrordna.so.{ABI}");
}
