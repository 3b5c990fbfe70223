//! Who has a permit, and who waits.

use super::*;

fn at(ip: &str) -> Caller {
    Caller::at(ip.parse().unwrap(), &[])
}

#[test]
fn one_address_takes_neither_all_places_nor_the_whole_waiting_room() {
    let limit = ConnectionLimit::new(100);
    let greedy: Vec<ConnectionPermit> = std::iter::from_fn(|| limit.admit(&at("192.0.2.1"))).collect();
    let waiting = greedy.iter().filter(|permit| permit.is_waiting()).count();
    assert_eq!((greedy.len() - waiting, waiting), (75, 48));
    assert!(!limit.admit(&at("192.0.2.2")).unwrap().is_waiting());
}

#[tokio::test(start_paused = true)]
async fn a_request_waits_for_a_place_and_keeps_it() {
    let limit = ConnectionLimit::new(1);
    let first = limit.admit(&at("192.0.2.1")).unwrap();
    let second = limit.admit(&at("192.0.2.2")).unwrap();
    assert!(!second.wait().await && second.is_waiting());
    drop(first);
    assert!(second.wait().await && !second.is_waiting() && limit.admit(&at("192.0.2.3")).unwrap().is_waiting());
    drop(second);
    assert!(!limit.admit(&at("192.0.2.3")).unwrap().is_waiting());
}
