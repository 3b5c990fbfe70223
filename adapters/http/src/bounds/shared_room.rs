//! A budget ("room") that callers share: permits, or bytes.
//!
//! A caller may take more while it holds less than three times the free room. Alone it can take three quarters; the more
//! others take, the less it may. So no caller shuts the others out, and no share has to be set (dynamic thresholds:
//! Choudhury and Hahne, 1998).
//!
//! Room that becomes free goes to the waiting callers in turn, one request each: a caller with a thousand requests
//! delays another caller's single one by one request at most. Rounds order the turns, as in start-time fair queueing
//! (Goyal, Vin and Cheng, 1996): each request that is served moves its caller to the round after the current one, and a
//! caller that comes anew joins the current one.

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::oneshot;
use tokio::time::timeout;

use crate::bounds::caller::Caller;

/// How many times the free room a caller may hold.
const FREE_FACTOR: usize = 3;

/// Room of a fixed size.
#[derive(Debug)]
pub(crate) struct SharedRoom {
    size: usize,
    shares: Mutex<Shares>,
}

/// A part of the room; dropping it gives it back.
#[derive(Debug)]
pub(crate) struct Taken {
    room: Arc<SharedRoom>,
    caller: Caller,
    units: usize,
}

/// The shares of all callers that hold room or wait for it. No waiting caller may take room at the moment: it was served
/// when that became possible. So a request that need not wait overtakes none.
#[derive(Debug, Default)]
struct Shares {
    in_use: usize,
    of: HashMap<Caller, Share>,
    /// The waiting callers, in the order in which they are served.
    turns: BTreeMap<Turn, Caller>,
    /// The round of the request that was served last.
    round: u64,
    /// The last ticket that was handed out.
    ticket: u64,
}

/// The share of one caller.
#[derive(Debug, Default)]
struct Share {
    units: usize,
    /// The round in which the caller is served next.
    round: u64,
    /// Its requests that wait, in their order.
    waiting: VecDeque<Waiting>,
}

/// The turn of a waiting caller: its round, and within that the ticket of its first request.
type Turn = (u64, u64);

/// A request that waits.
#[derive(Debug)]
struct Waiting {
    ticket: u64,
    units: usize,
    granted: oneshot::Sender<Taken>,
}

/// The place of a waiting request; dropping it withdraws the request.
struct Queued<'t> {
    taken: &'t Taken,
    ticket: u64,
}

impl SharedRoom {
    pub(crate) fn new(size: usize) -> Arc<Self> {
        Arc::new(Self { size, shares: Mutex::default() })
    }

    /// Returns how much is in use.
    pub(crate) fn in_use(&self) -> usize {
        self.lock().in_use
    }

    /// Takes room, if the caller may have more. The last caller that still may can exceed the room by these units.
    pub(crate) fn try_take(self: &Arc<Self>, caller: &Caller, units: usize) -> Option<Taken> {
        let mut taken = self.none_for(caller);
        taken.try_add(units).then_some(taken)
    }

    /// Takes room, and waits for it.
    pub(crate) async fn take(self: &Arc<Self>, caller: &Caller, units: usize, wait_max: Duration) -> Option<Taken> {
        let mut taken = self.none_for(caller);
        taken.add(units, wait_max).await.then_some(taken)
    }

    /// Returns an empty part, to which room can be added.
    pub(crate) fn none_for(self: &Arc<Self>, caller: &Caller) -> Taken {
        Taken { room: Arc::clone(self), caller: caller.clone(), units: 0 }
    }

    fn lock(&self) -> MutexGuard<'_, Shares> {
        self.shares.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Gives room back, and serves the callers that wait for it.
    fn give_back(self: &Arc<Self>, caller: &Caller, units: usize) {
        let mut shares = self.lock();
        shares.remove(caller, units);
        let served = shares.serve(self.size);
        drop(shares);
        for (caller, Waiting { units, granted, .. }) in served {
            // A request that was withdrawn meanwhile hands its part back, which is dropped here.
            drop(granted.send(Taken { room: Arc::clone(self), caller, units }));
        }
    }
}

impl Taken {
    /// Takes more, if the caller may have more.
    pub(crate) fn try_add(&mut self, units: usize) -> bool {
        let has_taken = self.room.lock().try_add(&self.caller, units, self.room.size);
        self.units += if has_taken { units } else { 0 };
        has_taken
    }

    /// Takes more, and waits for it until it is the caller's turn. Cancelling the call loses nothing.
    pub(crate) async fn add(&mut self, units: usize, wait_max: Duration) -> bool {
        let Some((ticket, granted)) = self.try_add_or_wait(units) else { return true };
        let queued = Queued { taken: self, ticket };
        let served = timeout(wait_max, granted).await;
        drop(queued);
        let Ok(Ok(mut more)) = served else { return false };
        self.units += std::mem::take(&mut more.units);
        true
    }

