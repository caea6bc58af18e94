//! Guards.
use crate::gate::GateConfig;
/// Guards of a gate.
pub struct Guards;
impl Guards {
    /// From the configuration.
    #[must_use]
    pub fn new(_config: &GateConfig) -> Self { Self }
}
