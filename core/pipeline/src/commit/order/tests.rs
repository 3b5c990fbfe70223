//! The stages of a submission, as its successors see them.

use super::*;

#[test]
fn a_submission_that_has_ended_keeps_its_stage() {
    let slot = OrderSlot::after(None);
    let (order, next) = (BatchOrder::of([&slot].into_iter()), OrderSlot::after(Some(slot.progress())));
    let next_order = BatchOrder::of([&next].into_iter());
    assert!(order.may_start() && order.predecessors_done() && !next_order.may_start());
    order.start();
    assert!(next_order.may_start() && !next_order.predecessors_done());
    order.revoke();
    assert!(!next_order.may_start());
    slot.end(true);
    order.revoke();
    assert!(next_order.may_start() && next_order.predecessors_done() && !next.predecessor_failed());
    assert!(BatchOrder::default().may_start() && BatchOrder::default().predecessors_done());
}