    /// Takes more or, under the same lock, queues the request for it: no room becomes free in between.
    fn try_add_or_wait(&mut self, units: usize) -> Option<(u64, oneshot::Receiver<Taken>)> {
        let mut shares = self.room.lock();
        if shares.try_add(&self.caller, units, self.room.size) {
            self.units += units;
            return None;
        }
        let (granted, granting) = oneshot::channel();
        Some((shares.wait(&self.caller, units, granted), granting))
    }

    /// Takes more, even beyond the room: for data that can't be refused any more.
    pub(crate) fn add_beyond(&mut self, units: usize) {
        self.room.lock().add(&self.caller, units);
        self.units += units;
    }

    /// Gives a part back.
    pub(crate) fn give_back(&mut self, units: usize) {
        let units = units.min(self.units);
        if units > 0 {
            self.units -= units;
            self.room.give_back(&self.caller, units);
        }
    }
}

impl Drop for Taken {
    fn drop(&mut self) {
        self.give_back(self.units);
    }
}

impl Drop for Queued<'_> {
    fn drop(&mut self) {
        self.taken.room.lock().withdraw(&self.taken.caller, self.ticket);
    }
}

impl Shares {
    fn may_take(&self, caller: &Caller, size: usize) -> bool {
        let free = size.saturating_sub(self.in_use);
        let own = self.of.get(caller).map_or(0, |share| share.units);
        let is_within = match caller {
            Caller::Proxy(_) => true,
            Caller::Key(_) | Caller::Peer(_) | Caller::Others => own < free.saturating_mul(FREE_FACTOR),
        };
        free > 0 && is_within
    }

    fn try_add(&mut self, caller: &Caller, units: usize, size: usize) -> bool {
        let may = self.may_take(caller, size);
        if may {
            self.add(caller, units);
            self.end_turn(caller);
        }
        may
    }

    fn add(&mut self, caller: &Caller, units: usize) {
        self.in_use += units;
        self.share(caller).units += units;
    }

    fn share(&mut self, caller: &Caller) -> &mut Share {
        let round = self.round;
        self.of.entry(caller.clone()).or_insert_with(|| Share { round, ..Share::default() })
    }

    fn remove(&mut self, caller: &Caller, units: usize) {
        self.in_use -= units;
        if let Some(share) = self.of.get_mut(caller) {
            share.units -= units;
        }
        self.forget_if_idle(caller);
    }

    /// Lets a request wait behind the caller's own, and returns its ticket.
    fn wait(&mut self, caller: &Caller, units: usize, granted: oneshot::Sender<Taken>) -> u64 {
        self.ticket += 1;
        let (ticket, round) = (self.ticket, self.round);
        let share = self.share(caller);
        share.waiting.push_back(Waiting { ticket, units, granted });
        if share.waiting.len() == 1 {
            share.round = share.round.max(round);
            let turn = (share.round, ticket);
            self.turns.insert(turn, caller.clone());
        }
        ticket
    }

    /// Takes room for the requests that wait, in turn, as far as their callers may have more.
    fn serve(&mut self, size: usize) -> Vec<(Caller, Waiting)> {
        let mut served = Vec::new();
        while let Some(turn) = self.next_turn(size)
            && let Some(caller) = self.turns.remove(&turn)
            && let Some(first) = self.share(&caller).waiting.pop_front()
        {
            self.add(&caller, first.units);
            self.end_turn(&caller);
            self.begin_turn(&caller);
            served.push((caller, first));
        }
        served
    }

    fn next_turn(&self, size: usize) -> Option<Turn> {
        self.turns.iter().find(|(_, caller)| self.may_take(caller, size)).map(|(turn, _)| *turn)
    }

    /// Moves a caller that was served to the next round. A caller that was held up has saved up no rounds.
    fn end_turn(&mut self, caller: &Caller) {
        let current = self.round;
        let share = self.share(caller);
        let round = share.round.max(current);
        share.round = round + 1;
        self.round = round;
    }

    /// Gives a caller its next turn, if it waits for one.
    fn begin_turn(&mut self, caller: &Caller) {
        if let Some(share) = self.of.get(caller)
            && let Some(first) = share.waiting.front()
        {
            self.turns.insert((share.round, first.ticket), caller.clone());
        }
    }

    /// Withdraws a request, unless it was served.
    fn withdraw(&mut self, caller: &Caller, ticket: u64) {
        let Some(share) = self.of.get_mut(caller) else { return };
        let Some(place) = share.waiting.iter().position(|waiting| waiting.ticket == ticket) else { return };
        share.waiting.remove(place);
        if place == 0 {
            let turn = (share.round, ticket);
            self.turns.remove(&turn);
            self.begin_turn(caller);
        }
        self.forget_if_idle(caller);
    }

    fn forget_if_idle(&mut self, caller: &Caller) {
        if self.of.get(caller).is_some_and(|share| share.units == 0 && share.waiting.is_empty()) {
            self.of.remove(caller);
        }
    }
}

#[cfg(test)]
mod tests;
