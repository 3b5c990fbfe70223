//! The gate closes after a miss, and opens after hits in a row.

use super::*;

#[test]
fn a_miss_closes_the_gate_until_hits_in_a_row_open_it() {
    let mut gate = SpeculationGate::default();
    assert!(gate.is_open());
    gate.record(true);
    assert!(gate.is_open());
    gate.record(false);
    for _ in 1..SpeculationGate::HITS_TO_RESUME {
        gate.record(true);
        assert!(!gate.is_open());
    }
    gate.record(false);
    for _ in 0..SpeculationGate::HITS_TO_RESUME {
        assert!(!gate.is_open());
        gate.record(true);
    }
    assert!(gate.is_open());
}
