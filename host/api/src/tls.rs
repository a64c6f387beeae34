//! TLS of this process.

/// Has TLS work in this process: everything that speaks it uses ring for its cryptography, unless the program that this host is
/// a part of has chosen something else before.
///
/// reqwest makes no client before that, not even one that never speaks TLS.
pub fn provide_tls() {
    // It fails if there is one already, and that one is as good.
    let _ = rustls::crypto::ring::default_provider().install_default();
}
