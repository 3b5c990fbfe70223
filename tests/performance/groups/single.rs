//! Single records: one request, one answer, one commit that others may share.

use anyhow::Result;
use tallyhouse_tests::bench::deployment::Deployment;
use tallyhouse_tests::bench::supply::Keys;

use crate::floors::bare_http::{Running, StandIn};
use crate::floors::bare_postgres::Single;
use crate::kit::{Kit, supply};
use crate::rounds::{Group, Way, measure};
use crate::ways::{Target, bare_singles, fresh, post};

/// How many connections send at once.
const CONNECTIONS: [usize; 3] = [1, 64, 256];

/// Measures single `POST`s, beside bare transactions and HTTP without storage.
pub(crate) fn single(kit: &Kit) -> Result<Group> {
    let (rows, bare) = kit.bare()?;
    let deployment = Deployment::start(&kit.world)?;
    let (warp, adapter) = (Running::start(StandIn::Warp)?, Running::start(StandIn::Adapter)?);
    let requests = fresh(&supply(Keys::Flights));
    let mut ways = Vec::new();
    let in_turn = "bare: the same inserts, a statement each, 1 connection";
    let in_one = "bare: the same inserts in one statement, 1 connection";
    for (name, single) in [(in_turn, Single::AllInTurn), (in_one, Single::AllInOne)] {
        let (bare, rows) = (&bare, &rows);
        ways.push(Way::new(name, move |_| bare_singles(kit, bare, rows, single, 1)));
    }
    for connections in CONNECTIONS {
        let (bare, rows, requests) = (&bare, &rows, &requests);
        let name = format!("bare: the record alone, {}", plural(connections));
        ways.push(Way::new(&name, move |_| bare_singles(kit, bare, rows, Single::Row, connections)));
        let floor = if connections == 1 { in_one.to_owned() } else { name };
        let target = Target::service(&deployment);
        let ours =
            Way::new(format!("POST, {}", plural(connections)), move |_| post(kit, target, connections, requests));
        ways.push(ours.over(floor));
    }
    for connections in CONNECTIONS {
        let requests = &requests;
        let name = format!("warp alone, no storage, {}", plural(connections));
        let target = Target { address: warp.address, pid: warp.pid(), publishes: false };
        ways.push(Way::new(&name, move |_| post(kit, target, connections, requests)));
        let target = Target { address: adapter.address, pid: adapter.pid(), publishes: false };
        let ours = format!("the service's HTTP, no storage, {}", plural(connections));
        ways.push(Way::new(ours, move |_| post(kit, target, connections, requests)).over(name));
    }
    let what = "single records, each committed before its answer; the floor is Postgres alone (its rows, one transaction \
                each), or warp alone";
    measure("single", what, kit.scale.rounds, ways)
}

fn plural(connections: usize) -> String {
    if connections == 1 { "1 connection".to_owned() } else { format!("{connections} connections") }
}
