//! Crashes, stops, freezes and outages at random moments.

use crate::simulation::cluster::Cluster;
use crate::simulation::world::{Outage, Port};
use std::sync::Arc;
use std::time::Duration;
use tallyhouse_core::ports::Clock as _;

/// Injects faults until this moment.
pub(super) async fn inject_faults(cluster: Arc<Cluster>, until: Duration) {
    let world = Arc::clone(&cluster.world);
    let mut disk_may_fill = true;
    while world.now() < until {
        world.clock().sleep(world.below(Duration::from_secs(2))).await;
        let (fault_profile, slot) = (world.fault_profile(), cluster.any_slot());
        match world.draw(|rng| rng.below(7)) {
            0 | 1 if fault_profile.crashes => cluster.crash(slot),
            2 if fault_profile.stops => cluster.stop(slot),
            3 if fault_profile.freezes => cluster.freeze(slot),
            4 if fault_profile.outages => {
                let port = world.draw(|rng| *rng.pick(&[Port::Storage, Port::Emitter, Port::Queue]));
                let until = world.now() + world.below(Duration::from_secs(8));
                let outage = Outage { until, is_silent: world.chance(300) };
                world.note(|| format!("{port:?} is unavailable: {outage:?}"));
                world.make_unavailable(port, outage);
            }
            5 if fault_profile.full_disk && disk_may_fill => {
                // Only once: a record that is refused alone during two such times, with others stored in between, is
                // rejected.
                disk_may_fill = false;
                let until = world.now() + world.below(Duration::from_secs(5));
                world.note(|| format!("storage is full until {until:?}"));
                world.fill_disk(until);
            }
            6 if fault_profile.queue.is_partial > 0 => {
                if let Some(instance) = cluster.at(slot) {
                    let source = world.draw(|rng| Arc::clone(rng.pick(&instance.sources)));
                    source.reconnect();
                }
            }
            _ => {}
        }
    }
}
