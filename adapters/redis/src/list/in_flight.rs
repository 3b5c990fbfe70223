//! The state of a list consumer: its registration, and the elements taken and not acknowledged.

use std::collections::HashMap;
use std::sync::Arc;

use tallyhouse_core::ports::Delivery;
use uuid::Uuid;

use super::element::Element;

/// The state of a consumer's registration.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Membership {
    /// Its name was never used.
    New,
    /// It is in the sorted set of consumers.
    Registered,
    /// Its lease has expired and others have requeued its elements, or the server has lost the registration.
    Expired,
}

/// The consumer's name and its elements.
#[derive(Debug)]
pub(super) struct InFlight {
    /// Different at every start, and after each expiry.
    pub(super) name: Arc<str>,
    pub(super) membership: Membership,
    /// The name before the last expiry, until it is registered as expired: its processing list may hold elements.
    pub(super) previous_name: Option<Arc<str>>,
    /// Whether the processing list may hold elements that are not in flight here: the answer to their move was lost, or
    /// their removal failed.
    pub(super) needs_reconciliation: bool,
    elements: HashMap<u64, Element>,
    /// The number of elements whose acknowledgement has begun and not ended.
    acking: usize,
    tags: u64,
}

impl InFlight {
    pub(super) fn new() -> Self {
        Self {
            name: new_name(),
            membership: Membership::New,
            previous_name: None,
            needs_reconciliation: false,
            elements: HashMap::new(),
            acking: 0,
            tags: 0,
        }
    }

    /// Says whether elements can be taken without preparation.
    pub(super) fn is_ready(&self) -> bool {
        self.membership == Membership::Registered && !self.needs_reconciliation
    }

    /// Replaces a name that was used, and forgets all elements in flight under it.
    pub(super) fn rename(&mut self) {
        if self.membership != Membership::New {
            self.previous_name = Some(std::mem::replace(&mut self.name, new_name()));
            self.membership = Membership::New;
            self.elements.clear();
            self.needs_reconciliation = false;
        }
    }

    /// Returns how many elements were ever taken.
    pub(super) fn total_taken(&self) -> u64 {
        self.tags
    }

    /// Returns the greatest length that the processing list can have if it holds no untracked element.
    pub(super) fn len(&self) -> usize {
        self.elements.len() + self.acking
    }

    /// Adds an element that was taken.
    pub(super) fn add(&mut self, element: Element) -> Delivery {
        self.tags += 1;
        let payload = element.deliverable();
        self.elements.insert(self.tags, element);
        Delivery { tag: self.tags.to_string(), payload, traceparent: None }
    }

    /// Begins an acknowledgement; `None` for an element that is not in flight, or no longer.
    pub(super) fn begin_ack(&mut self, tag: &str) -> Option<(u64, Element)> {
        let tag: u64 = tag.parse().ok()?;
        let element = self.elements.remove(&tag)?;
        self.acking += 1;
        Some((tag, element))
    }

    /// Ends the acknowledgement of `count` elements.
    pub(super) fn end_ack(&mut self, count: usize, succeeded: bool) {
        self.acking -= count;
        self.needs_reconciliation |= !succeeded;
    }

    /// Returns the elements of the processing list (newest first) that are not in flight here. Of equal elements, as
    /// many are in flight as were taken.
    pub(super) fn untracked(&self, mut list: Vec<Element>) -> Vec<Element> {
        let mut in_flight: HashMap<&Element, usize> = HashMap::new();
        for element in self.elements.values() {
            *in_flight.entry(element).or_default() += 1;
        }
        // Equal elements are interchangeable, so any of them may count as untracked.
        list.retain(|element| match in_flight.get_mut(element) {
            Some(count) if *count > 0 => {
                *count -= 1;
                false
            }
            _ => true,
        });
        list
    }
}

fn new_name() -> Arc<str> {
    Arc::from(Uuid::new_v4().simple().to_string())
}
