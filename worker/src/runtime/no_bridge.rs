//! In the place of the bridge to tokio when the feature `tokio` is off: nothing.

/// Nothing.
#[derive(Clone, Debug)]
pub(crate) struct Bridge;

impl Bridge {
    pub(crate) fn new(_cpus: &[usize]) -> Bridge {
        Bridge
    }

    pub(crate) fn stop(&self) {}
}
