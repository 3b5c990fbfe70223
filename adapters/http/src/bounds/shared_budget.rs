//! A weighted semaphore that divides its permits, or bytes, fairly among callers.
//!
//! A caller may take one more unit as long as it then holds at most three times the free budget, and in any case its first.
//! Alone it can take three quarters; the more others take, the less it may. So no caller shuts the others out, and no share
//! has to be set (dynamic thresholds: Choudhury and Hahne, 1998).
//!
//! Budget that becomes free goes to the waiting callers in turn, one request each: a caller with a thousand requests
//! delays another caller's single one by one request at most. Rounds order the turns, as in start-time fair queueing
//! (Goyal, Vin and Cheng, 1996): each request that is served moves its caller to the round after the current one, and a
//! caller that comes anew joins the current one.

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::oneshot;
use tokio::time::timeout;

use crate::bounds::caller::Caller;

/// How many times the free budget a caller may hold.
const FREE_FACTOR: usize = 3;

/// A budget of a fixed size.
#[derive(Debug)]
pub(crate) struct SharedBudget {
    size: usize,
    shares: Mutex<Shares>,
}

/// A caller's reservation of a part of the budget; dropping it releases the part.
#[derive(Debug)]
pub(crate) struct Reservation {
    budget: Arc<SharedBudget>,
    caller: Caller,
    units: usize,
}

/// The shares of all callers that hold a reservation or wait for one. No waiting caller may reserve at the moment: it was served
/// when that became possible. So a request that need not wait overtakes none.
#[derive(Debug, Default)]
struct Shares {
    in_use: usize,
    by_caller: HashMap<Caller, Share>,
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
    granted: oneshot::Sender<Reservation>,
}

/// A queued request; dropping this withdraws the request.
struct Queued<'t> {
    reservation: &'t Reservation,
    ticket: u64,
}

impl SharedBudget {
    pub(crate) fn new(size: usize) -> Arc<Self> {
        Arc::new(Self { size, shares: Mutex::default() })
    }

    /// Returns how much is in use.
    pub(crate) fn in_use(&self) -> usize {
        self.lock().in_use
    }

    /// Reserves units, if the caller may have more. The last caller that still may can exceed the budget by these units.
    pub(crate) fn try_reserve(self: &Arc<Self>, caller: &Caller, units: usize) -> Option<Reservation> {
        let mut reservation = self.empty_reservation(caller);
        reservation.try_grow(units).then_some(reservation)
    }

    /// Reserves units, and waits for them.
    pub(crate) async fn reserve(
        self: &Arc<Self>,
        caller: &Caller,
        units: usize,
        wait_max: Duration,
    ) -> Option<Reservation> {
        let mut reservation = self.empty_reservation(caller);
        reservation.grow(units, wait_max).await.then_some(reservation)
    }

    /// Returns a reservation of no units, which can grow.
    pub(crate) fn empty_reservation(self: &Arc<Self>, caller: &Caller) -> Reservation {
        Reservation { budget: Arc::clone(self), caller: caller.clone(), units: 0 }
    }

    fn lock(&self) -> MutexGuard<'_, Shares> {
        self.shares.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Releases units, and serves the callers that wait for them.
    fn release(self: &Arc<Self>, caller: &Caller, units: usize) {
        let mut shares = self.lock();
        shares.remove(caller, units);
        let served = shares.serve(self.size);
        drop(shares);
        for (caller, Waiting { units, granted, .. }) in served {
            // A request that was withdrawn meanwhile hands its reservation back, which is dropped here.
            drop(granted.send(Reservation { budget: Arc::clone(self), caller, units }));
        }
    }
}

impl Reservation {
    /// Reserves more, if the caller may have more.
    pub(crate) fn try_grow(&mut self, units: usize) -> bool {
        let has_grown = self.budget.lock().try_reserve(&self.caller, units, self.budget.size);
        self.units += if has_grown { units } else { 0 };
        has_grown
    }

    /// Reserves more, and waits until it is the caller's turn. Cancelling the call loses nothing.
    pub(crate) async fn grow(&mut self, units: usize, wait_max: Duration) -> bool {
        let Some((ticket, granted)) = self.try_grow_or_wait(units) else { return true };
        let queued = Queued { reservation: self, ticket };
        let served = timeout(wait_max, granted).await;
        drop(queued);
        let Ok(Ok(mut more)) = served else { return false };
        self.units += std::mem::take(&mut more.units);
        true
    }

    /// Reserves more or, under the same lock, queues the request: no unit becomes free in between.
    fn try_grow_or_wait(&mut self, units: usize) -> Option<(u64, oneshot::Receiver<Reservation>)> {
        let mut shares = self.budget.lock();
        if shares.try_reserve(&self.caller, units, self.budget.size) {
            self.units += units;
            return None;
        }
        let (granted, granting) = oneshot::channel();
        Some((shares.wait(&self.caller, units, granted), granting))
    }

    /// Reserves more, even beyond the budget: for data that can't be refused any more.
    pub(crate) fn force_grow(&mut self, units: usize) {
        self.budget.lock().add(&self.caller, units);
        self.units += units;
    }

    /// Releases a part.
    pub(crate) fn release(&mut self, units: usize) {
        let units = units.min(self.units);
        if units > 0 {
            self.units -= units;
            self.budget.release(&self.caller, units);
        }
    }
}

impl Drop for Reservation {
    fn drop(&mut self) {
        self.release(self.units);
    }
}

impl Drop for Queued<'_> {
    fn drop(&mut self) {
        self.reservation.budget.lock().withdraw(&self.reservation.caller, self.ticket);
    }
}

impl Shares {
    fn may_reserve(&self, caller: &Caller, size: usize) -> bool {
        let free = size.saturating_sub(self.in_use);
        let own = self.by_caller.get(caller).map_or(0, |share| share.units);
        let is_within = match caller {
            Caller::Proxy(_) => true,
            Caller::Key(_) | Caller::Peer(_) | Caller::Others => {
                own == 0 || own < free.saturating_sub(1).saturating_mul(FREE_FACTOR)
            }
        };
        free > 0 && is_within
    }

    fn try_reserve(&mut self, caller: &Caller, units: usize, size: usize) -> bool {
        let may = self.may_reserve(caller, size);
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
        self.by_caller.entry(caller.clone()).or_insert_with(|| Share { round, ..Share::default() })
    }

    fn remove(&mut self, caller: &Caller, units: usize) {
        self.in_use -= units;
        if let Some(share) = self.by_caller.get_mut(caller) {
            share.units -= units;
        }
        self.forget_if_idle(caller);
    }

    /// Lets a request wait behind the caller's own, and returns its ticket.
    fn wait(&mut self, caller: &Caller, units: usize, granted: oneshot::Sender<Reservation>) -> u64 {
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

    /// Reserves for the requests that wait, in turn, as far as their callers may have more.
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
        self.turns.iter().find(|(_, caller)| self.may_reserve(caller, size)).map(|(turn, _)| *turn)
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
        if let Some(share) = self.by_caller.get(caller)
            && let Some(first) = share.waiting.front()
        {
            self.turns.insert((share.round, first.ticket), caller.clone());
        }
    }

    /// Withdraws a request, unless it was served.
    fn withdraw(&mut self, caller: &Caller, ticket: u64) {
        let Some(share) = self.by_caller.get_mut(caller) else { return };
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
        if self.by_caller.get(caller).is_some_and(|share| share.units == 0 && share.waiting.is_empty()) {
            self.by_caller.remove(caller);
        }
    }
}

#[cfg(test)]
mod tests;
