//! What this consumer has taken and not settled yet, as it knows itself.

use std::collections::HashMap;
use std::sync::Arc;

use tallyhouse_core::ports::Delivery;
use uuid::Uuid;

/// How a consumer stands among the others.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Membership {
    /// Its name was never used.
    New,
    /// It is one of the consumers.
    Joined,
    /// Others have taken over what it in flight, or the consumers were forgotten by the server.
    Lapsed,
}

/// The consumer's name and its elements.
#[derive(Debug)]
pub(super) struct InFlight {
    /// Different at every start, and after a lapse.
    pub(super) name: Arc<str>,
    pub(super) membership: Membership,
    /// The name before the last lapse, until the others know that its list may hold something.
    pub(super) former: Option<Arc<str>>,
    /// Whether there may be elements in our list that are not in flight here: moved by a command whose answer was lost, or
    /// not removed by one that failed.
    pub(super) suspect: bool,
    payloads: HashMap<u64, Vec<u8>>,
    /// Elements whose settling is under way.
    settling: usize,
    tags: u64,
}

impl InFlight {
    pub(super) fn new() -> Self {
        Self {
            name: new_name(),
            membership: Membership::New,
            former: None,
            suspect: false,
            payloads: HashMap::new(),
            settling: 0,
            tags: 0,
        }
    }

    /// Whether the next payloads can be taken at once.
    pub(super) fn is_well(&self) -> bool {
        self.membership == Membership::Joined && !self.suspect
    }

    /// Gives up a name that was used, with all that was in flight under it.
    pub(super) fn rename(&mut self) {
        if self.membership != Membership::New {
            self.former = Some(std::mem::replace(&mut self.name, new_name()));
            self.membership = Membership::New;
            self.payloads.clear();
            self.suspect = false;
        }
    }

    /// How many payloads were ever taken.
    pub(super) fn taken(&self) -> u64 {
        self.tags
    }

    /// How long our list can be at most, if all is well.
    pub(super) fn len(&self) -> usize {
        self.payloads.len() + self.settling
    }

    /// Notes that a payload was taken.
    pub(super) fn take(&mut self, payload: Vec<u8>) -> Delivery {
        self.tags += 1;
        self.payloads.insert(self.tags, payload.clone());
        Delivery { tag: self.tags.to_string(), payload: Some(payload), traceparent: None }
    }

    /// Begins to settle: `None` for what is not in flight, or not any more.
    pub(super) fn begin_settling(&mut self, tag: &str) -> Option<(u64, Vec<u8>)> {
        let tag: u64 = tag.parse().ok()?;
        let payload = self.payloads.remove(&tag)?;
        self.settling += 1;
        Some((tag, payload))
    }

    /// Ends what was begun.
    pub(super) fn end_settling(&mut self, count: usize, all_is_well: bool) {
        self.settling -= count;
        self.suspect |= !all_is_well;
    }

    /// Returns those elements of our list (newest first) that are not in flight here. Equal payloads are counted.
    pub(super) fn strays(&self, mut list: Vec<Vec<u8>>) -> Vec<Vec<u8>> {
        let mut in_flight: HashMap<&[u8], usize> = HashMap::new();
        for payload in self.payloads.values() {
            *in_flight.entry(payload).or_default() += 1;
        }
        // Which of several equal elements is a stray makes no difference.
        list.retain(|payload| match in_flight.get_mut(payload.as_slice()) {
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
